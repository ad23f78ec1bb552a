"""Serving: which track an annotator gets next, and until when it is theirs.

`serve` leases the next track, `strata` says which stratum has its turn, `claimable` which items
an annotator may get, `random_order` lays out the audit, overlap and explore strata, `repeats`
brings back an annotator's own old tracks, `leases` ends a presentation or gives it back, and
`blinding` hides what would give a repeat away.
"""

__all__ = ["blinding", "claimable", "leases", "random_order", "serve", "strata"]
