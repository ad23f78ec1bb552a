"""Check that labelled tracks come from enough split groups for an interval. Numpy only.

Stage: evaluation. An interval is computed by drawing whole split groups (albums, say) with
replacement. A single group can only be drawn as itself, so every resample equals the sample and
the interval has zero width, which reads as certainty where there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.types import LabelMatrix

#: With judged tracks from fewer split groups there is no interval and no verdict. One group
#: has a single resample, itself; two have three, and half of all draws hold only one of them.
MINIMUM_GROUPS_TO_COMPARE = 3


def judged_groups(labels: LabelMatrix, groups: npt.NDArray[Any] | None) -> int:
    """Count the split groups that have a judged track.

    Parameters
    ----------
    labels : labels of the tracks, (n_tracks, n_labels).
    groups : (n_tracks,) of any sortable type; None: each track is its own group.

    Returns
    -------
    int : number of groups, >= 0.

    Examples
    --------
    >>> judged = np.array([[True], [True], [False]])
    >>> labels = LabelMatrix(judged, judged)
    >>> judged_groups(labels, np.array(["a", "a", "b"])), judged_groups(labels, None)
    (1, 2)
    """
    judged = labels.label_mask.any(axis=1)
    return int(judged.sum()) if groups is None else len(np.unique(np.asarray(groups)[judged]))


def too_few_groups(n_groups: int) -> str:
    """Return text about too few split groups, for the end of a sentence.

    Parameters
    ----------
    n_groups : groups with a judged track.

    Returns
    -------
    str : such as "1 split group only; at least 3 are needed".

    Examples
    --------
    >>> too_few_groups(1)
    '1 split group only; at least 3 are needed'
    """
    counted = f"{n_groups} split group" + ("" if n_groups == 1 else "s")
    return f"{counted} only; at least {MINIMUM_GROUPS_TO_COMPARE} are needed"


def can_be_resampled(
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None,
    fold_of: npt.NDArray[np.intp] | None = None,
) -> bool:
    """Return whether drawing whole groups with replacement gives a meaningful interval.

    That needs `MINIMUM_GROUPS_TO_COMPARE` judged groups. Where groups are drawn within folds,
    one more is needed for each further fold: a fold of a single group never varies.

    Parameters
    ----------
    labels, groups : as in `judged_groups`.
    fold_of : int array (n_tracks,), the fold of each track; None: groups are drawn from all
        tracks together.

    Returns
    -------
    bool : whether there are enough groups.

    Examples
    --------
    >>> judged = np.ones((4, 1), bool)
    >>> labels = LabelMatrix(judged, judged)
    >>> can_be_resampled(labels, np.array([0, 0, 1, 1])), can_be_resampled(labels, None)
    (False, True)
    """
    if fold_of is None:
        return judged_groups(labels, groups) >= MINIMUM_GROUPS_TO_COMPARE
    spare = 0
    for fold in np.unique(fold_of):
        rows = np.flatnonzero(fold_of == fold)
        own = None if groups is None else np.asarray(groups)[rows]
        spare += max(0, judged_groups(labels.rows(rows), own) - 1)
    return spare >= MINIMUM_GROUPS_TO_COMPARE - 1
