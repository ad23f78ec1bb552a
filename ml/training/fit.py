"""From judged tracks to a calibrated model.

Stage: train, after a snapshot froze who is learnt from and before evaluation on audit tracks.

1. Scale the inputs by statistics of the tracks learnt from.
2. Fit the network on a masked, weighted binary cross-entropy; stop by validation loss.
3. Calibrate (Platt), learn how many labels tracks carry, then tune thresholds, all on tracks
   the scores were not learnt from.

What was not judged has no part in any of it. Cheap networks are cross-fitted: up to five
grouped folds give the number of epochs and the out-of-fold scores for step 3, then the network
is fitted once more on every track. For the others one part of the groups is held out for both.
The TrainingConfig can ask for less: a split of single tracks or windows, no calibration, a cut
at one half (`ml.training.recipes` says who does, and why).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import NothingToLearnError
from ml.features.track_features import TrackFeatures
from ml.metrics.calibration import PlattScaling, fit_platt, tune_thresholds
from ml.metrics.scores import scorable_labels
from ml.metrics.splits import grouped_folds
from ml.networks.base import (
    ByEpoch,
    EpochReport,
    FitData,
    Fitted,
    Inputs,
    Network,
    OnEpoch,
    Plan,
    Predictor,
    ShouldStop,
    Watch,
    plan_of,
)
from ml.networks.inputs import DrawnByLabel, Scaler, fit_scaler, scaled_inputs
from ml.networks.loop import score_tracks
from ml.networks.members import network_of
from ml.training.cardinality import LabelCounts, fit_label_counts
from ml.training.checks import MINIMUM_TO_TELL_APART, followed, require_fitting, require_windows
from ml.training.losses import element_weights, log_odds, prevalence
from ml.training.trained_model import HeldBack, TrainedModel
from ml.training.window_split import split_windows
from ml.types import LabelMatrix, TrainingConfig

__all__ = ["EpochReport", "TrainedModel", "train"]

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

INNER_FOLDS = 5
#: With this many tracks scored out of fold calibration has enough; no further fold is fitted.
ENOUGH_UNSEEN = 2_000


@dataclass(frozen=True)
class _Work:
    """One training: what is learnt from, by what, and who looks on.

    `groups` are what the split keeps together, `albums` what it should keep together: the same
    unless the TrainingConfig asks for another split. `is_present` says by whose criteria each
    track was judged, None where that is not told apart.
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
    def usable(self) -> IndexArray:
        """Tracks with any judged element."""
        return np.flatnonzero(self.labels.label_mask.any(axis=1))

    @property
    def n_groups(self) -> int:
        """Number of groups among the usable tracks."""
        return len(np.unique(self.groups[self.usable]))


