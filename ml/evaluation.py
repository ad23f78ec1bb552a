"""How good a model is on tracks it has not seen, beside the constant predictor.

A single model is evaluated on audit tracks; before there are any, `cross_validate` tells what
a configuration is worth on the tracks there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.metrics import STATISTICS, baseline, centred_interval, evaluate, resampling_weights
from ml.networks.base import EpochReport, ShouldStop
from ml.splits import grouped_folds
from ml.track_features import SelectedTracks, TrackFeatures
from ml.trained_model import TrainedModel
from ml.training import train
from ml.types import LabelMatrix, TrainingConfig

Figures = dict[str, Any]

_N_RESAMPLES = 200
_MEANS = (
    "macro_ap",
    "lwlrap",
    "bce",
    "bce_skill",
    "macro_f1",
    "micro_f1",
    "binary_accuracy",
)


@dataclass(frozen=True)
class FoldProgress:
    """An epoch of fold `fold` (from 1) of `folds` has ended."""

    fold: int
    folds: int
    epoch: EpochReport


@dataclass(frozen=True)
class CrossValidation:
    """What the folds found.

    Attributes
    ----------
    metrics, baseline : of the model and of the constant; each figure is the mean over the
        folds that have it, `n` the tracks of all folds, `labels_scored` the labels scored in
        any fold; `metrics["interval"]` is a bootstrap over split groups within each fold.
    folds : `{"metrics", "baseline"}` of each fold, as `ml.metrics.evaluate` gives them.
    probabilities : float32 (n_tracks, n_labels), of the model that did not see the track.
    fold_of : int (n_tracks,).
    """

    metrics: Figures
    baseline: Figures
    folds: tuple[dict[str, Figures], ...]
    probabilities: npt.NDArray[np.float32]
    fold_of: npt.NDArray[np.intp]


def evaluate_model(
    model: TrainedModel,
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None = None,
    seed: int = 0,
) -> tuple[Figures, Figures]:
    """Return (metrics, baseline) of `model` on tracks it was not trained on.

    Both use what was fixed in training: its thresholds, and its prevalence as the constant.
    `groups` are resampled as wholes for the interval.
    """
    probabilities = model.probabilities(features)
    figures = evaluate(
        probabilities, labels, model.thresholds, prior=model.prior, seed=seed, groups=groups
    )
    return figures, baseline(model.prior, labels)


def cross_validate(
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    config: TrainingConfig,
    n_folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[FoldProgress], None] | None = None,
    should_stop: ShouldStop | None = None,
) -> CrossValidation:
    """Train and evaluate `n_folds` times, each time on the groups of one fold.

    Parameters
    ----------
    features, labels, groups, config : as `ml.training.train`.
    n_folds : 2 to the number of groups. seed : of the folds and the interval.

    Raises
    ------
    ParameterError, NothingToLearnError, NetworkDivergedError, CancelledError : as `train`.
    """
    if not features.n_tracks == labels.n_tracks == len(groups):
        raise ParameterError("features, labels and groups must be of the same tracks")
    groups = np.asarray(groups)
    fold_of = grouped_folds(labels, groups, n_folds, seed)
    probabilities = np.zeros(labels.labels.shape, dtype=np.float32)
    folds: list[dict[str, Figures]] = []
    for fold in range(n_folds):
        held, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        model = train(
            SelectedTracks(features, rest),
            labels.rows(rest),
            groups[rest],
            config,
            on_epoch=_forward(on_progress, fold + 1, n_folds),
            should_stop=should_stop,
        )
        probabilities[held] = model.probabilities(
            SelectedTracks(features, held), should_stop=should_stop
        )
        folds.append(_fold_figures(model, probabilities[held], labels.rows(held)))
    interval = _interval(probabilities, labels, groups, fold_of, seed)
    metrics = _mean_figures([fold["metrics"] for fold in folds])
    return CrossValidation(
        metrics={**metrics, "interval": {"macro_ap": interval}},
        baseline=_mean_figures([fold["baseline"] for fold in folds]),
        folds=tuple(folds),
        probabilities=probabilities,
        fold_of=fold_of,
    )


def _forward(
    on_progress: Callable[[FoldProgress], None] | None, fold: int, folds: int
) -> Callable[[EpochReport], None] | None:
    if on_progress is None:
        return None
    return lambda report: on_progress(FoldProgress(fold, folds, report))


def _fold_figures(
    model: TrainedModel, probabilities: npt.NDArray[np.float32], labels: LabelMatrix
) -> dict[str, Figures]:
    figures = evaluate(
        probabilities, labels, model.thresholds, prior=model.prior, n_bootstrap=0
    )
    return {"metrics": figures, "baseline": baseline(model.prior, labels)}


def _mean_figures(folds: list[Figures]) -> Figures:
    rows = [
        _mean_of_label([fold["labels"][index] for fold in folds])
        for index in range(len(folds[0]["labels"]))
    ]
    return {
        "n": sum(fold["n"] for fold in folds),
        "labels_scored": sum(row["ap"] is not None for row in rows),
        **{name: _mean([fold[name] for fold in folds]) for name in _MEANS},
        "interval": {"macro_ap": None},
        "labels": rows,
    }


def _mean_of_label(rows: list[Figures]) -> Figures:
    sums = {name: sum(row[name] for row in rows) for name in ("support", "negatives")}
    names = ("prevalence", "ap", "ap_ratio", "threshold", "precision", "recall", "f1")
    means = {name: _mean([row[name] for row in rows]) for name in names}
    return {"index": rows[0]["index"], **sums, **means}


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _interval(
    probabilities: npt.NDArray[np.float32],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    fold_of: npt.NDArray[np.intp],
    seed: int,
) -> list[float] | None:
    """95 % interval of the mean over folds of macro AP, groups drawn anew within each fold."""
    draws, figures = [], []
    for fold in np.unique(fold_of):
        held = np.flatnonzero(fold_of == fold)
        blocks = resampling_weights(len(held), groups[held], _N_RESAMPLES, seed + int(fold))
        rows = labels.rows(held)
        macro_ap = partial(STATISTICS["macro_ap"], probabilities[held], rows)
        figures.append(macro_ap(np.ones((len(held), 1)))[0])
        draws.append(np.concatenate([macro_ap(block) for block in blocks]))
    means = np.array(draws).mean(axis=0)
    return centred_interval(means, float(np.nanmean(figures)))
