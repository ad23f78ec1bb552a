"""Evaluation records of trained models: one run on held-out tracks, or folds over all tracks.

Stage: evaluation, in a worker. `ml.evaluation.record` defines and stores the records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.evaluation.cross_validation import CrossValidation, scores
from ml.evaluation.record import AUDIT, FOLDS, EvaluationRecord, LabelName
from ml.features.track_features import TrackFeatures
from ml.networks.base import ShouldStop
from ml.training.trained_model import TrainedModel
from ml.types import LabelMatrix


@dataclass(frozen=True)
class HeldOut:
    """Held-out tracks, their reference labels, and facts to store with the record.

    Attributes
    ----------
    track_uids : bytes (n,). groups : (n,), split groups.
    reference : (n, n_labels), labels to measure by. labels : names of its columns.
    judged_by : whose labels these are, in words. about : any JSON values.
    """

    track_uids: npt.NDArray[np.bytes_]
    groups: npt.NDArray[Any]
    reference: LabelMatrix
    labels: tuple[LabelName, ...]
    judged_by: str = ""
    about: dict[str, Any] = field(default_factory=dict)


def record_of_model(
    model: TrainedModel,
    features: TrackFeatures,
    held_out: HeldOut,
    should_stop: ShouldStop | None = None,
) -> EvaluationRecord:
    """Score held-out tracks with one model.

    Parameters
    ----------
    model : trained. features : of the tracks of `held_out`, in the same order.
    held_out : tracks and reference. should_stop : polled before every batch.

    Returns
    -------
    EvaluationRecord : of one part.

    Raises
    ------
    ParameterError : shapes differ, or a feature is not finite.
    CancelledError : `should_stop` returned True.
    """
    if features.n_tracks != held_out.reference.n_tracks:
        raise ParameterError("features and reference must be of the same tracks, in one order")
    logits, probabilities = scores(model, features, should_stop)
    return EvaluationRecord(
        track_uids=held_out.track_uids,
        groups=_codes(held_out.groups),
        reference=held_out.reference,
        logits=logits,
        probabilities=probabilities,
        thresholds=model.thresholds[None].astype(np.float64),
        prior=model.prior[None].astype(np.float64),
        part_of=np.zeros(features.n_tracks, dtype=np.intp),
        labels=held_out.labels,
        side=AUDIT,
        judged_by=held_out.judged_by,
        history=tuple(epochs_of(model)),
        about=held_out.about,
    )


def record_of_folds(outcome: CrossValidation, held_out: HeldOut) -> EvaluationRecord:
    """Turn the out-of-fold scores of a cross-validation into a record.

    Parameters
    ----------
    outcome : the cross-validation. held_out : all of its tracks, in its order.

    Returns
    -------
    EvaluationRecord : one part for each fold.
    """
    return EvaluationRecord(
        track_uids=held_out.track_uids,
        groups=_codes(held_out.groups),
        reference=held_out.reference,
        logits=outcome.logits,
        probabilities=outcome.probabilities,
        thresholds=np.stack([model.thresholds for model in outcome.models]),
        prior=np.stack([model.prior for model in outcome.models]),
        part_of=outcome.fold_of,
        labels=held_out.labels,
        side=FOLDS,
        judged_by=held_out.judged_by,
        history=tuple(
            {**epoch, "part": number}
            for number, model in enumerate(outcome.models)
            for epoch in epochs_of(model)
        ),
        about=held_out.about,
    )


def epochs_of(model: TrainedModel) -> list[dict[str, Any]]:
    """Return the training history as JSON values; NaN becomes None.

    Parameters
    ----------
    model : trained.

    Returns
    -------
    list of dict : the fields of `ml.networks.base.EpochReport`, one for each epoch.
    """
    return [
        {name: None if value != value else value for name, value in asdict(report).items()}
        for report in model.history
    ]


def _codes(groups: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    return np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64)
