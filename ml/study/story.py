"""What the runs of an experiment tell together: from their records to one JSON-able dict.

Stage: experiments. Numpy only. A figure of several seeds is the mean over them; its interval
is of that mean, from resampling the held-out tracks of every seed, and `low`..`high` is what
the single seeds span. A difference is paired: both runs on the same tracks of the same seed,
under the labels that both know, resampled together. Runs that were judged by other answers, as
those on two simulated libraries, are not comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ml.evaluation.comparison import Drawn, Side, common, draw, told_apart
from ml.evaluation.diagnosis import NO_BETTER, SAME_ACCURACY
from ml.evaluation.record import EvaluationRecord
from ml.evaluation.report import build_report
from ml.metrics.intervals import centred_bounds, centred_interval
from ml.metrics.ranking import Floats
from ml.study.labels import under_common_labels
from ml.study.store import StoredRun
from ml.training.choice_effects import explain_choices
from ml.types import LabelMatrix

Story = dict[str, Any]

N_RESAMPLES = 400
#: Figures that are told of every recipe, as the report of a run names them.
FIGURES = ("macro_ap", "bce_skill", "lwlrap", "macro_f1", "binary_accuracy", "bce")
#: Figures that two recipes are compared by.
COMPARED = ("macro_ap", "bce_skill")
#: The study's signature wants so many of its labels never to reach 0.5: 24 of 30.
SIGNATURE_SHARE = 0.8


def tell(runs: Sequence[StoredRun], first: str = "") -> Story:
    """Tell one part of an experiment.

    Parameters
    ----------
    runs : of one part, any number of names and seeds. first : the name that the others are
        compared with; the first run's where it is empty or did not run.

    Returns
    -------
    dict of first, seeds, runs [one a name, in the order in which they came]: name, title,
    seeds, errors, n_tracks, n_labels, seconds, choices, held_out and validation (see `_side`),
    differences {figure: {difference, lo, hi}}, verdicts {figure: word} and verdict (by macro
    AP) against `first` (None for itself).
    """
    by_name: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    done = [name for name, found in by_name.items() if _whole(found)]
    against = first if first in done else (done[0] if done else "")
    told = [_told(name, found) for name, found in by_name.items()]
    for one in told:
        one["differences"], one["verdicts"], one["verdict"] = None, None, None
        if one["name"] in done and one["name"] != against:
            found = differences(_whole(by_name[against]), _whole(by_name[one["name"]]))
            one.update(found)
    return {
        "first": against,
        "seeds": sorted({run.seed for run in runs}),
        "runs": told,
    }


def common_story(runs: Sequence[StoredRun]) -> Story | None:
    """Tell the runs on the labels that all of them know; None where two do not share any."""
    found = under_common_labels(runs)
    return tell(found) if found else None


def _whole(runs: Sequence[StoredRun]) -> list[StoredRun]:
    return [run for run in runs if run.held_out is not None]


def _told(name: str, runs: list[StoredRun]) -> Story:
    whole = _whole(runs)
    return {
        "name": name,
        "title": runs[0].title,
        "seeds": [run.seed for run in whole],
        "errors": {run.seed: run.error for run in runs if run.error},
        "n_tracks": _mean([run.facts.get("n_tracks") for run in whole]),
        "n_labels": _mean(
            [float(run.held_out.reference.n_labels) for run in whole if run.held_out]
        ),
        "seconds": _mean([run.facts.get("seconds") for run in whole]),
        "choices": explain_choices(_config(whole)),
        "held_out": _side([run.held_out for run in whole if run.held_out]),
        "validation": _side([run.validation for run in whole if run.validation]),
    }


def _config(runs: Sequence[StoredRun]) -> Mapping[str, Any]:
    """Return the TrainingConfig of a recipe's runs; empty where no record has one."""
    about = runs[0].held_out.about if runs and runs[0].held_out else {}
    recipe = about.get("recipe") or {}
    found: Mapping[str, Any] = about.get("config") or recipe.get("training") or {}
    return found


def _side(records: list[EvaluationRecord]) -> Story | None:
    """Figures of one recipe over its seeds, on its held-out tracks or its own validation.

    Returns
    -------
    dict of n (tracks, mean), figures {name: {mean, low, high, constant, interval}}, outputs
    {largest, share_small, never_at_half, never_tuned, small_labels (labels whose largest raw
    output is below .5), n_labels}, verdicts [one a seed], signature (of all seeds, see
    `signature`); None without a record.
    """
    if not records:
        return None
    reports = [build_report(record, n_resamples=N_RESAMPLES) for record in records]
    draws = _mean_draws(records)
    return {
        "n": _mean([report["figures"]["n"] for report in reports]),
        "figures": {name: _figure(name, reports, draws.get(name)) for name in FIGURES},
        "outputs": _outputs(reports),
        "verdicts": [report["verdict"]["text"] for report in reports],
        "signature": [signature(report) for report in reports],
    }


def _figure(name: str, reports: list[Story], draws: Floats | None) -> Story:
    ours = [report["figures"][name] for report in reports]
    known = [value for value in ours if value is not None]
    mean = _mean(ours)
    return {
        "mean": mean,
        "low": min(known) if known else None,
        "high": max(known) if known else None,
        "constant": _mean([report["baseline"][name] for report in reports]),
        "interval": None if draws is None else _interval(name, draws, mean),
    }


