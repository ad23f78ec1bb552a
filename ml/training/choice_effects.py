"""Explanations of choices that mislead, for the readers of a report.

Stage: evaluation and the report of the study. `docs/recipes.md` shows where each choice comes
from and what it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.training.losses import KERAS_CLASS_WEIGHT

_SENTENCES: Mapping[tuple[str, str], str] = {
    ("loss", KERAS_CLASS_WEIGHT): (
        "class_weight of Keras on targets with several labels: each track gets one weight, "
        "that of its first label in the order of the columns. The weight counts for all "
        "outputs of the track, negatives included. A rare label after a frequent one adds no "
        "weight, and outputs as a whole do not rise: only the differences between labels "
        "shrink."
    ),
    ("split", "windows"): (
        "Windows of one track are on both sides of the validation split. The network has "
        "partly memorised the validation set, and its validation figures are too good."
    ),
    ("sampling", "label-distribution"): (
        "Each step draws a label by its frequency, then a track with that label. A track with "
        "two labels is drawn twice as often as a track with one, and rare labels stay rare."
    ),
    ("calibration", "none"): "Probabilities are not calibrated: .3 need not mean 30 %.",
    ("thresholds", "half"): (
        "The threshold of every label is one half: a label that applies to one track in a "
        "hundred hardly ever reaches it."
    ),
}


def explain_choices(config: Mapping[str, Any]) -> list[str]:
    """Explain each choice of a training that misleads a reader of its report.

    Parameters
    ----------
    config : canonical values of a `TrainingConfig`, by name; a missing name is not explained.

    Returns
    -------
    list of str : one text a choice; empty if no choice misleads.

    Examples
    --------
    >>> explain_choices({"calibration": "none", "loss": "bce"})
    ['Probabilities are not calibrated: .3 need not mean 30 %.']
    """
    return [text for (name, value), text in _SENTENCES.items() if config.get(name) == value]
