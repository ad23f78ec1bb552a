"""Features of tracks as networks read them, found by their database rows."""

from __future__ import annotations

import resource

import numpy as np
import numpy.typing as npt

from labeling.loop import features
from labeling.loop.features import Located
from labeling.models import FeatureSet
from ml.features.track_features import ArrayFeatures, ShardedFeatures, TrackFeatures
from ml.networks import load_network

Indices = npt.NDArray[np.intp]
#: Descriptors for everything else than the maps of shards.
_SPARE_FILES = 256


def track_features_for(network: str, feature_set: FeatureSet, found: Located) -> TrackFeatures:
    """Return the features that the network reads: summaries, or windows by memory map."""
    if load_network(network).needs == "summary":
        return ArrayFeatures(summary=features.summaries_of(feature_set, found.rows))
    store = features.store_of(feature_set)
    names = sorted({row.shard for row in found.rows})
    _allow_open_files(len(names) + _SPARE_FILES)
    place = {name: number for number, name in enumerate(names)}
    return ShardedFeatures(
        shards=[store.shard(name) for name in names],
        shard=np.array([place[row.shard] for row in found.rows], dtype=np.intp),
        first=np.array([row.offset for row in found.rows], dtype=np.intp),
        counts=np.array([row.windows for row in found.rows], dtype=np.intp),
    )


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit of open files: each mapped shard keeps one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted > soft:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
