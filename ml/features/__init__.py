"""From samples to features, and features on disk.

`extraction` computes the windows (`mfcc`, `spectra`) and the summary (`summaries`) of a track,
`store` keeps those of many tracks in shards, `track_features` passes them to a network.
"""

__all__ = ["extraction", "mfcc", "spectra", "store", "summaries", "track_features"]
