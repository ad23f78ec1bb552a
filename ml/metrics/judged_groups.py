"""Whether held-out tracks are of enough split groups for an interval. Numpy only.

Stage: evaluation. Intervals are had by drawing whole split groups (albums, say) again with
replacement. A single group can only be drawn as itself, so every resample is the sample and the
interval has no width, which reads as certainty where there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.types import LabelMatrix

#: With judged tracks of fewer split groups there is no interval and no verdict: fewer can
#: hardly be resampled. One has a single resample, itself; two have three, and half of all draws
#: are but one of the two groups.
MINIMUM_GROUPS_TO_COMPARE = 3


def judged_groups(labels: LabelMatrix, groups: npt.NDArray[Any] | None) -> int:
    """Return how many split groups have a judged track.

    Parameters
    ----------
    labels : what was judged, (n_tracks, n_labels).
    groups : (n_tracks,) of any sortable type; None: every track is one by itself.
    """
    judged = labels.label_mask.any(axis=1)
    return int(judged.sum()) if groups is None else len(np.unique(np.asarray(groups)[judged]))


def said_too_few(n_groups: int) -> str:
    """Return "1 split group only; at least 3 are needed", for the end of a sentence."""
    counted = f"{n_groups} split group" + ("" if n_groups == 1 else "s")
    return f"{counted} only; at least {MINIMUM_GROUPS_TO_COMPARE} are needed"


def can_be_resampled(
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None,
    fold_of: npt.NDArray[np.intp] | None = None,
) -> bool:
    """Say whether drawing whole groups again gives an interval that means something.

    That needs `MINIMUM_GROUPS_TO_COMPARE` judged groups. Where groups are drawn within folds,
    one more is needed for each further fold: a fold of a single group never varies.

    Parameters
    ----------
    labels, groups : as in `judged_groups`. fold_of : (n_tracks,), the fold of each track; None:
        groups are drawn from all together.
    """
    if fold_of is None:
        return judged_groups(labels, groups) >= MINIMUM_GROUPS_TO_COMPARE
    spare = 0
    for fold in np.unique(fold_of):
        rows = np.flatnonzero(fold_of == fold)
        own = None if groups is None else np.asarray(groups)[rows]
        spare += max(0, judged_groups(labels.rows(rows), own) - 1)
    return spare >= MINIMUM_GROUPS_TO_COMPARE - 1
