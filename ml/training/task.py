"""One training as a value, and one fit of its network. Numpy only.

Stage: train. `ml.training.fit` makes the task, and `ml.training.holdout` chooses the rows that
each fit learns from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.features.track_features import TrackFeatures
from ml.networks.base import (
    FitData,
    Fitted,
    Inputs,
    Network,
    OnEpoch,
    Plan,
    Predictor,
    ShouldStop,
    Watch,
)
from ml.networks.inputs import DrawnByLabel, Scaler, fit_scaler, scaled_inputs
from ml.networks.loop import score_tracks
from ml.training.losses import element_targets, element_weights, log_odds, prevalence
from ml.types import FloatArray, Indices, LabelMatrix, TrainingConfig


@dataclass(frozen=True)
class TrainingTask:
    """One training: its material, its network and its callbacks.

    Attributes
    ----------
    network, plan, config : how it learns.
    features, labels : of the same n_rows; a row is a track, or a part of one.
    groups : (n_tracks,), what the split keeps together.
    albums : (n_rows,), what a split should keep together: the same as `groups` unless the
        config asks for another split.
    is_present : bool (n_rows,), True if the labels follow the current criteria; None without
        criteria-conditioned training.
    on_epoch, should_stop : callbacks, or None.
    """

    network: Network
    plan: Plan
    config: TrainingConfig
    features: TrackFeatures
    labels: LabelMatrix
    groups: npt.NDArray[Any]
    albums: npt.NDArray[Any]
    is_present: npt.NDArray[np.bool_] | None
    on_epoch: OnEpoch | None
    should_stop: ShouldStop | None

    @property
    def usable(self) -> Indices:
        """Rows with anything to learn: a judged element, or the probability of one."""
        return np.flatnonzero(self.labels.answered.any(axis=1))

    @property
    def n_groups(self) -> int:
        """Number of groups among the usable rows."""
        return len(np.unique(self.groups[self.usable]))


def fit_network(
    task: TrainingTask,
    training: Indices,
    validation: Indices,
    watch: Watch,
    plan: Plan,
) -> tuple[Fitted, Scaler, FitData]:
    """Scale the inputs and fit the network once.

    Parameters
    ----------
    task : the training.
    training, validation : int (m,), rows to learn from, and rows that decide when to stop.
    watch : callbacks. plan : how this fit learns.

    Returns
    -------
    tuple of Fitted, Scaler and FitData : the network, and what it was fitted on.

    Raises
    ------
    ParameterError, NothingToLearnError, NetworkDivergedError, CancelledError : as
        `ml.training.fit.train`.
    """
    scaler = fit_scaler(task.features, training, task.network.needs, plan)
    odds = log_odds(prevalence(task.labels.rows(training)))
    data = FitData(
        inputs=_inputs(task, scaler, plan),
        targets=element_targets(task.config.loss, task.labels, training),
        weights=element_weights(task.config.loss, task.labels, training),
        mask=task.labels.answered,
        training=training,
        validation=validation,
        output_bias=odds if task.config.bias == "prior" else np.zeros_like(odds),
    )
    return task.network.fit(data, plan, watch), scaler, data


def _inputs(task: TrainingTask, scaler: Scaler, plan: Plan) -> Inputs:
    inputs = scaled_inputs(task.features, task.network.needs, scaler, plan, task.is_present)
    if task.config.sampling == "uniform":
        return inputs
    targets = task.labels.labels.astype(np.float32)
    if task.network.needs == "summary":
        return DrawnByLabel(inputs, np.ones(len(targets), dtype=np.intp), 0, targets)
    counts = task.features.window_counts()
    return DrawnByLabel(inputs, counts, plan.whole("train_windows"), targets)


def validation_logits(task: TrainingTask, predictor: Predictor, data: FitData) -> FloatArray:
    """Score the validation rows of a fit.

    Parameters
    ----------
    task : the training. predictor : the fitted network. data : what it was fitted on.

    Returns
    -------
    FloatArray : float32 (m, n_labels), log odds before calibration.

    Raises
    ------
    CancelledError : `task.should_stop` returned True.
    """
    watch = Watch(should_stop=task.should_stop)
    return score_tracks(
        predictor,
        data.inputs,
        data.validation,
        data.n_labels,
        pooling=str(task.plan.options["pooling"]),
        check=watch.check,
    )
