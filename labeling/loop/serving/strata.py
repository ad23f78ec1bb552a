"""Strata: which one has its turn, in the shares that a library sets."""

from __future__ import annotations

from functools import lru_cache

from labeling.models import Library
from labeling.models.queue import Stratum
from ml.acquisition import strategies

#: Strata for evaluation and agreement: without suggestions, which would anchor the answer.
UNASSISTED = (Stratum.AUDIT, Stratum.OVERLAP, Stratum.REPEAT)
#: The strata to try, in this order, if the one that has its turn is empty.
FALLBACK = (Stratum.ACQUIRE, Stratum.EXPLORE, Stratum.AUDIT, Stratum.OVERLAP)
PATTERN_TURNS = 1_000


def pattern_of(library: Library) -> tuple[str, ...]:
    """Return the strata of the turns of an annotator."""
    return _pattern(
        library.serve_audit_share,
        library.overlap_share,
        library.repeat_share,
        library.explore_share,
    )


@lru_cache(maxsize=64)
def _pattern(audit: float, overlap: float, repeat: float, explore: float) -> tuple[str, ...]:
    """Return the strata of the turns in their shares, evenly spread; the pattern repeats."""
    turns = strategies.shares(
        PATTERN_TURNS, audit=audit, overlap=overlap, repeat=repeat, explore=explore
    )
    return tuple(turns)
