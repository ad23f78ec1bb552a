"""Skill of single labels: on which of them a model is better than the baseline.

Stage: evaluation, and before suggestions are shown. Numpy only. A model that is useful as a
whole still guesses rare labels. Its suggestions for these would influence people without
knowing more than the frequency of the label.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from ml.metrics.headline import Predicted, Yardstick
from ml.metrics.jackknife import jackknife
from ml.metrics.ranking import EPSILON
from ml.types import Floats

#: With fewer positives or negatives among the tracks, a label is never trusted.
LEAST_EACH = 5


class LabelSkill(TypedDict):
    """BCE skill score of one label; the keys are JSON keys.

    Attributes
    ----------
    skill : over the judged tracks, None without any.
    interval : [low, high], 95 %, None from too few split groups.
    is_better : True if the whole interval is above 0, and there are `LEAST_EACH` positives and
        as many negatives.
    """

    skill: float | None
    interval: list[float] | None
    is_better: bool


def label_skills(predicted: Predicted, by: Yardstick) -> list[LabelSkill]:
    """Compute the skill of each label, with its interval by the jackknife.

    Parameters
    ----------
    predicted : predictions for the tracks of the yardstick. by : see `yardstick`.

    Returns
    -------
    list of LabelSkill : one for each label.

    Examples
    --------
    >>> from ml.metrics.headline import yardstick
    >>> from ml.types import LabelMatrix
    >>> given = np.tile([[True, False], [False, True]], (20, 1))
    >>> half = np.full(2, 0.5)
    >>> by = yardstick(LabelMatrix(given, np.ones_like(given)), half, half)
    >>> knows_one = np.stack([np.where(given[:, 0], 0.8, 0.2), np.full(40, 0.5)], axis=1)
    >>> [one["is_better"] for one in label_skills(Predicted(knows_one, knows_one), by)]
    [True, False]
    """
    top = _losses(predicted.probabilities, by).T @ by.weights
    bottom = _losses(by.baseline, by).T @ by.weights
    ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    positives = (by.labels.labels & by.labels.label_mask).sum(axis=0)
    negatives = by.labels.label_mask.sum(axis=0) - positives
    return [
        _label_skill(1.0 - ratio[label], int(min(positives[label], negatives[label])))
        for label in range(by.labels.n_labels)
    ]


def _label_skill(values: Floats, n_fewer: int) -> LabelSkill:
    found = jackknife(values)
    if found.low is None or found.high is None:
        return {"skill": found.value, "interval": None, "is_better": False}
    return {
        "skill": found.value,
        "interval": [found.low, found.high],
        "is_better": bool(found.low > 0 and n_fewer >= LEAST_EACH),
    }


def _losses(probabilities: Floats, by: Yardstick) -> Floats:
    """Return the binary cross-entropy of each cell, 0 where it was not judged."""
    clipped = np.clip(np.asarray(probabilities, dtype=np.float64), EPSILON, 1 - EPSILON)
    loss = -np.where(by.labels.labels, np.log(clipped), np.log1p(-clipped))
    return np.where(by.labels.label_mask, loss, 0.0)
