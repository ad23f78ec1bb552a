"""Training: from judged tracks to a calibrated model.

Stage: train, after a snapshot has fixed the training set and before evaluation on audit tracks.

1. Scale the inputs by statistics of the tracks learnt from.
2. Fit the network on a masked, weighted binary cross-entropy; stop by validation loss.
3. Calibrate (Platt), fit the cardinality potential, then tune thresholds, all on tracks from
   which the scores were not learnt.

Elements that were not judged take no part. Cheap networks are cross-fitted: up to five grouped
folds give the number of epochs and the out-of-fold scores for step 3, then the network is
fitted again on every track. For other networks one part of the groups serves both purposes.
The TrainingConfig can ask for less: a split by single tracks or windows, no calibration, a
threshold of one half (`ml.training.recipes` says which recipes do, and why).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import NothingToLearnError
from ml.features.track_features import TrackFeatures
from ml.metrics.calibration import PlattScaling, fit_platt, tune_thresholds
from ml.metrics.scores import scorable_labels
from ml.networks.base import EpochReport, Network, OnEpoch, ShouldStop, plan_of
from ml.networks.inputs import scaled_inputs
from ml.networks.members import network_of
from ml.training.cardinality import LabelCounts, fit_label_counts
from ml.training.checks import (
    MINIMUM_CURRENT_TRACKS,
    feasible_config,
    require_fitting,
    require_windows,
)
from ml.training.holdout import Outcome, fit_and_score_unseen
from ml.training.losses import prevalence
from ml.training.task import TrainingTask
from ml.training.trained_model import TrainedModel, ValidationScores
from ml.types import LabelMatrix, TrainingConfig

__all__ = ["EpochReport", "TrainedModel", "train"]


@dataclass(frozen=True)
class _Columns:
    """Columns of a model: uids, facets, and whether a label has positives and negatives."""

    uids: tuple[str, ...]
    facets: tuple[str, ...]
    is_learnt: npt.NDArray[np.bool_]


def train(
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    config: TrainingConfig,
    *,
    label_uids: Sequence[str] = (),
    facets: Sequence[str] = (),
    is_present: npt.NDArray[np.bool_] | None = None,
    on_epoch: OnEpoch | None = None,
    should_stop: ShouldStop | None = None,
) -> TrainedModel:
    """Train one model on all the given tracks.

    Parameters
    ----------
    features, labels : of the same n_tracks in the same order, without any audit track.
    groups : (n_tracks,) split group of each track, of any sortable type.
    config : network, loss, seed; 0 means the network's default.
    label_uids : (n_labels,) kept with the model; without them the numbers of the columns.
    facets : (n_labels,) for a cardinality potential; without them there is one facet.
    is_present : bool (n_tracks,), True if the labels follow the current criteria, for
        criteria-conditioned training (see `ml.training.checks.feasible_config`).
    on_epoch : called after every epoch. should_stop : polled every few batches.

    Returns
    -------
    TrainedModel : its output is the prior for labels without a judged positive or negative.
        If the split has only one group (or track, or window), the network runs all its epochs,
        probabilities are not calibrated, and tuned thresholds are the prior.

    Raises
    ------
    NothingToLearnError : no label has both a positive and a negative.
    ParameterError : shapes differ, a parameter is out of range or does not apply to this
        network, or a feature is not finite.
    NetworkDivergedError : a loss or output became NaN or infinite.
    CancelledError : `should_stop` returned True; nothing is kept.
    """
    uids = tuple(label_uids) or tuple(str(index) for index in range(labels.n_labels))
    require_fitting(features, labels, groups, config, uids, tuple(facets))
    network = network_of(config)
    require_windows(network, config)
    judged = _judged(network, features, labels)
    columns = _Columns(uids, tuple(facets) or ("",) * judged.n_labels, _learnable(judged))
    learnt = judged.only(columns.is_learnt)
    config = feasible_config(config, learnt, is_present)
    task = _task(features, learnt, groups, config, is_present, (on_epoch, should_stop))
    prior = _prior(judged, task.is_present)
    return _calibrated(fit_and_score_unseen(task), task, columns, prior)


def _judged(network: Network, features: TrackFeatures, labels: LabelMatrix) -> LabelMatrix:
    """Return the labels, those not judged set to False; tracks without a window not judged."""
    if network.needs == "windows":
        labels = labels.only((features.window_counts() > 0)[:, None])
    return LabelMatrix(labels.labels & labels.label_mask, labels.label_mask, labels.soft)


def _learnable(judged: LabelMatrix) -> npt.NDArray[np.bool_]:
    """Return the labels with a positive and a negative, bool (n_labels,); refuse none."""
    is_learnt = scorable_labels(judged)
    if not is_learnt.any():
        raise NothingToLearnError(
            "no label has both a track with it and a track without it to learn from "
            f"({judged.n_tracks} tracks, {judged.n_labels} labels); label more tracks"
        )
    return is_learnt


def _task(
    features: TrackFeatures,
    learnt: LabelMatrix,
    groups: npt.NDArray[Any],
    config: TrainingConfig,
    is_present: npt.NDArray[np.bool_] | None,
    callbacks: tuple[OnEpoch | None, ShouldStop | None],
) -> TrainingTask:
    network = network_of(config)
    return TrainingTask(
        network=network,
        plan=plan_of(network, config, n_items=int(learnt.answered.any(axis=1).sum())),
        config=config,
        features=features,
        labels=learnt,
        groups=np.arange(len(groups)) if config.split == "tracks" else np.asarray(groups),
        albums=np.asarray(groups),
        is_present=is_present if config.criteria == "apart" else None,
        on_epoch=callbacks[0],
        should_stop=callbacks[1],
    )


def _prior(
    judged: LabelMatrix, is_present: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    """Return the share of the tracks with each label, by the current criteria if conditioned.

    The baseline then predicts how often the current curators give a label. A label that they
    judged on fewer tracks than criteria-conditioned training needs is a mixture: the share by
    all labels counts in proportion to the missing tracks, because nothing else is known.
    """
    by_all = prevalence(judged)
    if is_present is None:
        return by_all
    current = judged.rows(np.flatnonzero(is_present))
    known = np.minimum(1.0, current.label_mask.sum(axis=0) / MINIMUM_CURRENT_TRACKS)
    return known * prevalence(current) + (1.0 - known) * by_all


def _calibrated(
    outcome: Outcome, task: TrainingTask, columns: _Columns, prior: npt.NDArray[np.float64]
) -> TrainedModel:
    config, platt, counts = task.config, PlattScaling.identity(len(prior)), LabelCounts()
    thresholds: npt.NDArray[Any] = prior
    if outcome.unseen.n_tracks and config.calibration == "platt":
        platt = fit_platt(outcome.logits, outcome.unseen)
    if outcome.unseen.n_tracks:
        probabilities = platt.apply(outcome.logits)
        if config.label_counts == "learnt":
            counts = _label_counts(probabilities, outcome, task, columns)
            probabilities = counts.apply(probabilities)
        thresholds = tune_thresholds(probabilities, outcome.unseen)
    if config.thresholds == "half":
        thresholds = np.full(len(prior), 0.5)
    return TrainedModel(
        config=config,
        label_uids=columns.uids,
        item_shape=scaled_inputs(
            task.features, task.network.needs, outcome.scaler, task.plan, task.is_present
        ).item_shape,
        predictor=outcome.fitted.predictor,
        scaler=outcome.scaler,
        platt=platt,
        thresholds=np.where(columns.is_learnt, thresholds, 0.5),
        prior=prior,
        is_learnt=columns.is_learnt,
        counts=counts,
        history=outcome.history,
        validation=_validation_scores(outcome),
    )


def _label_counts(
    probabilities: npt.NDArray[Any], outcome: Outcome, task: TrainingTask, columns: _Columns
) -> LabelCounts:
    """Fit the cardinality potential, on tracks of the current criteria if conditioned."""
    rows = np.arange(outcome.unseen.n_tracks)
    if task.is_present is not None:
        rows = np.flatnonzero(task.is_present[outcome.rows])
    return fit_label_counts(
        probabilities[rows], outcome.unseen.rows(rows), columns.facets, columns.is_learnt
    )


def _validation_scores(outcome: Outcome) -> ValidationScores | None:
    if not outcome.unseen.n_tracks:
        return None
    return ValidationScores(outcome.unseen, outcome.logits, outcome.albums)
