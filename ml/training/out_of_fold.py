"""Headline figures of a training on its own tracks, each scored without it. Numpy only.

Stage: train, after the model. A small library has few audit tracks, so their figures have wide
intervals. A cross-fitted training has out-of-fold scores of every track anyway; they give a
second figure at no cost. It does not replace the first: acquisition chose some of the training
tracks, and the reference is the labels that the model was trained on.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from ml.metrics.calibration import PlattScaling, fit_platt, tune_thresholds
from ml.metrics.headline import Headline, Predicted, headline, yardstick
from ml.metrics.splits import grouped_folds
from ml.training.holdout import INNER_FOLDS
from ml.training.losses import prevalence
from ml.training.trained_model import TrainedModel, ValidationScores
from ml.types import Floats, Indices


class OutOfFold(TypedDict):
    """Headline figures out of fold; the keys are JSON keys. `folds`: of the calibration."""

    folds: int
    headline: Headline


def out_of_fold(model: TrainedModel) -> OutOfFold | None:
    """Compute the headline figures of a model's out-of-fold scores.

    The calibration, the thresholds and the baseline of each track are fitted on the other
    folds, because those of the model saw the track's labels. The cardinality potential, which
    has one weight for each number of labels, is the model's.

    Parameters
    ----------
    model : as `ml.training.fit.train` returned it, with its validation scores.

    Returns
    -------
    OutOfFold, or None if the network was not cross-fitted (its validation set decided when to
        stop), if windows of one track were on both sides, or with fewer than two split groups.
    """
    scored = model.validation
    if scored is None or not model.network.is_cheap or model.config.split == "windows":
        return None
    n_folds = min(INNER_FOLDS, len(np.unique(scored.groups)))
    if n_folds < 2:
        return None
    fold_of = grouped_folds(scored.labels, scored.groups, n_folds, model.config.seed)
    shape = scored.labels.labels.shape
    probabilities, thresholds, prior = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for fold in range(n_folds):
        held, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        learnt = scored.labels.rows(rest)
        found = _calibrated_without(model, scored, rest)
        probabilities[held], tuned_by = found[held], found[rest]
        thresholds[held] = tune_thresholds(tuned_by, learnt)
        prior[held] = prevalence(learnt)
    by = yardstick(scored.labels, prior, prevalence(scored.labels), scored.groups)
    return {"folds": n_folds, "headline": headline(Predicted(probabilities, thresholds), by)}


def _calibrated_without(model: TrainedModel, scored: ValidationScores, rest: Indices) -> Floats:
    """Return the probabilities of all scored tracks, calibrated on the rows in `rest` only."""
    platt = PlattScaling.identity(model.n_labels)
    if model.config.calibration == "platt":
        platt = fit_platt(scored.logits[rest], scored.labels.rows(rest))
    return np.asarray(model.counts.apply(platt.apply(scored.logits)), dtype=float)
