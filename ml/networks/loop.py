"""Training loop of all networks that are trained by gradient descent. Numpy only.

The Keras networks and their numpy twin share it, so that they see the same batches in the same
order, stop by the same rule and report the same metrics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ml.errors import NetworkDivergedError
from ml.metrics.calibration import logit, sigmoid
from ml.metrics.ranking import average_precision
from ml.networks.base import (
    EpochReport,
    FitData,
    Fitted,
    Inputs,
    Plan,
    Predictor,
    ShouldStop,
    Watch,
    Weights,
    item_batches,
)
from ml.networks.inputs import require_finite
from ml.networks.kept_weights import KeptWeights
from ml.types import FloatArray, Indices, OnProgress

#: Items scored at once. One call a window would cost 50 ms in Keras, whatever the network.
SCORING_BATCH = 256
_BATCHES_BETWEEN_CHECKS = 8


class Step(NamedTuple):
    """Outcome of one batch, before the weights were changed.

    Attributes
    ----------
    loss : weighted BCE in nats, summed, penalties included.
    n_right : elements of weight > 0 on the right side of 0.5.
    """

    loss: float
    n_right: int


class Trainable(Predictor, Protocol):
    """A predictor that can take a step of gradient descent."""

    def step(self, items: FloatArray, targets: FloatArray, weights: FloatArray) -> Step:
        """Take one step of the optimiser.

        Parameters
        ----------
        items : float32 (m, *item_shape), scaled.
        targets : float32 (m, n_labels), 1 where the label was given.
        weights : float32 (m, n_labels), of each element, already divided by the number of
            judged elements: the loss is the plain sum of weight x cross-entropy.

        Returns
        -------
        Step : loss and correct elements before the step.
        """

    def set_weights(self, weights: Weights) -> None:
        """Set the weights.

        Parameters
        ----------
        weights : as `weights()` returned them.
        """


def score_tracks(
    predictor: Predictor,
    inputs: Inputs,
    tracks: Indices,
    n_labels: int,
    *,
    pooling: str = "mean-logit",
    on_items: OnProgress | None = None,
    check: Callable[[], None] | None = None,
) -> FloatArray:
    """Score tracks: the logits of a track are the mean over its items.

    By default logits are averaged, not probabilities: Platt scaling corrects the mean of
    logits, and a single window with a certain output does not outweigh the others.

    Parameters
    ----------
    predictor : the network with its weights.
    inputs : scaled items. tracks : int (m,), rows to score. n_labels : number of outputs.
    pooling : "mean-logit", or "mean-probability": the log odds of the mean of the
        probabilities, as in the study.
    on_items : called with (items scored, items) after every batch.
    check : called before every batch; it may raise to cancel.

    Returns
    -------
    FloatArray : float32 (m, n_labels), log odds; NaN for a track without items.

    Raises
    ------
    ParameterError : an item is not finite. Its score would be NaN, as of a track without items.
    """
    is_probability = pooling == "mean-probability"
    items = inputs.fixed(tracks)
    sums = np.zeros((len(tracks), n_labels), dtype=np.float64)
    place = np.repeat(np.arange(len(tracks)), _items_a_track(items, tracks))
    done = 0
    for part in item_batches(items, SCORING_BATCH):
        if check is not None:
            check()
        scaled = inputs.gather(part)
        require_finite(scaled)
        logits = predictor.logits(scaled)
        values = sigmoid(logits) if is_probability else logits
        np.add.at(sums, place[done : done + len(part)], values)
        done += len(part)
        if on_items is not None:
            on_items(done, len(items))
    counts = np.bincount(place, minlength=len(tracks))[:, None]
    means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return (logit(means) if is_probability else means).astype(np.float32)


def _items_a_track(items: Indices, tracks: Indices) -> Indices:
    """Return the number of items of each track; items are grouped in the order of `tracks`."""
    per_id = np.bincount(items[:, 0], minlength=int(tracks.max(initial=0)) + 1)
    return per_id[tracks]


def weighted_bce(
    logits: FloatArray, targets: FloatArray, weights: FloatArray, n_judged: int
) -> float:
    """Return the weighted binary cross-entropy.

    Parameters
    ----------
    logits : float32 (m, n_labels). targets : float32 (m, n_labels), 1 where a label was given.
    weights : float32 (m, n_labels), of each element; 0 if not judged.
    n_judged : elements to divide the sum by.

    Returns
    -------
    float : in nats; NaN if nothing was judged.

    Examples
    --------
    >>> zero, one = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)
    >>> round(weighted_bce(zero, one, one, 1), 4)
    0.6931
    """
    if n_judged == 0:
        return math.nan
    wide = logits.astype(np.float64)
    losses = np.logaddexp(0.0, wide) - targets * wide
    return float((losses * weights).sum() / n_judged)


@dataclass
class _Best:
    """Best epoch so far by validation loss, or the latest without a validation set."""

    loss: float = math.inf
    epoch: int = 0
    weights: Weights | None = None

    def offer(self, epoch: int, loss: float, trainable: Trainable) -> None:
        if math.isnan(loss) or loss < self.loss:
            self.loss = self.loss if math.isnan(loss) else loss
            self.epoch, self.weights = epoch, trainable.weights()


def run_epochs(trainable: Trainable, data: FitData, plan: Plan, watch: Watch) -> Fitted:
    """Train for `plan.epochs`, or until the validation loss has not improved for `patience`.

    Parameters
    ----------
    trainable : changed in place; it ends with the weights of the best epoch.
    data : what to learn from. plan : how.
    watch : callbacks; `should_stop` is polled every few batches.

    Returns
    -------
    Fitted : with `trainable` as its predictor.

    Raises
    ------
    NetworkDivergedError : a loss or an output became NaN or infinite.
    CancelledError : `watch.should_stop` returned True.
    """
    rng = np.random.default_rng([plan.seed, 2])
    best, history, by_epoch = _Best(), [], KeptWeights()
    for epoch in range(1, plan.epochs + 1):
        started = time.perf_counter()
        learnt = _one_epoch(trainable, data, plan, rng, watch)
        held_out = validation_metrics(trainable, data, plan, watch)
        report = EpochReport(
            epoch=watch.first_epoch + epoch,
            epochs=watch.epochs or plan.epochs,
            loss=learnt.loss,
            validation_loss=held_out.loss,
            validation_macro_ap=held_out.macro_ap,
            seconds=time.perf_counter() - started,
            stage=watch.stage,
            binary_accuracy=learnt.binary_accuracy,
            validation_binary_accuracy=held_out.binary_accuracy,
        )
        history.append(report)
        if math.isnan(held_out.loss):
            _require_finite_weights(trainable)
        best.offer(epoch, held_out.loss, trainable)
        if watch.keeps_every_epoch:
            by_epoch.append(trainable.weights())
        if watch.on_epoch is not None:
            watch.on_epoch(report)
        if epoch - best.epoch >= plan.patience:
            break
    assert best.weights is not None  # noqa: S101  the first epoch always has a best
    trainable.set_weights(best.weights)
    return Fitted(trainable, tuple(history), best.epoch, by_epoch)


class EpochMetrics(NamedTuple):
    """Metrics of the training or the validation set in one epoch; NaN if nothing was judged.

    Attributes
    ----------
    loss : weighted BCE in nats. binary_accuracy : at 0.5. macro_ap : mean over labels.
    """

    loss: float = math.nan
    binary_accuracy: float = math.nan
    macro_ap: float = math.nan


def _require_finite_weights(trainable: Trainable) -> None:
    """Refuse weights that diverged; without a validation set no loss shows it."""
    if not all(np.isfinite(value).all() for value in trainable.weights().values()):
        raise NetworkDivergedError("the weights are not finite; lower the learning rate")


def _one_epoch(
    trainable: Trainable, data: FitData, plan: Plan, rng: np.random.Generator, watch: Watch
) -> EpochMetrics:
    items = data.inputs.draw(data.training, rng)
    total, n_right, n_judged = 0.0, 0, 0
    for number, part in enumerate(item_batches(items, plan.batch_size)):
        if number % _BATCHES_BETWEEN_CHECKS == 0:
            watch.check()
        rows = part[:, 0]
        judged = int(data.mask[rows].sum())
        if judged == 0:
            continue
        weights = data.weights[rows] / np.float32(judged)
        loss, right = trainable.step(data.inputs.gather(part), data.targets[rows], weights)
        if not math.isfinite(loss):
            raise NetworkDivergedError(
                f"the training loss became {loss}; "
                "lower the learning rate or check the features"
            )
        total, n_judged = total + loss * judged, n_judged + judged
        n_right += right
    if not n_judged:
        return EpochMetrics()
    return EpochMetrics(total / n_judged, n_right / n_judged)


def validation_metrics(
    predictor: Predictor, data: FitData, plan: Plan, watch: Watch
) -> EpochMetrics:
    """Measure a network on its validation tracks.

    Parameters
    ----------
    predictor : the network with its weights.
    data : `validation` names the rows. plan : names the pooling. watch : polled every batch.

    Returns
    -------
    EpochMetrics : the loss weighted as in training; all NaN without a judged element.

    Raises
    ------
    NetworkDivergedError : an output is NaN or infinite.
    CancelledError : `watch.should_stop` returned True.
    """
    rows = data.validation
    mask = data.mask[rows]
    if not mask.any():
        return EpochMetrics()
    logits = score_tracks(
        predictor,
        data.inputs,
        rows,
        data.n_labels,
        pooling=str(plan.options["pooling"]),
        check=watch.check,
    )
    if not np.isfinite(logits[mask]).all():
        raise NetworkDivergedError(
            "the outputs for the validation tracks are not finite; lower the learning rate"
        )
    logits, targets = np.where(mask, logits, 0.0), data.targets[rows]
    return EpochMetrics(
        weighted_bce(logits, targets, data.weights[rows], int(mask.sum())),
        float(((logits > 0) == (targets > 0.5))[mask].mean()),
        _macro_average_precision(logits, targets > 0.5, mask),
    )


def _macro_average_precision(
    scores: FloatArray, targets: np.ndarray, mask: np.ndarray
) -> float:
    """Return the mean AP over labels with a positive and a negative; NaN without any."""
    values = [
        average_precision(scores[mask[:, label], label], targets[mask[:, label], label])
        for label in range(scores.shape[1])
    ]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


def polled(should_stop: ShouldStop | None) -> Callable[[], None]:
    """Return a function that raises CancelledError if the caller asked to stop.

    Parameters
    ----------
    should_stop : polled at each call; None never stops.

    Returns
    -------
    callable : without arguments.
    """
    return Watch(should_stop=should_stop).check
