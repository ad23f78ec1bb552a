"""Two or more runs on the same held-out tracks, with paired intervals of the difference.

Stage: evaluation; promotion uses the same figures. Numpy only.

Only tracks that every run held out, and labels that every run knows, are compared (Others only
where it means the same in all). Everything is judged by one reference, and every skill is
against one constant. Both models are resampled together, so what the tracks have in common
cancels (the paired bootstrap: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993,
chapter 13). Figures are over all common tracks at once, also for folds, so they may differ a
little from the mean over folds of a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.evaluation.curves import curve_of
from ml.evaluation.record import EvaluationRecord, LabelName
from ml.evaluation.resampling import HEADLINES, headline_figures, label_average_precision
from ml.metrics.intervals import centred_bounds, resampling_weights
from ml.metrics.judged_groups import can_be_resampled, judged_groups, said_too_few
from ml.metrics.paired import MINIMUM_TRACKS_TO_COMPARE
from ml.metrics.ranking import Bools, Floats
from ml.metrics.scores import scorable_labels
from ml.types import LabelMatrix

#: Resamples, where the tracks are few enough to afford them.
N_RESAMPLES = 1_000
FEWEST_RESAMPLES = 200
#: Cells (tracks x labels x resamples) that are worth a second or two.
_AFFORDABLE_CELLS = 40_000_000

BETTER, WORSE, UNDECIDED, NOT_COMPARABLE = "better", "worse", "not told apart", "not comparable"


@dataclass(frozen=True)
class Side:
    """What one run says of the common tracks; all float (n, n_labels).

    Attributes
    ----------
    probabilities : calibrated. cuts : the threshold of each cell.
    """

    probabilities: Floats
    cuts: Floats


@dataclass(frozen=True)
class Drawn:
    """The figures of one run, observed and resampled: headlines and the AP of each label."""

    observed: dict[str, float | None]
    draws: dict[str, Floats]
    label_ap: list[float | None]
    label_draws: Floats


def affordable_resamples(n_tracks: int, n_labels: int) -> int:
    """How many resamples to draw: `N_RESAMPLES`, fewer (at least 200) for large sets."""
    cells = max(1, n_tracks * n_labels)
    return min(N_RESAMPLES, max(FEWEST_RESAMPLES, _AFFORDABLE_CELLS // cells))


def compare(
    records: Sequence[EvaluationRecord],
    *,
    reference: int = 0,
    n_resamples: int | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare runs with the first one.

    Parameters
    ----------
    records : two or more. reference : which of them says what is right, and gives the split
        groups; the newest one knows the newest answers.
    n_resamples, seed : of the bootstrap; None: as many as can be afforded.

    Returns
    -------
    dict of n (common tracks judged), labels_compared, tracks (of each record), differing (cells
    that a record's own reference judges otherwise), n_resamples, message, runs [{figures,
    differences {name: {difference, lo, hi}}, verdict}], labels [{uid, name, facet, support,
    prevalence (of the tracks it was judged on), ap [one a run], differences [one a run]}],
    precision_recall {uid: [curve, one a run]}.
    The differences of the first run are None. Without common tracks every figure is None.
    """
    if len(records) < 2:
        raise ParameterError("a comparison needs two records")
    rows, columns = common(records)
    judge = records[reference]
    labels = _cut_out(judge.reference, rows[reference], columns[reference])
    sides = [
        Side(
            record.probabilities[np.ix_(rows[n], columns[n])],
            record.cuts[np.ix_(rows[n], columns[n])],
        )
        for n, record in enumerate(records)
    ]
    constant = records[0].constant[np.ix_(rows[0], columns[0])]
    names = [judge.labels[column] for column in columns[reference]]
    n_drawn = n_resamples or affordable_resamples(len(rows[0]), len(names))
    groups = judge.groups[rows[reference]]
    drawn = draw(sides, labels, constant, groups, n_drawn, seed)
    message = _message(labels, groups, len(names))
    return {
        "n": int(labels.label_mask.any(axis=1).sum()),
        "labels_compared": int(scorable_labels(labels).sum()) if len(rows[0]) else 0,
        "tracks": [record.n_tracks for record in records],
        "differing": _differing(records, rows, columns, labels),
        "n_resamples": n_drawn,
        "message": message,
        "runs": [_run(drawn, number, labels) for number in range(len(records))],
        "labels": [
            _label_row(label, index, labels, drawn) for index, label in enumerate(names)
        ],
        "precision_recall": {
            label.uid: [_curve(side, labels, index) for side in sides]
            for index, label in enumerate(names)
        },
    }


