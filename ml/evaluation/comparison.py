"""Comparison of two or more runs on the same held-out tracks, with paired intervals.

Stage: evaluation; promotion uses the same metrics. Numpy only.

Only tracks that every run held out, and labels that every run has learnt, are compared (Others
only if it means the same in all runs). One reference is right for all, and one baseline serves
for every skill. The runs are resampled together, so that what the tracks have in common cancels
(paired bootstrap [1]_). Metrics are over all common tracks at once, even for folds, so they may
differ slightly from the mean over folds in a report.

.. [1] Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from ml.errors import ParameterError
from ml.evaluation.curves import Curve, curve_of
from ml.evaluation.record import EvaluationRecord, LabelName
from ml.evaluation.resampling import HEADLINES, headline_figures, label_average_precision
from ml.metrics.headline import (
    Headline,
    Predicted,
    Values,
    baseline_values,
    differences_of,
    headline_from,
    headline_values,
    yardstick,
)
from ml.metrics.intervals import centred_bounds, resampling_weights
from ml.metrics.judged_groups import can_be_resampled, judged_groups, too_few_groups
from ml.metrics.paired import MINIMUM_TRACKS_TO_COMPARE, Difference
from ml.metrics.scores import scorable_labels
from ml.types import Bools, Floats, LabelMatrix

#: Resamples; for large sets fewer, but at least `FEWEST_RESAMPLES`.
N_RESAMPLES = 1_000
FEWEST_RESAMPLES = 200
#: Cells (tracks x labels x resamples) that take a second or two.
_AFFORDABLE_CELLS = 40_000_000

BETTER, WORSE, UNDECIDED, NOT_COMPARABLE = "better", "worse", "not told apart", "not comparable"


@dataclass(frozen=True)
class Drawn:
    """Metrics of one run, observed and resampled.

    Attributes
    ----------
    observed : each of `HEADLINES`; None if it cannot be computed.
    draws : each of `HEADLINES`, float (B,), NaN if it cannot be computed.
    label_ap : (n_labels,), None if it cannot be computed.
    label_draws : float (n_labels, B).
    """

    observed: dict[str, float | None]
    draws: dict[str, Floats]
    label_ap: list[float | None]
    label_draws: Floats


class ComparedRun(TypedDict):
    """One run of a comparison; the keys are JSON keys.

    Attributes
    ----------
    figures : each of `HEADLINES`.
    differences : this run minus the first, for each of `HEADLINES`; None for the first run.
    verdict : by macro AP of all scored labels (`comparison_verdict`); None for the first run.
    headline, headline_differences : the same for `ml.metrics.headline`, which pages show.
    verdict_by_skill : by the skill over all judged cells.
    """

    figures: dict[str, float | None]
    differences: dict[str, Difference] | None
    verdict: str | None
    headline: Headline
    headline_differences: dict[str, Difference] | None
    verdict_by_skill: str | None


class ComparedLabel(TypedDict):
    """One label of a comparison; the keys are JSON keys.

    Attributes
    ----------
    support, prevalence : tracks with the label, and their share of the tracks judged for it.
    ap, differences : one for each run; the first difference is None.
    """

    uid: str
    name: str
    facet: str
    support: int
    prevalence: float | None
    ap: list[float | None]
    differences: list[Difference | None]


class Comparison(TypedDict):
    """Result of `compare`; the keys are JSON keys.

    Attributes
    ----------
    n : common tracks with a judged label. labels_compared : labels scored.
    labels_10 : frequent labels, the same for all runs; macro AP is shown for these only.
    tracks : held-out tracks of each record.
    differing : cells that a record's own reference judges differently, for each record.
    n_resamples : of the bootstrap. message : why nothing can be compared, or empty.
    runs, labels : one for each.
    precision_recall : curves by uid of the label, one for each run; None without a curve.
    """

    n: int
    labels_compared: int
    labels_10: int
    tracks: list[int]
    differing: list[int]
    n_resamples: int
    message: str
    runs: list[ComparedRun]
    labels: list[ComparedLabel]
    precision_recall: dict[str, list[Curve | None]]


def affordable_resamples(n_tracks: int, n_labels: int) -> int:
    """Choose the number of resamples: `N_RESAMPLES`, or fewer for large sets.

    Parameters
    ----------
    n_tracks, n_labels : size of the set.

    Returns
    -------
    int : between `FEWEST_RESAMPLES` and `N_RESAMPLES`.

    Examples
    --------
    >>> affordable_resamples(200, 30), affordable_resamples(5_000, 30)
    (1000, 266)
    """
    cells = max(1, n_tracks * n_labels)
    return min(N_RESAMPLES, max(FEWEST_RESAMPLES, _AFFORDABLE_CELLS // cells))


def compare(
    records: Sequence[EvaluationRecord],
    *,
    reference: int = 0,
    n_resamples: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare runs with the first one.

    Parameters
    ----------
    records : two or more.
    reference : index of the record whose labels are right for all, and whose split groups are
        resampled; the newest record has the newest answers.
    n_resamples, seed : of the bootstrap; None means as many as can be afforded.

    Returns
    -------
    Comparison : without common tracks every metric is None.

    Raises
    ------
    ParameterError : there are fewer than two records.
    """
    if len(records) < 2:
        raise ParameterError("a comparison needs at least two records; choose another run too")
    rows, columns = common(records)
    judge = records[reference]
    labels = _cut_out(judge.reference, rows[reference], columns[reference])
    sides = [_predicted(record, rows[n], columns[n]) for n, record in enumerate(records)]
    baseline = records[0].constant[np.ix_(rows[0], columns[0])]
    names = [judge.labels[column] for column in columns[reference]]
    n_drawn = n_resamples or affordable_resamples(len(rows[0]), len(names))
    groups = judge.groups[rows[reference]]
    drawn = draw(sides, labels, baseline, groups, n_drawn, seed)
    by = yardstick(labels, baseline, _prior(judge, columns[reference]), groups)
    values = [headline_values(side, by) for side in sides]
    of_baseline = baseline_values(by)
    headlines = [headline_from(own, of_baseline, by) for own in values]
    return {
        "n": int(labels.label_mask.any(axis=1).sum()),
        "labels_compared": int(scorable_labels(labels).sum()) if len(rows[0]) else 0,
        "labels_10": int(by.is_frequent.sum()),
        "tracks": [record.n_tracks for record in records],
        "differing": _differing(records, rows, columns, labels),
        "n_resamples": n_drawn,
        "message": _message(labels, groups, len(names)),
        "runs": [
            _run(drawn, values, number, shown, labels) for number, shown in enumerate(headlines)
        ],
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
    """Find the tracks and labels that all records have.

    A label made of others (`LabelName.is_made`) is made of different labels in each run. It is
    left out unless the references of all records agree about it on the common tracks.

    Parameters
    ----------
    records : at least one.

    Returns
    -------
    tuple of rows and columns : int arrays, one of each for each record, in one order.
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
    """Return whether each common column means the same in all records, bool (n_labels,)."""
    own = [_cut_out(record.reference, rows[n], columns[n]) for n, record in enumerate(records)]
    is_made = [
        all(record.labels[columns[n][place]].is_made for n, record in enumerate(records))
        for place in range(len(columns[0]))
    ]
    judged_alike = [_same_cells(own[0], other).all(axis=0) for other in own[1:]]
    return np.asarray(np.all(judged_alike, axis=0) | ~np.array(is_made, dtype=bool))


def _same_cells(first: LabelMatrix, other: LabelMatrix) -> Bools:
    """Return whether both matrices judge a cell alike, or neither judges it."""
    same = (first.labels == other.labels) | ~first.label_mask
    return np.asarray((first.label_mask == other.label_mask) & same)


def _cut_out(
    matrix: LabelMatrix, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> LabelMatrix:
    place = np.ix_(rows, columns)
    return LabelMatrix(matrix.labels[place], matrix.label_mask[place])


def _predicted(
    record: EvaluationRecord, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> Predicted:
    place = np.ix_(rows, columns)
    return Predicted(record.probabilities[place], record.cuts[place])


def _differing(
    records: Sequence[EvaluationRecord],
    rows: list[npt.NDArray[np.intp]],
    columns: list[npt.NDArray[np.intp]],
    labels: LabelMatrix,
) -> list[int]:
    """Count the cells that each record does not judge as the reference does."""
    counts = []
    for number, record in enumerate(records):
        own = _cut_out(record.reference, rows[number], columns[number])
        counts.append(int((~_same_cells(labels, own)).sum()))
    return counts


def draw(
    sides: Sequence[Predicted],
    labels: LabelMatrix,
    baseline: Floats,
    groups: npt.NDArray[Any],
    n_resamples: int,
    seed: int = 0,
) -> list[Drawn]:
    """Measure several runs on the same tracks and the same resamples of them.

    Parameters
    ----------
    sides : predictions of each run. labels : (n, n_labels), the reference.
    baseline : float (n, n_labels), probabilities of the prior predictor.
    groups : (n,), resampled as wholes.
    n_resamples, seed : of the bootstrap.

    Returns
    -------
    list of Drawn : one for each run. Every resampled metric is NaN if the judged tracks have
        fewer than `MINIMUM_GROUPS_TO_COMPARE` groups.
    """
    n = labels.n_tracks
    once = np.ones((n, 1))
    # With weights of 0 no metric can be computed, and so there is no interval.
    drawn = np.zeros((n, n_resamples))
    if can_be_resampled(labels, groups):
        drawn = np.concatenate(list(resampling_weights(n, groups, n_resamples, seed)), axis=1)
    return [_drawn(side, labels, baseline, once, drawn) for side in sides]


def _drawn(
    side: Predicted, labels: LabelMatrix, baseline: Floats, once: Floats, drawn: Floats
) -> Drawn:
    weights = np.concatenate([once, drawn], axis=1)
    label_ap = label_average_precision(side.probabilities, labels, weights)
    found = headline_figures(
        side.probabilities, labels, side.thresholds, baseline, weights, label_ap
    )
    return Drawn(
        observed={name: finite_or_none(values[0]) for name, values in found.items()},
        draws={name: values[1:] for name, values in found.items()},
        label_ap=[finite_or_none(value) for value in label_ap[:, 0]],
        label_draws=label_ap[:, 1:],
    )


def finite_or_none(value: float) -> float | None:
    """Replace NaN and infinities by None, as JSON needs.

    Parameters
    ----------
    value : any number.

    Returns
    -------
    float or None

    Examples
    --------
    >>> finite_or_none(0.5), finite_or_none(float("nan"))
    (0.5, None)
    """
    return float(value) if np.isfinite(value) else None


def difference(
    first: float | None, other: float | None, first_draws: Floats, other_draws: Floats
) -> Difference:
    """Compute a difference with its 95 % interval (see `centred_bounds`).

    Parameters
    ----------
    first, other : metric of both runs, None if it cannot be computed.
    first_draws, other_draws : float (B,), of the same resamples.

    Returns
    -------
    Difference : other minus first; None if it cannot be computed.

    Examples
    --------
    >>> gap = difference(0.5, 0.75, np.array([0.5, 0.5]), np.array([0.75, 0.75]))
    >>> {name: round(value, 3) for name, value in gap.items()}
    {'difference': 0.25, 'lo': 0.25, 'hi': 0.25}
    """
    if first is None or other is None:
        return {"difference": None, "lo": None, "hi": None}
    low, high = centred_bounds(other_draws - first_draws, other - first) or (None, None)
    return {"difference": other - first, "lo": low, "hi": high}


def differences(first: Drawn, other: Drawn) -> dict[str, Difference]:
    """Compute the difference of each headline metric with its paired interval.

    Parameters
    ----------
    first, other : on the same tracks and resamples.

    Returns
    -------
    dict of str and Difference : other minus first, for each of `HEADLINES`.
    """
    return {
        name: difference(
            first.observed[name], other.observed[name], first.draws[name], other.draws[name]
        )
        for name in HEADLINES
    }


def side_of(probabilities: Floats, thresholds: Floats) -> Predicted:
    """Return the predictions of one model.

    Parameters
    ----------
    probabilities : float (n, n_labels). thresholds : float (n_labels,).

    Returns
    -------
    Predicted : with the same thresholds for every track.
    """
    return Predicted(probabilities, np.broadcast_to(thresholds, probabilities.shape))


def paired_differences(
    first: Predicted,
    other: Predicted,
    labels: LabelMatrix,
    prior: Floats,
    groups: npt.NDArray[Any],
    n_resamples: int | None = None,
) -> dict[str, Difference]:
    """Compare two models on the same tracks by each headline metric.

    Parameters
    ----------
    first, other : predictions for n tracks. labels : (n, n_labels), the reference.
    prior : float (n_labels,), baseline of the skill. groups : (n,), resampled as wholes.
    n_resamples : of the bootstrap; None means as many as can be afforded.

    Returns
    -------
    dict of str and Difference : other minus first, for each of `HEADLINES`.
    """
    n_drawn = n_resamples or affordable_resamples(labels.n_tracks, labels.n_labels)
    baseline = np.broadcast_to(prior, labels.labels.shape)
    drawn = draw([first, other], labels, baseline, groups, n_drawn)
    return differences(drawn[0], drawn[1])


def _label_row(
    label: LabelName, index: int, labels: LabelMatrix, drawn: list[Drawn]
) -> ComparedLabel:
    """Return the support of a label, its AP in every run, and the differences to the first."""
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


def _label_difference(first: Drawn, other: Drawn, index: int) -> Difference:
    return difference(
        first.label_ap[index],
        other.label_ap[index],
        first.label_draws[index],
        other.label_draws[index],
    )


def _prior(judge: EvaluationRecord, columns: npt.NDArray[np.intp]) -> Floats:
    """Return the share of each common label on the training side of the reference record."""
    return np.asarray(judge.prior.mean(axis=0)[columns])


def _run(
    drawn: list[Drawn], values: list[Values], number: int, shown: Headline, labels: LabelMatrix
) -> ComparedRun:
    own: ComparedRun = {
        "figures": drawn[number].observed,
        "differences": None,
        "verdict": None,
        "headline": shown,
        "headline_differences": None,
        "verdict_by_skill": None,
    }
    if not number:
        return own
    found = differences(drawn[0], drawn[number])
    gaps = differences_of(values[0], values[number])
    n = int(labels.label_mask.any(axis=1).sum())
    return {
        **own,
        "differences": found,
        "verdict": comparison_verdict(found["macro_ap"], n),
        "headline_differences": gaps,
        "verdict_by_skill": comparison_verdict(gaps["skill"], n),
    }


def comparison_verdict(gap: Difference, n: int) -> str:
    """Say whether a difference is statistically significant: its interval excludes 0.

    Parameters
    ----------
    gap : of a metric, such as skill. n : common tracks with a judged label.

    Returns
    -------
    str : `BETTER`, `WORSE`, `UNDECIDED` if the interval includes 0, or `NOT_COMPARABLE`
        without an interval or with fewer than `MINIMUM_TRACKS_TO_COMPARE` tracks.

    Examples
    --------
    >>> comparison_verdict({"difference": 0.1, "lo": 0.02, "hi": 0.18}, 50)
    'better'
    """
    low, high = gap["lo"], gap["hi"]
    if low is None or high is None or n < MINIMUM_TRACKS_TO_COMPARE:
        return NOT_COMPARABLE
    if low > 0:
        return BETTER
    return WORSE if high < 0 else UNDECIDED


def _curve(side: Predicted, labels: LabelMatrix, index: int) -> Curve | None:
    judged = labels.label_mask[:, index]
    return curve_of(side.probabilities[judged, index], labels.labels[judged, index])


def _message(labels: LabelMatrix, groups: npt.NDArray[Any], n_labels: int) -> str:
    """Return why nothing can be compared, as a sentence; empty if something can."""
    if not labels.n_tracks:
        return "no track was held out by all of these runs, so they cannot be compared"
    if not n_labels:
        return (
            "these runs have no label in common (Others counts only if it means the same in "
            "all), so they cannot be compared"
        )
    n = int(labels.label_mask.any(axis=1).sum())
    if n < MINIMUM_TRACKS_TO_COMPARE:
        return (
            f"only {n} common held-out tracks have labels; at least "
            f"{MINIMUM_TRACKS_TO_COMPARE} are needed to compare"
        )
    if not can_be_resampled(labels, groups):
        said = too_few_groups(judged_groups(labels, groups))
        return f"the {n} common held-out tracks with labels come from {said} to compare"
    return ""
