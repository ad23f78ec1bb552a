"""Records and evidence with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np


def fixed(record, probabilities):
    """The record with other probabilities, before and after calibration alike."""
    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    logits = np.log(clipped) - np.log1p(-clipped)
    return replace(
        record,
        probabilities=probabilities.astype(np.float32),
        logits=logits.astype(np.float32),
    )


GOOD = {
    "n": 100,
    "labels_scored": 10,
    "skill": 0.3,
    "skill_interval": (0.2, 0.4),
    "accuracy": 0.96,
    "baseline_accuracy": 0.94,
    "macro_ap": 0.5,
    "macro_ap_interval": (0.4, 0.6),
    "baseline_ap": 0.1,
    "never_at_half": 2,
}


NEAR, FAR = 0.945, 0.96  # of the baseline's accuracy


def of(skill, interval, accuracy):
    return {"skill": skill, "skill_interval": interval, "accuracy": accuracy}