def common(
    records: Sequence[EvaluationRecord],
) -> tuple[list[npt.NDArray[np.intp]], list[npt.NDArray[np.intp]]]:
    """Rows and columns of each record: the tracks and labels that all have, in one order.

    A label made of others (`LabelName.is_made`) is left out unless the references of all
    records judge the same of these tracks by it: what it is made of differs from run to run.
    """
    uids = set(records[0].track_uids.tolist())
    labels = [label.uid for label in records[0].labels]
    for record in records[1:]:
        uids &= set(record.track_uids.tolist())
        known = {label.uid for label in record.labels}
        labels = [uid for uid in labels if uid in known]
    wanted = sorted(uids)
    rows, columns = [], []
    for record in records:
        place = {uid: n for n, uid in enumerate(record.track_uids.tolist())}
        column = {label.uid: n for n, label in enumerate(record.labels)}
        rows.append(np.array([place[uid] for uid in wanted], dtype=np.intp))
        columns.append(np.array([column[uid] for uid in labels], dtype=np.intp))
    is_one = _is_one_label(records, rows, columns)
    return rows, [own[is_one] for own in columns]


def _is_one_label(
    records: Sequence[EvaluationRecord],
    rows: list[npt.NDArray[np.intp]],
    columns: list[npt.NDArray[np.intp]],
) -> Bools:
    """Say of each common column whether it stands for the same in all, bool (n_labels,)."""
    own = [_cut_out(record.reference, rows[n], columns[n]) for n, record in enumerate(records)]
    is_made = [
        all(record.labels[columns[n][place]].is_made for n, record in enumerate(records))
        for place in range(len(columns[0]))
    ]
    judged_alike = [_same_cells(own[0], other).all(axis=0) for other in own[1:]]
    return np.asarray(np.all(judged_alike, axis=0) | ~np.array(is_made, dtype=bool))


def _same_cells(first: LabelMatrix, other: LabelMatrix) -> Bools:
    """Say of each cell whether both judge the same of it, or neither does."""
    same = (first.labels == other.labels) | ~first.label_mask
    return np.asarray((first.label_mask == other.label_mask) & same)


