"""Time between repeats: how long after an answer the same annotator judged a track again.

Stage: consistency. Numpy only. Self-agreement over a few days measures memory, over months it
measures criteria, so it is shown with this gap.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np

from ml.consistency.agreement import consecutive_pairs
from ml.types import Bools, Floats, LabelMatrix


def repeat_gaps(
    answers: LabelMatrix, tracks: list[Hashable], days: Floats
) -> tuple[list[float | None], float | None]:
    """Compute the median time between consecutive answers of one annotator to a track.

    Parameters
    ----------
    answers : LabelMatrix (n_answers, n_labels), one row per answer, in order of answering.
    tracks : track of each answer.
    days : float (n_answers,), time of each answer in days; NaN where it is not known.

    Returns
    -------
    by_label : list of float or None, in days, over the pairs that `ml.consistency.agreement`
        counts for each label; None without a pair whose two times are known.
    by_set : float or None, over the pairs that judged any label in common.

    Examples
    --------
    >>> judged = LabelMatrix(np.zeros((4, 1), bool), np.ones((4, 1), bool))
    >>> repeat_gaps(judged, ["a", "b", "a", "b"], np.array([0.0, 1.0, 14.0, 31.0]))
    ([22.0], 22.0)
    """
    earlier, later = consecutive_pairs(tracks, np.arange(len(tracks)))
    gaps = days[later] - days[earlier]
    both = answers.label_mask[earlier] & answers.label_mask[later]
    by_label = [_median(gaps, both[:, label]) for label in range(answers.n_labels)]
    return by_label, _median(gaps, np.asarray(both.any(axis=1), dtype=bool))


def _median(gaps: Floats, is_counted: Bools) -> float | None:
    known = gaps[is_counted & np.isfinite(gaps)]
    return float(np.median(known)) if len(known) else None
