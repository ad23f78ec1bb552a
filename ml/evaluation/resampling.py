"""The headline figures under many weightings of the tracks at once: what a bootstrap needs.

Used by `ml.evaluation.report` and `ml.evaluation.comparison`. Numpy only. With weights of one
the figures are those of `ml.metrics.scores.evaluate`; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from ml.evaluation.record import EvaluationRecord
from ml.metrics.intervals import resampling_weights
from ml.metrics.judged_groups import can_be_resampled
from ml.metrics.ranking import (
    CELLS_A_BLOCK,
    Bools,
    Floats,
    cross_entropy_sums,
    label_ranking_precision,
    weighted_average_precision,
)
from ml.metrics.scores import scorable_labels
from ml.types import LabelMatrix

#: The figures that a report leads with and runs are compared by.
HEADLINES = ("macro_ap", "bce_skill", "lwlrap", "macro_f1")


def label_average_precision(
    probabilities: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    """AP of every label for each weighting: weights (n, B) -> float (n_labels, B), NaN unknown.

    Worked off in blocks of weightings, so that memory stays flat.
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
    cuts: Floats,
    constant: Floats,
    weights: Floats,
    label_ap: Floats | None = None,
) -> dict[str, Floats]:
    """Every figure of `HEADLINES` for each weighting of the tracks.

    Parameters
    ----------
    probabilities : float (n, n_labels) in [0, 1]. labels : what was judged.
    cuts : float (n, n_labels), threshold of each cell.
    constant : float (n, n_labels), what the constant predictor says.
    weights : float (n, B), how often each track counts.
    label_ap : `label_average_precision` of the same, where it is known already.

    Returns
    -------
    name -> float (B,), NaN where a weighting has no such figure. Labels without a positive or
    without a negative among the judged take part in nothing.
    """
    scored = scorable_labels(labels)
    kept = LabelMatrix(labels.labels[:, scored], labels.label_mask[:, scored])
    values, constant = probabilities[:, scored], constant[:, scored]
    if label_ap is None:
        label_ap = label_average_precision(values, kept, weights)
    else:
        label_ap = label_ap[scored]
    return {
        "macro_ap": _mean_known(label_ap),
        "bce_skill": _skill(values, constant, kept, weights),
        "lwlrap": label_ranking_precision(values, kept, weights),
        "macro_f1": _mean_known(_f1(values >= cuts[:, scored], kept, weights)),
    }


def _mean_known(values: Floats) -> Floats:
    """Mean over the first axis of what is known; NaN where nothing is."""
    known = np.isfinite(values)
    total, n = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, n, out=np.full(values.shape[1], np.nan), where=n > 0)


def _skill(
    probabilities: Floats, constant: Floats, labels: LabelMatrix, weights: Floats
) -> Floats:
    ours, _ = cross_entropy_sums(probabilities, labels)
    its, _ = cross_entropy_sums(constant, labels)
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
    """Bootstrap weights (n, n_resamples): split groups drawn anew within each part.

    All are 0, so that no figure is known under them, where too few groups were judged.
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
    """Compute something of each part's tracks by itself and take the mean of what is known.

    Scores of different models do not rank against each other, so a figure of folds is the mean
    of the folds' own.
    """
    found = np.stack(
        [compute(rows_of(record, part.rows), weights[part.rows]) for part in record.parts()]
    )
    known = np.isfinite(found)
    total, n = np.where(known, found, 0.0).sum(axis=0), known.sum(axis=0)
    return np.divide(total, n, out=np.full(found.shape[1:], np.nan), where=n > 0)


def rows_of(record: EvaluationRecord, rows: npt.NDArray[np.intp]) -> EvaluationRecord:
    """Return the record of some of its tracks."""
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
