"""Evaluation records with a known right answer."""

from __future__ import annotations

import numpy as np

from ml.evaluation.record import EvaluationRecord, LabelName
from ml.metrics.calibration import logit
from ml.types import LabelMatrix


def make_record(n=200, n_labels=5, *, skill=1.5, seed=0, mask=0.1, parts=1, prior=None, **over):
    """Scores that know something of the labels: log odds of the prior + skill x label."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0.35, 0.08, n_labels) if prior is None else np.asarray(prior)
    labels = rng.random((n, n_labels)) < shares
    judged = rng.random((n, n_labels)) >= mask
    logits = logit(shares) + skill * (labels - shares) + rng.normal(0, 0.6, (n, n_labels))
    values = {
        "track_uids": np.array([f"{number:032x}" for number in range(n)], dtype="S36"),
        "groups": np.arange(n) // 2,
        "reference": LabelMatrix(labels & judged, judged),
        "logits": logits.astype(np.float32),
        "probabilities": (1 / (1 + np.exp(-logits))).astype(np.float32),
        "thresholds": np.tile(shares * 1.2, (parts, 1)),
        "prior": np.tile(shares, (parts, 1)),
        "part_of": (np.arange(n) // 2) % parts,
        "labels": tuple(LabelName(f"uid{k}", f"Label {k}", "genre") for k in range(n_labels)),
        "judged_by": "persons: ana",
    }
    return EvaluationRecord(**{**values, **over})


def history(n=6, *, stage="", part=None, accuracy=True):
    """Epochs whose validation loss is lowest in the fourth."""
    rows = []
    for epoch in range(1, n + 1):
        row = {
            "epoch": epoch,
            "epochs": n,
            "loss": 0.6 / epoch,
            "validation_loss": 0.3 + 0.01 * (epoch - 4) ** 2,
            "validation_macro_ap": 0.5,
            "seconds": 0.1,
            "stage": stage,
        }
        if accuracy:
            row |= {"binary_accuracy": 0.9, "validation_binary_accuracy": None}
        if part is not None:
            row["part"] = part
        rows.append(row)
    return tuple(rows)