@dataclass(frozen=True)
class _Outcome:
    """A fitted network and scores of rows it had not seen.

    `unseen` are the labels of these rows, `rows` which ones of the work's they are, `albums`
    their split groups, `logits` the raw scores.
    """

    fitted: Fitted
    scaler: Scaler
    unseen: LabelMatrix
    rows: IndexArray
    albums: npt.NDArray[Any]
    logits: FloatArray
    history: tuple[EpochReport, ...]


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
    features, labels : of the same tracks in the same order; no audit track among them.
    groups : (n_tracks,) split group of each track, of any sortable type.
    config : network, loss, seed; zeros mean the network's own defaults.
    label_uids : names of the columns, kept with the model; their numbers where left out.
    facets : names of the facets of the columns, for a config whose label counts are learnt;
        left out, all labels are of one facet.
    is_present : bool (n_tracks,), by whose criteria each track was judged, for a config with
        criteria "apart". Where nobody knows (None), all tracks to learn from are of one side,
        or few by the present one, nothing is told apart: the model's config says "same".
    on_epoch : told after every epoch. should_stop : polled every few batches.

    Returns
    -------
    TrainedModel. Labels without a judged positive, or without a judged negative, stay in its
    outputs as the constant prior. With a single group (or track, or window: whatever the config
    splits) nothing can be held out: the network then runs all its epochs, its probabilities
    are not calibrated, and tuned thresholds are the prior.

    Raises
    ------
    NothingToLearnError : no label has both a positive and a negative.
    ParameterError : shapes differ, a parameter is out of range or of no use to this network,
        a feature is not finite.
    NetworkDivergedError : a loss or output became NaN or infinite.
    CancelledError : `should_stop` said so; nothing is kept.
    """
    uids = tuple(label_uids) or tuple(str(index) for index in range(labels.n_labels))
    require_fitting(features, labels, groups, config, uids, tuple(facets))
    network = network_of(config)
    require_windows(network, config)
    judged = _judged(network, features, labels)
    is_learnt = scorable_labels(judged)
    if not is_learnt.any():
        raise NothingToLearnError(
            "no label has both a track with it and a track without it to learn from "
            f"({judged.n_tracks} tracks, {judged.n_labels} labels)"
        )
    learnt = LabelMatrix(judged.labels, judged.label_mask & is_learnt)
    config = followed(config, learnt, is_present)
    work = _Work(
        network=network,
        plan=plan_of(network, config, n_items=int(learnt.label_mask.any(axis=1).sum())),
        config=config,
        features=features,
        labels=learnt,
        groups=np.arange(len(groups)) if config.split == "tracks" else np.asarray(groups),
        albums=np.asarray(groups),
        is_present=is_present if config.criteria == "apart" else None,
        on_epoch=on_epoch,
        should_stop=should_stop,
    )
    outcome = _way_of(work)(work)
    prior = _shares(judged, work.is_present)
    of_facets = tuple(facets) or ("",) * judged.n_labels
    return _calibrated(outcome, work, uids, of_facets, prior, is_learnt)


def _shares(
    judged: LabelMatrix, is_present: npt.NDArray[np.bool_] | None
) -> npt.NDArray[np.float64]:
    """Share of the tracks with each label; by the present criteria where these are apart.

    Whoever knows whose answers are wanted can answer these by their frequencies. A label that
    the present ones judged on fewer tracks than it takes to tell criteria apart counts by all
    answers in the same measure as these are missing: of a label that they never judged nobody
    knows another frequency.
    """
    by_all = prevalence(judged)
    if is_present is None:
        return by_all
    present = judged.rows(np.flatnonzero(is_present))
    known = np.minimum(1.0, present.label_mask.sum(axis=0) / MINIMUM_TO_TELL_APART)
    return known * prevalence(present) + (1.0 - known) * by_all


def _way_of(work: _Work) -> Callable[[_Work], _Outcome]:
    """Choose how validation tracks come about. Windows are held out once, never in folds."""
    if work.config.split == "windows":
        return _hold_out_windows
    return _cross_fit if work.network.is_cheap else _hold_out


def _judged(network: Network, features: TrackFeatures, labels: LabelMatrix) -> LabelMatrix:
    """Return the labels with unjudged ones off, and tracks without a window not judged."""
    mask = labels.label_mask
    if network.needs == "windows":
        mask = mask & (features.window_counts() > 0)[:, None]
    return LabelMatrix(labels.labels & mask, mask)


def _fit(
    work: _Work, training: IndexArray, validation: IndexArray, watch: Watch, plan: Plan
) -> tuple[Fitted, Scaler, FitData]:
    scaler = fit_scaler(work.features, training, work.network.needs, plan)
    odds = log_odds(prevalence(work.labels.rows(training)))
    data = FitData(
        inputs=_inputs(work, scaler, plan),
        targets=work.labels.labels.astype(np.float32),
        weights=element_weights(work.config.loss, work.labels, training),
        mask=work.labels.label_mask,
        training=training,
        validation=validation,
        output_bias=odds if work.config.bias == "prior" else np.zeros_like(odds),
    )
    return work.network.fit(data, plan, watch), scaler, data


def _inputs(work: _Work, scaler: Scaler, plan: Plan) -> Inputs:
    inputs = scaled_inputs(work.features, work.network.needs, scaler, plan, work.is_present)
    if work.config.sampling == "uniform":
        return inputs
    targets = work.labels.labels.astype(np.float32)
    if work.network.needs == "summary":
        return DrawnByLabel(inputs, np.ones(len(targets), dtype=np.intp), 0, targets)
    counts = work.features.window_counts()
    return DrawnByLabel(inputs, counts, plan.whole("train_windows"), targets)


def _cross_fit(work: _Work) -> _Outcome:
    """Choose the epoch and score out of fold by inner folds, then fit on every track.

    One epoch is chosen for all folds, by their mean validation loss, so that the scores for
    the calibration owe their held-out tracks no more than that one choice.
    """
    n_folds = min(INNER_FOLDS, work.n_groups)
    if n_folds < 2:
        return _fit_all(work, work.plan, first_epoch=0, epochs=work.plan.epochs)
    usable = work.usable
    folds = grouped_folds(
        work.labels.rows(usable), work.groups[usable], n_folds, work.plan.seed
    )
    n_fits = min(n_folds, -(-ENOUGH_UNSEEN * n_folds // len(usable)))
    epochs = (n_fits + 1) * work.plan.epochs
    fits: list[tuple[tuple[EpochReport, ...], ByEpoch, FitData]] = []
    for fold in range(n_fits):
        watch = Watch(
            on_epoch=work.on_epoch,
            should_stop=work.should_stop,
            first_epoch=fold * work.plan.epochs,
            epochs=epochs,
            stage=f"fold {fold + 1} of {n_fits}",
            keeps_every_epoch=True,
        )
        training, validation = usable[folds != fold], usable[folds == fold]
        fitted, _, data = _fit(work, training, validation, watch, work.plan)
        fits.append((fitted.history, fitted.by_epoch, data))  # the predictor may go
    best = _best_epoch([history for history, _, _ in fits])
    logits = np.full(work.labels.labels.shape, np.nan, dtype=np.float32)
    for _, by_epoch, data in fits:
        predictor = work.network.restore(
            work.plan, data.inputs.item_shape, data.n_labels, by_epoch[best - 1]
        )
        logits[data.validation] = _scores(work, predictor, data)
    final = _fit_all(work, replace(work.plan, epochs=best), n_fits * work.plan.epochs, epochs)
    history = tuple(report for reports, _, _ in fits for report in reports)
    rows = np.flatnonzero(np.isfinite(logits).all(axis=1))
    unseen = work.labels.rows(rows)
    return replace(
        final,
        unseen=unseen,
        rows=rows,
        albums=work.albums[rows],
        logits=logits[rows],
        history=history + final.history,
    )


def _best_epoch(fits: list[tuple[EpochReport, ...]]) -> int:
    """Return the epoch, from 1, of the lowest validation loss, over epochs all folds saw."""
    shortest = min(len(history) for history in fits)
    curves = [[r.validation_loss for r in history[:shortest]] for history in fits]
    known = np.array([curve for curve in curves if np.isfinite(curve).all()])
    return int(known.mean(axis=0).argmin()) + 1 if len(known) else shortest


def _fit_all(work: _Work, plan: Plan, first_epoch: int, epochs: int) -> _Outcome:
    watch = Watch(
        on_epoch=work.on_epoch,
        should_stop=work.should_stop,
        first_epoch=first_epoch,
        epochs=epochs,
        stage="all tracks",
    )
    nobody = np.zeros(0, dtype=np.intp)
    fitted, scaler, data = _fit(work, work.usable, nobody, watch, plan)
    no_logits = np.zeros((0, data.n_labels), dtype=np.float32)
    unseen, albums = work.labels.rows(nobody), work.albums[nobody]
    return _Outcome(fitted, scaler, unseen, nobody, albums, no_logits, fitted.history)


def _hold_out(work: _Work) -> _Outcome:
    """Fit on most groups; stop, calibrate and tune by the rest."""
    n_parts = min(work.n_groups, max(2, round(1 / work.config.validation_share)))
    if n_parts < 2:
        return _fit_all(work, work.plan, first_epoch=0, epochs=work.plan.epochs)
    usable = work.usable
    parts = grouped_folds(
        work.labels.rows(usable), work.groups[usable], n_parts, work.plan.seed
    )
    return _fit_beside(work, usable[parts != 0], usable[parts == 0])


def _hold_out_windows(work: _Work) -> _Outcome:
    """Fit on most windows; stop, calibrate and tune by the rest, of the same tracks."""
    rows = split_windows(
        work.features, work.usable, work.config.validation_share, work.plan.seed
    )
    if len(rows.validation) == 0:
        return _fit_all(work, work.plan, first_epoch=0, epochs=work.plan.epochs)
    labels, albums = work.labels.rows(rows.track_of), work.albums[rows.track_of]
    parts = replace(work, features=rows, labels=labels, albums=albums)
    return _fit_beside(parts, rows.training, rows.validation)


def _fit_beside(work: _Work, training: IndexArray, validation: IndexArray) -> _Outcome:
    watch = Watch(on_epoch=work.on_epoch, should_stop=work.should_stop)
    fitted, scaler, data = _fit(work, training, validation, watch, work.plan)
    logits = _scores(work, fitted.predictor, data)
    unseen, albums = work.labels.rows(validation), work.albums[validation]
    return _Outcome(fitted, scaler, unseen, validation, albums, logits, fitted.history)


def _scores(work: _Work, predictor: Predictor, data: FitData) -> FloatArray:
    watch = Watch(should_stop=work.should_stop)
    return score_tracks(
        predictor,
        data.inputs,
        data.validation,
        data.n_labels,
        pooling=str(work.plan.options["pooling"]),
        check=watch.check,
    )


def _calibrated(
    outcome: _Outcome,
    work: _Work,
    uids: tuple[str, ...],
    facets: tuple[str, ...],
    prior: npt.NDArray[np.float64],
    is_learnt: npt.NDArray[np.bool_],
) -> TrainedModel:
    config, platt, counts = work.config, PlattScaling.identity(len(prior)), LabelCounts()
    thresholds: npt.NDArray[Any] = prior
    if outcome.unseen.n_tracks and config.calibration == "platt":
        platt = fit_platt(outcome.logits, outcome.unseen)
    if outcome.unseen.n_tracks:
        probabilities = platt.apply(outcome.logits)
        if config.label_counts == "learnt":
            counts = _counts(probabilities, outcome, work, facets, is_learnt)
            probabilities = counts.apply(probabilities)
        thresholds = tune_thresholds(probabilities, outcome.unseen)
    if config.thresholds == "half":
        thresholds = np.full(len(prior), 0.5)
    return TrainedModel(
        config=config,
        label_uids=uids,
        item_shape=scaled_inputs(
            work.features, work.network.needs, outcome.scaler, work.plan, work.is_present
        ).item_shape,
        predictor=outcome.fitted.predictor,
        scaler=outcome.scaler,
        platt=platt,
        thresholds=np.where(is_learnt, thresholds, 0.5),
        prior=prior,
        is_learnt=is_learnt,
        counts=counts,
        history=outcome.history,
        validation=_held_back(outcome),
    )


def _counts(
    probabilities: npt.NDArray[Any],
    outcome: _Outcome,
    work: _Work,
    facets: tuple[str, ...],
    is_learnt: npt.NDArray[np.bool_],
) -> LabelCounts:
    """Learn how many labels tracks carry: of those by the present criteria, if told apart."""
    rows = np.arange(outcome.unseen.n_tracks)
    if work.is_present is not None:
        rows = np.flatnonzero(work.is_present[outcome.rows])
    return fit_label_counts(probabilities[rows], outcome.unseen.rows(rows), facets, is_learnt)


def _held_back(outcome: _Outcome) -> HeldBack | None:
    if not outcome.unseen.n_tracks:
        return None
    return HeldBack(outcome.unseen, outcome.logits, outcome.albums)