def _outputs(reports: list[Story]) -> Story:
    def over(find: Callable[[Story], float | None]) -> float | None:
        return _mean([find(report["diagnosis"]) for report in reports])

    return {
        "largest": over(lambda facts: facts["raw"]["largest"]),
        "share_small": over(lambda facts: facts["raw"]["share_small"]),
        "never_at_half": over(lambda facts: float(len(facts["never"]["raw_at_half"]))),
        "never_tuned": over(lambda facts: float(len(facts["never"]["tuned"]))),
        "small_labels": over(lambda facts: float(_n_small(facts))),
        "n_labels": over(lambda facts: float(len(facts["raw"]["by_label"]))),
    }


def _n_small(facts: Story) -> int:
    return sum(1 for value in facts["raw"]["by_label"] if value is not None and value < 0.5)


def signature(report: Story) -> Story:
    """Whether a run shows the study's failure, each sign by itself.

    Returns
    -------
    dict of accuracy (binary accuracy within 0.01 of the constant's), outputs (for at least 24
    of 30 labels, or that share, the largest output is below .5), verdict ("no better than
    answering the label frequencies"), all.
    """
    facts = report["diagnosis"]
    ours, constant = facts["binary_accuracy"], facts["constant_accuracy"]
    is_near = None not in (ours, constant) and abs(ours - constant) <= SAME_ACCURACY
    is_small = _n_small(facts) >= SIGNATURE_SHARE * len(facts["raw"]["by_label"])
    says_so = report["verdict"]["text"] == NO_BETTER
    signs = {"accuracy": bool(is_near), "outputs": bool(is_small), "verdict": says_so}
    return {**signs, "all": all(signs.values())}


def differences(first: Sequence[StoredRun], other: Sequence[StoredRun]) -> Story:
    """Compare two names over the seeds that both have: {"differences", "verdicts", "verdict"}.

    Each figure is other - first; a verdict (`ml.evaluation.comparison.told_apart`) is by one
    figure, the last one by macro AP.
    """
    pairs = _pairs(first, other)
    if not all(is_judged_alike(a, b) for a, b in pairs):
        pairs = []
    drawn = [_drawn_pair(*pair) for pair in pairs]
    found = {name: _mean_difference([(a, b) for a, b, _ in drawn], name) for name in COMPARED}
    # The seeds may have the same tracks: they are counted once.
    n_judged = min((n for _, _, n in drawn), default=0)
    verdicts = {name: told_apart(gap, n_judged) for name, gap in found.items()}
    return {"differences": found, "verdicts": verdicts, "verdict": verdicts["macro_ap"]}


def is_judged_alike(a: EvaluationRecord, b: EvaluationRecord) -> bool:
    """Say whether two runs were judged by the same answers, on their common tracks."""
    rows, columns = common([a, b])
    places = [np.ix_(rows[n], columns[n]) for n in (0, 1)]
    ours, its = a.reference, b.reference
    both = ours.label_mask[places[0]] & its.label_mask[places[1]]
    same = ours.labels[places[0]] == its.labels[places[1]]
    return bool((same | ~both).all())


def _pairs(
    first: Sequence[StoredRun], other: Sequence[StoredRun]
) -> list[tuple[EvaluationRecord, EvaluationRecord]]:
    held = {run.seed: run.held_out for run in first if run.held_out is not None}
    return [
        (held[run.seed], run.held_out)
        for run in other
        if run.held_out is not None and run.seed in held
    ]


def _drawn_pair(a: EvaluationRecord, b: EvaluationRecord) -> tuple[Drawn, Drawn, int]:
    rows, columns = common([a, b])
    places = [np.ix_(rows[n], columns[n]) for n in (0, 1)]
    labels = LabelMatrix(
        a.reference.labels[places[0]],
        a.reference.label_mask[places[0]] & b.reference.label_mask[places[1]],
    )
    sides = [
        Side(record.probabilities[place], record.cuts[place])
        for record, place in zip((a, b), places, strict=True)
    ]
    constant, groups = a.constant[places[0]], a.groups[rows[0]]
    one, two = draw(sides, labels, constant, groups, N_RESAMPLES)
    return one, two, int(labels.label_mask.any(axis=1).sum())


def _mean_difference(pairs: list[tuple[Drawn, Drawn]], name: str) -> dict[str, float | None]:
    gaps, draws = [], []
    for a, b in pairs:
        before, after = a.observed[name], b.observed[name]
        if before is not None and after is not None:
            gaps.append(after - before)
            draws.append(b.draws[name] - a.draws[name])
    if not gaps:
        return {"difference": None, "lo": None, "hi": None}
    gap = float(np.mean(gaps))
    low, high = centred_bounds(np.mean(draws, axis=0), gap) or (None, None)
    return {"difference": gap, "lo": low, "hi": high}


def _mean_draws(records: list[EvaluationRecord]) -> dict[str, Floats]:
    """Resampled headlines, each the mean over the records (seeds)."""
    found: dict[str, list[Floats]] = {}
    for record in records:
        side = Side(record.probabilities, record.cuts)
        drawn = draw([side], record.reference, record.constant, record.groups, N_RESAMPLES)[0]
        for name, values in drawn.draws.items():
            found.setdefault(name, []).append(values)
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def _interval(name: str, draws: Floats, mean: float | None) -> list[float] | None:
    if name == "macro_ap":
        return centred_interval(draws, mean)
    known = draws[np.isfinite(draws)]
    if mean is None or not len(known):
        return None
    return [float(value) for value in np.percentile(known, [2.5, 97.5])]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return float(np.mean(known)) if known else None
