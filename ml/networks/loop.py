"""The epochs that every gradient-trained network goes through. Numpy only.

One loop for the Keras networks and their numpy twin, so that they see the same batches in the
same order, stop by the same rule and report alike.
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
    FloatArray,
    IndexArray,
    Inputs,
    Plan,
    Predictor,
    ShouldStop,
    Watch,
    Weights,
    batches,
)
from ml.networks.inputs import require_finite
from ml.networks.kept_weights import KeptWeights

#: Items scored at once; one call a window costs 50 ms in Keras, whatever the network.
SCORING_BATCH = 256
_BATCHES_BETWEEN_CHECKS = 8


class Step(NamedTuple):
    """What one batch was like before the step: its loss, and how many elements were right.

    `n_right` counts elements of weight above 0 that are on the right side of 0.5.
    """

    loss: float
    n_right: int


class Trainable(Predictor, Protocol):
    """A predictor that can also take a step downhill."""

    def step(self, items: FloatArray, targets: FloatArray, weights: FloatArray) -> Step:
        """Take one step of the optimiser; return the loss and the hits before it.

        `weights` are those of the elements already divided by the number that count, so the
        loss is the plain sum of weight x cross-entropy.
        """

    def set_weights(self, weights: Weights) -> None:
        """Put weights back, as `weights()` gave them."""


def score_tracks(
    predictor: Predictor,
    inputs: Inputs,
    tracks: IndexArray,
    n_labels: int,
    *,
    pooling: str = "mean-logit",
    on_items: Callable[[int, int], None] | None = None,
    check: Callable[[], None] | None = None,
) -> FloatArray:
    """Return float32 (m, n_labels): a track's logits are the mean over its items.

    The mean of logits by default, not of probabilities: it is what Platt scaling then corrects,
    and no window at certainty drowns the others. `pooling` "mean-probability" takes the log
    odds of the mean of the probabilities, as the study did. A track without items gets NaN.

    Raises
    ------
    ParameterError : an item is not finite; its NaN would be taken for a track without items.
    """
    is_probability = pooling == "mean-probability"
    items = inputs.fixed(tracks)
    sums = np.zeros((len(tracks), n_labels), dtype=np.float64)
    place = np.repeat(np.arange(len(tracks)), _items_a_track(items, tracks))
    done = 0
    for part in batches(items, SCORING_BATCH):
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


def _items_a_track(items: IndexArray, tracks: IndexArray) -> IndexArray:
    """Items of each track, given that items come grouped in the order of `tracks`."""
    per_id = np.bincount(items[:, 0], minlength=int(tracks.max(initial=0)) + 1)
    return per_id[tracks]


def weighted_bce(
    logits: FloatArray, targets: FloatArray, weights: FloatArray, n_judged: int
) -> float:
    """Weighted binary cross-entropy in nats, summed and divided by `n_judged` elements."""
    if n_judged == 0:
        return math.nan
    wide = logits.astype(np.float64)
    losses = np.logaddexp(0.0, wide) - targets * wide
    return float((losses * weights).sum() / n_judged)


@dataclass
class _Best:
    """The best epoch so far, by validation loss (or the last, where nothing validates)."""

    loss: float = math.inf
    epoch: int = 0
    weights: Weights | None = None

    def offer(self, epoch: int, loss: float, trainable: Trainable) -> None:
        if math.isnan(loss) or loss < self.loss:
            self.loss = self.loss if math.isnan(loss) else loss
            self.epoch, self.weights = epoch, trainable.weights()


def run_epochs(trainable: Trainable, data: FitData, plan: Plan, watch: Watch) -> Fitted:
    """Train until `plan.epochs`, or `plan.patience` epochs without a better validation loss.

    Ends with the weights of the best epoch in `trainable`.

    Raises
    ------
    NetworkDivergedError : a loss or an output became NaN or infinite.
    CancelledError : `watch.should_stop` said so; it is polled every few batches.
    """
    rng = np.random.default_rng([plan.seed, 2])
    best, history, by_epoch = _Best(), [], KeptWeights()
    for epoch in range(1, plan.epochs + 1):
        started = time.perf_counter()
        learnt = _one_epoch(trainable, data, plan, rng, watch)
        held_out = validate(trainable, data, plan, watch)
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


class Figures(NamedTuple):
    """Of one side in one epoch; NaN where nothing was judged."""

    loss: float = math.nan
    binary_accuracy: float = math.nan
    macro_ap: float = math.nan


def _require_finite_weights(trainable: Trainable) -> None:
    """Where nothing validates, the last step may have gone wrong unseen."""
    if not all(np.isfinite(value).all() for value in trainable.weights().values()):
        raise NetworkDivergedError("the weights are not finite; lower the learning rate")


def _one_epoch(
    trainable: Trainable, data: FitData, plan: Plan, rng: np.random.Generator, watch: Watch
) -> Figures:
    items = data.inputs.draw(data.training, rng)
    total, n_right, n_judged = 0.0, 0, 0
    for number, part in enumerate(batches(items, plan.batch_size)):
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
    return Figures(total / n_judged, n_right / n_judged) if n_judged else Figures()


def validate(predictor: Predictor, data: FitData, plan: Plan, watch: Watch) -> Figures:
    """Return loss (weighted as in training), accuracy and macro AP on the validation tracks."""
    rows = data.validation
    mask = data.mask[rows]
    if not mask.any():
        return Figures()
    logits = score_tracks(
        predictor,
        data.inputs,
        rows,
        data.n_labels,
        pooling=str(plan.options["pooling"]),
        check=watch.check,
    )
    if not np.isfinite(logits[mask]).all():
        raise NetworkDivergedError("the outputs for the validation tracks are not finite")
    logits, targets = np.where(mask, logits, 0.0), data.targets[rows]
    return Figures(
        weighted_bce(logits, targets, data.weights[rows], int(mask.sum())),
        float(((logits > 0) == (targets > 0))[mask].mean()),
        macro_ap(logits, targets > 0, mask),
    )


def macro_ap(scores: FloatArray, targets: np.ndarray, mask: np.ndarray) -> float:
    """Mean average precision over labels with a positive and a negative; NaN without any."""
    values = [
        average_precision(scores[mask[:, label], label], targets[mask[:, label], label])
        for label in range(scores.shape[1])
    ]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


def polled(should_stop: ShouldStop | None) -> Callable[[], None]:
    """Return a function that raises CancelledError when `should_stop` says so."""
    return Watch(should_stop=should_stop).check
