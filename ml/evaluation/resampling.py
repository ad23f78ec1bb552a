"""Metrics of a record for many weightings of the tracks at once. Numpy only.

Stage: evaluation; used by `ml.evaluation.report` and `ml.evaluation.comparison`. With weights
of 1 the metrics are those of `ml.metrics.scores.evaluate`; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from ml.evaluation.record import EvaluationRecord
from ml.metrics.headline import Headline, Predicted, Yardstick, headline, yardstick
from ml.metrics.intervals import resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.label_skill import LabelSkill, label_skills
from ml.metrics.ranking import (
    CELLS_A_BLOCK,
    cross_entropy_sums,
    label_ranking_precision,
    weighted_average_precision,
)
from ml.metrics.scores import scorable_labels
from ml.types import Bools, Floats, LabelMatrix

#: Metrics over the labels scored on these tracks. On few tracks they are too high: pages show
#: `ml.metrics.headline` instead.
HEADLINES = ("macro_ap", "bce_skill", "lwlrap", "macro_f1")


def label_average_precision(
    probabilities: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    """Compute the AP of every label for each weighting, in blocks to limit memory.

    Parameters
    ----------
    probabilities : float (n, n_labels). labels : (n, n_labels), the reference.
    weights : float (n, B), of each track in each weighting.

    Returns
    -------
    Floats : float (n_labels, B), NaN if it cannot be computed.

    Examples
    --------
    >>> given = np.array([[True], [False], [True]])
    >>> labels = LabelMatrix(given, np.ones_like(given))
    >>> scores = np.array([[0.9], [0.4], [0.1]])
    >>> weights = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 1.0]])
    >>> label_average_precision(scores, labels, weights).round(3).tolist()
    [[0.833, 0.75]]
    """
    found = np.full((labels.n_labels, weights.shape[1]), np.nan)
    for part in _blocks(weights):
        for index in range(labels.n_labels):
            judged = labels.label_mask[:, index]
            if judged.any():
                found[index, part] = weighted_average_precision(
                    probabilities[judged, index],
                    labels.labels[judged, index],
                    weights[judged, part],
                )
    return found


def _blocks(weights: Floats) -> Iterator[slice]:
    width = max(1, CELLS_A_BLOCK // max(1, len(weights)))
    for start in range(0, weights.shape[1], width):
        yield slice(start, start + width)


def headline_figures(
    probabilities: Floats,
    labels: LabelMatrix,
    thresholds: Floats,
    baseline: Floats,
    weights: Floats,
    label_ap: Floats | None = None,
) -> dict[str, Floats]:
    """Compute each headline metric for each weighting of the tracks.

    Labels without a judged positive or without a judged negative take no part.

    Parameters
    ----------
    probabilities : float (n, n_labels) in [0, 1]. labels : (n, n_labels), the reference.
    thresholds : float (n, n_labels), of each cell.
    baseline : float (n, n_labels), probabilities of the prior predictor.
    weights : float (n, B), of each track in each weighting.
    label_ap : `label_average_precision` of the same, if it is known already.

    Returns
    -------
    dict of str and Floats : float (B,) for each of `HEADLINES`, NaN if it cannot be computed.
    """
    scored = scorable_labels(labels)
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    values, baseline = probabilities[:, scored], baseline[:, scored]
    if label_ap is None:
        label_ap = label_average_precision(values, kept, weights)
    else:
        label_ap = label_ap[scored]
    return {
        "macro_ap": _mean_known(label_ap),
        "bce_skill": _skill(values, baseline, kept, weights),
        "lwlrap": label_ranking_precision(values, kept, weights),
        "macro_f1": _mean_known(_f1(values >= thresholds[:, scored], kept, weights)),
    }


def _mean_known(values: Floats) -> Floats:
    """Return the mean over the first axis of finite values; NaN without any."""
    known = np.isfinite(values)
    total, n = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, n, out=np.full(values.shape[1], np.nan), where=n > 0)


def _skill(
    probabilities: Floats, baseline: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    ours, _ = cross_entropy_sums(probabilities, labels)
    its, _ = cross_entropy_sums(baseline, labels)
    top, bottom = ours @ weights, its @ weights
    return 1 - np.divide(top, bottom, out=np.full(len(bottom), np.nan), where=bottom > 0)


def _f1(chosen: Bools, labels: LabelMatrix, weights: Floats) -> Floats:
    positives = labels.labels & labels.label_mask
    chosen = chosen & labels.label_mask
    hits = (positives & chosen).T.astype(float) @ weights
    support = positives.T.astype(float) @ weights
    total = support + chosen.T.astype(float) @ weights
    return np.divide(2 * hits, total, out=np.full(hits.shape, np.nan), where=support > 0)


def record_weights(record: EvaluationRecord, n_resamples: int, seed: int) -> Floats:
    """Draw bootstrap weights: split groups with replacement, within each part.

    Parameters
    ----------
    record : of a run. n_resamples, seed : of the bootstrap.

    Returns
    -------
    Floats : float (n, n_resamples). All weights are 0 if too few groups were judged, so that no
        metric can be computed.
    """
    weights = np.zeros((record.n_tracks, n_resamples))
    if not can_be_resampled(record.reference, record.groups, record.part_of):
        return weights
    for number, part in enumerate(record.parts()):
        if not len(part.rows):
            continue
        blocks = resampling_weights(
            len(part.rows), record.groups[part.rows], n_resamples, seed + number
        )
        weights[part.rows] = np.concatenate(list(blocks), axis=1)
    return weights


Compute = Callable[[EvaluationRecord, Floats], Floats]


def mean_over_parts(record: EvaluationRecord, compute: Compute, weights: Floats) -> Floats:
    """Compute a metric for the tracks of each part, and average over the parts.

    Scores of different models cannot be ranked together, so a metric of folds is the mean of
    the metrics of each fold.

    Parameters
    ----------
    record : of a run. compute : metric of a record under weights, (..., B).
    weights : float (n, B), of all tracks.

    Returns
    -------
    Floats : float (..., B), the mean over the parts that have the metric; NaN without any.
    """
    found = np.stack(
        [compute(rows_of(record, part.rows), weights[part.rows]) for part in record.parts()]
    )
    known = np.isfinite(found)
    total, n = np.where(known, found, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, n, out=np.full(found.shape[1:], np.nan), where=n > 0)


def rows_of(record: EvaluationRecord, rows: npt.NDArray[np.intp]) -> EvaluationRecord:
    """Select tracks of a record.

    Parameters
    ----------
    record : of a run. rows : int (m,), in the order wanted.

    Returns
    -------
    EvaluationRecord : of these tracks, without history and facts.
    """
    return EvaluationRecord(
        track_uids=record.track_uids[rows],
        groups=record.groups[rows],
        reference=record.reference.rows(rows),
        logits=record.logits[rows],
        probabilities=record.probabilities[rows],
        thresholds=record.thresholds,
        prior=record.prior,
        part_of=record.part_of[rows],
        labels=record.labels,
        side=record.side,
        judged_by=record.judged_by,
    )


def record_yardstick(record: EvaluationRecord) -> Yardstick:
    """Prepare the tracks of a record for its headline figures.

    Parameters
    ----------
    record : of a run. Tracks of all folds count together: skill, lwlrap and F1 are sums over
        tracks, and the probabilities of each fold are calibrated.

    Returns
    -------
    Yardstick : with the baseline of each cell's own part.
    """
    return yardstick(
        record.reference, record.constant, record.prior.mean(axis=0), record.groups
    )


def record_headline(record: EvaluationRecord) -> Headline:
    """Compute the headline figures of a run.

    Parameters
    ----------
    record : of a run, with finite probabilities.

    Returns
    -------
    Headline
    """
    predicted = Predicted(record.probabilities, record.cuts)
    return headline(predicted, record_yardstick(record))


def record_label_skills(record: EvaluationRecord) -> list[LabelSkill]:
    """Compute the skill of each label of a run.

    Parameters
    ----------
    record : of a run, with finite probabilities.

    Returns
    -------
    list of LabelSkill : one for each label of the record.
    """
    return label_skills(Predicted(record.probabilities, record.cuts), record_yardstick(record))
