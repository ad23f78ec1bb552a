"""Schemes that fit a network and score rows that it has not seen. Numpy only.

Stage: train, before calibration. Cheap networks are cross-fitted on grouped folds; for the
others one part of the groups, or of the windows, is the validation set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ml.metrics.splits import grouped_folds
from ml.networks.base import ByEpoch, EpochReport, FitData, Fitted, Plan, Watch
from ml.networks.inputs import Scaler
from ml.training.task import TrainingTask, fit_network, validation_logits
from ml.training.window_split import split_windows
from ml.types import FloatArray, Indices, LabelMatrix

INNER_FOLDS = 5
#: Tracks scored out of fold that are enough for the calibration; no further fold is fitted.
ENOUGH_UNSEEN = 2_000


@dataclass(frozen=True)
class Outcome:
    """A fitted network, and its scores of rows that it had not seen.

    Attributes
    ----------
    fitted, scaler : the network and the scaling of its inputs.
    unseen : labels of the m rows that were not learnt from, (m, n_labels); m may be 0.
    rows : int (m,), which rows of the task these are. albums : (m,), their split groups.
    logits : float32 (m, n_labels), log odds before calibration.
    history : one report for each epoch of all fits.
    """

    fitted: Fitted
    scaler: Scaler
    unseen: LabelMatrix
    rows: Indices
    albums: npt.NDArray[Any]
    logits: FloatArray
    history: tuple[EpochReport, ...]


class _Fold(NamedTuple):
    """One inner fold after its fit; the predictor itself is not kept."""

    history: tuple[EpochReport, ...]
    by_epoch: ByEpoch
    data: FitData


def fit_and_score_unseen(task: TrainingTask) -> Outcome:
    """Fit the network by the scheme that its config and its cost ask for.

    Windows are held out once, never in folds.

    Parameters
    ----------
    task : the training.

    Returns
    -------
    Outcome : without unseen rows if there is only one group (or window) to split.

    Raises
    ------
    ParameterError, NothingToLearnError, NetworkDivergedError, CancelledError : as
        `ml.training.fit.train`.
    """
    if task.config.split == "windows":
        return _hold_out_windows(task)
    return _cross_fit(task) if task.network.is_cheap else _hold_out(task)


def _cross_fit(task: TrainingTask) -> Outcome:
    """Choose the epoch and score out of fold by inner folds, then fit on every track.

    One epoch is chosen for all folds, by their mean validation loss, so that the out-of-fold
    scores depend on their own tracks through that single choice only.
    """
    n_folds = min(INNER_FOLDS, task.n_groups)
    if n_folds < 2:
        return _fit_all(task, task.plan, first_epoch=0, epochs=task.plan.epochs)
    usable = task.usable
    fold_of = grouped_folds(
        task.labels.rows(usable), task.groups[usable], n_folds, task.plan.seed
    )
    n_fits = min(n_folds, -(-ENOUGH_UNSEEN * n_folds // len(usable)))
    epochs = (n_fits + 1) * task.plan.epochs
    folds = [
        _fit_fold(task, usable[fold_of != fold], usable[fold_of == fold], fold, n_fits)
        for fold in range(n_fits)
    ]
    best = _best_epoch([fold.history for fold in folds])
    logits = _out_of_fold_logits(task, folds, best)
    final = _fit_all(task, replace(task.plan, epochs=best), n_fits * task.plan.epochs, epochs)
    history = tuple(report for fold in folds for report in fold.history)
    rows = np.flatnonzero(np.isfinite(logits).all(axis=1))
    return replace(
        final,
        unseen=task.labels.rows(rows),
        rows=rows,
        albums=task.albums[rows],
        logits=logits[rows],
        history=history + final.history,
    )


def _fit_fold(
    task: TrainingTask, training: Indices, validation: Indices, fold: int, n_fits: int
) -> _Fold:
    watch = Watch(
        on_epoch=task.on_epoch,
        should_stop=task.should_stop,
        first_epoch=fold * task.plan.epochs,
        epochs=(n_fits + 1) * task.plan.epochs,
        stage=f"fold {fold + 1} of {n_fits}",
        keeps_every_epoch=True,
    )
    fitted, _, data = fit_network(task, training, validation, watch, task.plan)
    return _Fold(fitted.history, fitted.by_epoch, data)


def _best_epoch(histories: list[tuple[EpochReport, ...]]) -> int:
    """Return the epoch, from 1, of lowest mean validation loss, among those of all folds."""
    shortest = min(len(history) for history in histories)
    curves = [[r.validation_loss for r in history[:shortest]] for history in histories]
    known = np.array([curve for curve in curves if np.isfinite(curve).all()])
    return int(known.mean(axis=0).argmin()) + 1 if len(known) else shortest


def _out_of_fold_logits(task: TrainingTask, folds: list[_Fold], best: int) -> FloatArray:
    """Return float32 (n_tracks, n_labels) after epoch `best`; NaN for tracks of no fold."""
    logits = np.full(task.labels.labels.shape, np.nan, dtype=np.float32)
    for _, by_epoch, data in folds:
        predictor = task.network.restore(
            task.plan, data.inputs.item_shape, data.n_labels, by_epoch[best - 1]
        )
        logits[data.validation] = validation_logits(task, predictor, data)
    return logits


def _fit_all(task: TrainingTask, plan: Plan, first_epoch: int, epochs: int) -> Outcome:
    watch = Watch(
        on_epoch=task.on_epoch,
        should_stop=task.should_stop,
        first_epoch=first_epoch,
        epochs=epochs,
        stage="all tracks",
    )
    no_rows = np.zeros(0, dtype=np.intp)
    fitted, scaler, data = fit_network(task, task.usable, no_rows, watch, plan)
    no_logits = np.zeros((0, data.n_labels), dtype=np.float32)
    unseen, albums = task.labels.rows(no_rows), task.albums[no_rows]
    return Outcome(fitted, scaler, unseen, no_rows, albums, no_logits, fitted.history)


def _hold_out(task: TrainingTask) -> Outcome:
    """Fit on most groups; the rest is the validation set."""
    n_parts = min(task.n_groups, max(2, round(1 / task.config.validation_share)))
    if n_parts < 2:
        return _fit_all(task, task.plan, first_epoch=0, epochs=task.plan.epochs)
    usable = task.usable
    parts = grouped_folds(
        task.labels.rows(usable), task.groups[usable], n_parts, task.plan.seed
    )
    return _fit_once(task, usable[parts != 0], usable[parts == 0])


def _hold_out_windows(task: TrainingTask) -> Outcome:
    """Fit on most windows; the rest, of the same tracks, is the validation set."""
    rows = split_windows(
        task.features, task.usable, task.config.validation_share, task.plan.seed
    )
    if len(rows.validation) == 0:
        return _fit_all(task, task.plan, first_epoch=0, epochs=task.plan.epochs)
    labels, albums = task.labels.rows(rows.track_of), task.albums[rows.track_of]
    parts = replace(task, features=rows, labels=labels, albums=albums)
    return _fit_once(parts, rows.training, rows.validation)


def _fit_once(task: TrainingTask, training: Indices, validation: Indices) -> Outcome:
    watch = Watch(on_epoch=task.on_epoch, should_stop=task.should_stop)
    fitted, scaler, data = fit_network(task, training, validation, watch, task.plan)
    logits = validation_logits(task, fitted.predictor, data)
    unseen, albums = task.labels.rows(validation), task.albums[validation]
    return Outcome(fitted, scaler, unseen, validation, albums, logits, fitted.history)
