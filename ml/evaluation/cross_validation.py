"""Cross-validation, and the evaluation of one model, with the baseline (prior predictor).

Stage: evaluation. A model is evaluated on audit tracks. Before any are labelled,
`cross_validate` measures a configuration on the tracks of the training side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.features.track_features import SelectedTracks, TrackFeatures
from ml.metrics.fold_means import mean_metrics
from ml.metrics.intervals import centred_interval, resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.paired import STATISTICS
from ml.metrics.scores import Metrics, baseline, evaluate
from ml.metrics.splits import grouped_folds
from ml.networks.base import EpochReport, OnEpoch, ShouldStop
from ml.training.fit import train
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix, TrainingConfig

_N_RESAMPLES = 200


@dataclass(frozen=True)
class FoldProgress:
    """Progress of a cross-validation, after an epoch.

    Attributes
    ----------
    fold, folds : fold from 1, and their number. epoch : its report.
    """

    fold: int
    folds: int
    epoch: EpochReport


OnFold = Callable[[FoldProgress], None]


@dataclass(frozen=True)
class CrossValidation:
    """Results of all folds.

    Attributes
    ----------
    metrics, baseline : of the model and of the prior predictor. Each metric is the mean over
        the folds that have it; `n` counts the tracks of all folds, `labels_scored` the labels
        scored in any fold. `metrics["interval"]` is a bootstrap over split groups within folds.
    folds : `metrics` and `baseline` of each fold, as `ml.metrics.scores.evaluate` returns them.
    logits, probabilities : float32 (n_tracks, n_labels), out of fold, before and after
        calibration.
    fold_of : int (n_tracks,), fold of each track from 0. models : the model of each fold.
    """

    metrics: Metrics
    baseline: Metrics
    folds: tuple[dict[str, Metrics], ...]
    logits: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    fold_of: npt.NDArray[np.intp]
    models: tuple[TrainedModel, ...]


def scores(
    model: TrainedModel, features: TrackFeatures, should_stop: ShouldStop | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Score tracks once, before and after calibration.

    Parameters
    ----------
    model : trained. features : of n_tracks, of its configuration.
    should_stop : polled before every batch.

    Returns
    -------
    tuple of logits and probabilities : float32 (n_tracks, n_labels). A track without a window
        has logits of NaN, and the prior as its probabilities.

    Raises
    ------
    ParameterError : a feature is not finite or has another shape.
    CancelledError : `should_stop` returned True.
    """
    logits = model.logits(features, should_stop=should_stop)
    if model.network.needs == "windows" and features.n_tracks:
        logits = np.where((features.window_counts() > 0)[:, None], logits, np.float32(np.nan))
    return logits, model.calibrated(logits)


def evaluate_model(
    model: TrainedModel,
    features: TrackFeatures,
    labels: LabelMatrix,
    groups: npt.NDArray[Any] | None = None,
    seed: int = 0,
) -> tuple[Metrics, Metrics]:
    """Measure a model on tracks it was not trained on.

    The thresholds and the prior of the baseline are those of the training.

    Parameters
    ----------
    model : trained. features, labels : of n_tracks.
    groups : (n_tracks,), resampled as wholes for the interval; None resamples single tracks.
    seed : of the bootstrap.

    Returns
    -------
    tuple of metrics and baseline : as `ml.metrics.scores.evaluate` returns them.

    Raises
    ------
    ParameterError : shapes differ, or a feature is not finite.
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
    *,
    facets: Sequence[str] = (),
    on_progress: OnFold | None = None,
    should_stop: ShouldStop | None = None,
) -> CrossValidation:
    """Train and evaluate once for each fold, on the groups of that fold.

    Parameters
    ----------
    features, labels, groups, config, facets : as in `ml.training.fit.train`.
    n_folds : from 2 to the number of groups. seed : of the folds and the interval.
    on_progress : called after every epoch. should_stop : polled every few batches.

    Returns
    -------
    CrossValidation : with the models of all folds.

    Raises
    ------
    ParameterError, NothingToLearnError, NetworkDivergedError, CancelledError : as
        `ml.training.fit.train`.
    """
    if not features.n_tracks == labels.n_tracks == len(groups):
        raise ParameterError(
            "features, labels and groups must be of the same tracks, in one order"
        )
    groups = np.asarray(groups)
    fold_of = grouped_folds(labels, groups, n_folds, seed)
    logits = np.zeros(labels.labels.shape, dtype=np.float32)
    probabilities = np.zeros(labels.labels.shape, dtype=np.float32)
    folds: list[dict[str, Metrics]] = []
    models: list[TrainedModel] = []
    for fold in range(n_folds):
        held, rest = np.flatnonzero(fold_of == fold), np.flatnonzero(fold_of != fold)
        model = train(
            SelectedTracks(features, rest),
            labels.rows(rest),
            groups[rest],
            config,
            facets=facets,
            on_epoch=_forward(on_progress, fold + 1, n_folds),
            should_stop=should_stop,
        )
        logits[held], probabilities[held] = scores(
            model, SelectedTracks(features, held), should_stop
        )
        models.append(model)
        folds.append(_fold_figures(model, probabilities[held], labels.rows(held)))
    interval = _interval(probabilities, labels, groups, fold_of, seed)
    metrics = mean_metrics([fold["metrics"] for fold in folds])
    return CrossValidation(
        metrics={**metrics, "interval": {"macro_ap": interval}},
        baseline=mean_metrics([fold["baseline"] for fold in folds]),
        folds=tuple(folds),
        logits=logits,
        probabilities=probabilities,
        fold_of=fold_of,
        models=tuple(models),
    )


def _forward(on_progress: OnFold | None, fold: int, folds: int) -> OnEpoch | None:
    if on_progress is None:
        return None
    return lambda report: on_progress(FoldProgress(fold, folds, report))


def _fold_figures(
    model: TrainedModel, probabilities: npt.NDArray[np.float32], labels: LabelMatrix
) -> dict[str, Metrics]:
    figures = evaluate(
        probabilities, labels, model.thresholds, prior=model.prior, n_bootstrap=0
    )
    return {"metrics": figures, "baseline": baseline(model.prior, labels)}


def _interval(
    probabilities: npt.NDArray[np.float32],
    labels: LabelMatrix,
    groups: npt.NDArray[Any],
    fold_of: npt.NDArray[np.intp],
    seed: int,
) -> list[float] | None:
    """Return the 95 % interval of macro AP, groups resampled within each fold."""
    if not can_be_resampled(labels, groups, fold_of):
        return None
    draws, figures = [], []
    for fold in np.unique(fold_of):
        held = np.flatnonzero(fold_of == fold)
        blocks = resampling_weights(len(held), groups[held], _N_RESAMPLES, seed + int(fold))
        rows = labels.rows(held)
        macro_ap = partial(STATISTICS["macro_ap"], probabilities[held], rows)
        figures.append(macro_ap(np.ones((len(held), 1)))[0])
        draws.append(np.concatenate([macro_ap(block) for block in blocks]))
    means = np.ma.masked_invalid(np.array(draws)).mean(axis=0).filled(np.nan)
    return centred_interval(means, float(np.nanmean(figures)))