def _cut_out(
    matrix: LabelMatrix, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> LabelMatrix:
    place = np.ix_(rows, columns)
    return LabelMatrix(matrix.labels[place], matrix.label_mask[place])


def _differing(
    records: Sequence[EvaluationRecord],
    rows: list[npt.NDArray[np.intp]],
    columns: list[npt.NDArray[np.intp]],
    labels: LabelMatrix,
) -> list[int]:
    """Count the cells that each record judges otherwise than the reference, or not at all."""
    counts = []
    for number, record in enumerate(records):
        own = _cut_out(record.reference, rows[number], columns[number])
        counts.append(int((~_same_cells(labels, own)).sum()))
    return counts


def draw(
    sides: Sequence[Side],
    labels: LabelMatrix,
    constant: Floats,
    groups: npt.NDArray[Any],
    n_resamples: int,
    seed: int = 0,
) -> list[Drawn]:
    """Figures of several runs on the same tracks and the same resamples of them.

    Parameters
    ----------
    sides : one a run. labels : what was judged, (n, n_labels). constant : as the cuts.
    groups : (n,), resampled as wholes. With judged tracks of fewer than
        `MINIMUM_GROUPS_TO_COMPARE` of them, every resampled figure is NaN.
    """
    n = labels.n_tracks
    once = np.ones((n, 1))
    # Where no track has any weight no figure is known, and so no interval.
    drawn = np.zeros((n, n_resamples))
    if can_be_resampled(labels, groups):
        drawn = np.concatenate(list(resampling_weights(n, groups, n_resamples, seed)), axis=1)
    return [_drawn(side, labels, constant, once, drawn) for side in sides]


def _drawn(
    side: Side, labels: LabelMatrix, constant: Floats, once: Floats, drawn: Floats
) -> Drawn:
    weights = np.concatenate([once, drawn], axis=1)
    label_ap = label_average_precision(side.probabilities, labels, weights)
    found = headline_figures(side.probabilities, labels, side.cuts, constant, weights, label_ap)
    return Drawn(
        observed={name: known(values[0]) for name, values in found.items()},
        draws={name: values[1:] for name, values in found.items()},
        label_ap=[known(value) for value in label_ap[:, 0]],
        label_draws=label_ap[:, 1:],
    )


def known(value: float) -> float | None:
    """Return a finite number, or None."""
    return float(value) if np.isfinite(value) else None


def difference(
    first: float | None, other: float | None, first_draws: Floats, other_draws: Floats
) -> dict[str, float | None]:
    """Difference other - first with its 95 % interval; None what is unknown."""
    if first is None or other is None:
        return {"difference": None, "lo": None, "hi": None}
    low, high = centred_bounds(other_draws - first_draws, other - first) or (None, None)
    return {"difference": other - first, "lo": low, "hi": high}


def differences(first: Drawn, other: Drawn) -> dict[str, dict[str, float | None]]:
    """Every headline: other - first, with its paired interval."""
    return {
        name: difference(
            first.observed[name], other.observed[name], first.draws[name], other.draws[name]
        )
        for name in HEADLINES
    }


def side_of(probabilities: Floats, thresholds: Floats) -> Side:
    """Return what one model says: probabilities (n, n_labels), thresholds (n_labels,)."""
    return Side(probabilities, np.broadcast_to(thresholds, probabilities.shape))


def paired_differences(
    first: Side,
    other: Side,
    labels: LabelMatrix,
    prior: Floats,
    groups: npt.NDArray[Any],
    n_resamples: int | None = None,
) -> dict[str, dict[str, float | None]]:
    """Every headline of two models on the same tracks: other - first, with its interval.

    Parameters
    ----------
    labels : what was judged, (n, n_labels). prior : float (n_labels,), the constant of the
        skill. groups : (n,), resampled as wholes. n_resamples : None, what can be afforded.
    """
    n_drawn = n_resamples or affordable_resamples(labels.n_tracks, labels.n_labels)
    constant = np.broadcast_to(prior, labels.labels.shape)
    drawn = draw([first, other], labels, constant, groups, n_drawn)
    return differences(drawn[0], drawn[1])


def _label_row(
    label: LabelName, index: int, labels: LabelMatrix, drawn: list[Drawn]
) -> dict[str, Any]:
    """Return one label's support and share of the tracks it was judged on, and its AP in every
    run with the difference to the first.
    """
    support = int((labels.labels & labels.label_mask)[:, index].sum())
    judged = int(labels.label_mask[:, index].sum())
    return {
        "uid": label.uid,
        "name": label.name,
        "facet": label.facet,
        "support": support,
        "prevalence": support / judged if judged else None,
        "ap": [one.label_ap[index] for one in drawn],
        "differences": [
            _label_difference(drawn[0], one, index) if number else None
            for number, one in enumerate(drawn)
        ],
    }


def _label_difference(first: Drawn, other: Drawn, index: int) -> dict[str, float | None]:
    return difference(
        first.label_ap[index],
        other.label_ap[index],
        first.label_draws[index],
        other.label_draws[index],
    )


def _run(drawn: list[Drawn], number: int, labels: LabelMatrix) -> dict[str, Any]:
    figures = {"figures": drawn[number].observed, "differences": None, "verdict": None}
    if not number:
        return figures
    found = differences(drawn[0], drawn[number])
    n = int(labels.label_mask.any(axis=1).sum())
    return {**figures, "differences": found, "verdict": told_apart(found["macro_ap"], n)}


def told_apart(macro_ap: dict[str, float | None], n: int) -> str:
    """Say whether a difference in macro AP is beyond doubt: all of its interval beside 0.

    With fewer than `MINIMUM_TRACKS_TO_COMPARE` judged tracks, or without an interval, runs are
    not comparable.
    """
    low, high = macro_ap["lo"], macro_ap["hi"]
    if low is None or high is None or n < MINIMUM_TRACKS_TO_COMPARE:
        return NOT_COMPARABLE
    if low > 0:
        return BETTER
    return WORSE if high < 0 else UNDECIDED


def _curve(side: Side, labels: LabelMatrix, index: int) -> dict[str, list[float]] | None:
    judged = labels.label_mask[:, index]
    return curve_of(side.probabilities[judged, index], labels.labels[judged, index])


def _message(labels: LabelMatrix, groups: npt.NDArray[Any], n_labels: int) -> str:
    """Say why there is nothing to compare, as a sentence; empty where there is."""
    if not labels.n_tracks:
        return "no track was held out by all of these runs, so they cannot be compared"
    if not n_labels:
        return (
            "these runs have no label in common (Others is one only where all judge the same "
            "by it), so they cannot be compared"
        )
    n = int(labels.label_mask.any(axis=1).sum())
    if n < MINIMUM_TRACKS_TO_COMPARE:
        return (
            f"only {n} common held-out tracks were judged; at least "
            f"{MINIMUM_TRACKS_TO_COMPARE} are needed to compare"
        )
    if not can_be_resampled(labels, groups):
        said = said_too_few(judged_groups(labels, groups))
        return f"the {n} common held-out tracks judged are of {said} to compare"
    return ""
