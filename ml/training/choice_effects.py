"""What some choices of a training really do, in sentences for whoever reads its report.

`docs/recipes.md` shows where each of them comes from and what it costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml.training.losses import KERAS_CLASS_WEIGHT

_SENTENCES: Mapping[tuple[str, str], str] = {
    ("loss", KERAS_CLASS_WEIGHT): (
        "class_weight of Keras on targets with several labels: each track gets one weight, "
        "that of its first label in the order of the columns, and it counts for all outputs, "
        "the nos included. A rare label behind a frequent one adds nothing, and the outputs "
        "as a whole are not moved towards a yes: only the differences between labels shrink."
    ),
    ("split", "windows"): (
        "Windows of one track stand on both sides of the validation split, so what the "
        "training reports of itself is partly memory, and its validation figures are too good."
    ),
    ("sampling", "label-distribution"): (
        "A label is drawn by its frequency, then a track that has it: a track with two labels "
        "is seen twice as often as one with one, and rare labels stay as rare as they were."
    ),
    ("calibration", "none"): "Probabilities are not calibrated: they need not mean shares.",
    ("thresholds", "half"): (
        "Every label is cut at one half: one that applies to a hundredth of the tracks hardly "
        "ever reaches it."
    ),
}


def what_it_does(config: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each choice that a reader must know of.

    Parameters
    ----------
    config : canonical values of a `TrainingConfig`, by name.

    Examples
    --------
    >>> what_it_does({"calibration": "none", "loss": "bce"})
    ['Probabilities are not calibrated: they need not mean shares.']
    """
    return [text for (name, value), text in _SENTENCES.items() if config.get(name) == value]
