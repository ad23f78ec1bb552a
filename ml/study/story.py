"""Results of an experiment: from the records of its runs to JSON values. Numpy only.

Stage: study. A metric of several seeds is the mean over them. Its interval is that of the mean,
from resampling the held-out tracks of every seed; `low` and `high` are the smallest and the
largest of the seeds. A difference is paired: both runs on the same tracks of the same seed,
under the labels that both have learnt, resampled together. Runs measured by different labels,
such as runs on two simulated libraries, are not comparable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from ml.evaluation.comparison import Drawn, common, comparison_verdict, draw
from ml.evaluation.record import EvaluationRecord
from ml.metrics.headline import Predicted
from ml.metrics.intervals import centred_bounds, centred_interval
from ml.metrics.paired import Difference
from ml.study.labels import under_common_labels
from ml.study.side import (
    FIGURES,
    N_RESAMPLES,
    OutputSizes,
    SideFigures,
    Signature,
    side_figures,
)
from ml.study.store import StoredRun
from ml.training.choice_effects import explain_choices
from ml.types import Floats, LabelMatrix

#: Metrics by which two recipes are compared.
COMPARED = ("macro_ap", "bce_skill")


class SeedFigure(TypedDict):
    """Metric over the seeds of a recipe, None if unknown; the keys are JSON keys.

    Attributes
    ----------
    mean, low, high : over the seeds. interval : [low, high] of the mean, 95 %.
    constant : mean of the baseline.
    """

    mean: float | None
    low: float | None
    high: float | None
    constant: float | None
    interval: list[float] | None


class SideStory(TypedDict):
    """Results of a recipe on its held-out tracks or its validation set; the keys are JSON keys.

    Attributes
    ----------
    n : judged tracks, mean over the seeds. figures : by name, see `FIGURES`.
    verdicts, signature : one for each seed.
    """

    n: float | None
    figures: dict[str, SeedFigure]
    outputs: OutputSizes
    verdicts: list[str]
    signature: list[Signature]


class SeedDifferences(TypedDict):
    """Paired differences between two recipes, mean over seeds; the keys are JSON keys.

    Attributes
    ----------
    differences, verdicts : by name, see `COMPARED`. verdict : by macro AP.
    """

    differences: dict[str, Difference]
    verdicts: dict[str, str]
    verdict: str


class RunStory(TypedDict):
    """Results of one recipe over its seeds; the keys are JSON keys.

    Attributes
    ----------
    errors : why a seed failed, by seed. n_tracks, n_labels, seconds : means over the seeds.
    choices : explanations of misleading choices.
    held_out, validation : None without a record.
    differences, verdicts, verdict : against the first recipe; None for itself.
    """

    name: str
    title: str
    seeds: list[int]
    errors: dict[int, str]
    n_tracks: float | None
    n_labels: float | None
    seconds: float | None
    choices: list[str]
    held_out: SideStory | None
    validation: SideStory | None
    differences: dict[str, Difference] | None
    verdicts: dict[str, str] | None
    verdict: str | None


class PartStory(TypedDict):
    """Results of one part of an experiment; the keys are JSON keys.

    Attributes
    ----------
    first : name of the recipe to which the others are compared, or empty.
    seeds : of all runs, ascending. runs : one for each name, in the order of the runs.
    """

    first: str
    seeds: list[int]
    runs: list[RunStory]


def summarise_part(runs: Sequence[StoredRun], first: str = "") -> PartStory:
    """Summarise the runs of one part of an experiment.

    Parameters
    ----------
    runs : of one part, any number of names and seeds.
    first : name to which the others are compared; if it is empty or did not run, the name of
        the first run that did.

    Returns
    -------
    PartStory : JSON values.
    """
    by_name: dict[str, list[StoredRun]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    done = [name for name, found in by_name.items() if _whole(found)]
    against = first if first in done else (done[0] if done else "")
    summaries = [_summarised(name, found) for name, found in by_name.items()]
    for one in summaries:
        if one["name"] in done and one["name"] != against:
            found = seed_differences(_whole(by_name[against]), _whole(by_name[one["name"]]))
            one["differences"] = found["differences"]
            one["verdicts"], one["verdict"] = found["verdicts"], found["verdict"]
    return {
        "first": against,
        "seeds": sorted({run.seed for run in runs}),
        "runs": summaries,
    }


def common_story(runs: Sequence[StoredRun]) -> PartStory | None:
    """Summarise the runs on the labels that all of them have learnt.

    Parameters
    ----------
    runs : of one part.

    Returns
    -------
    PartStory or None : None if no seed has two runs with a common label.
    """
    found = under_common_labels(runs)
    return summarise_part(found) if found else None


def _whole(runs: Sequence[StoredRun]) -> list[StoredRun]:
    return [run for run in runs if run.held_out is not None]


def _summarised(name: str, runs: list[StoredRun]) -> RunStory:
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
        "held_out": _side([side_figures(run.held_out) for run in whole if run.held_out]),
        "validation": _side([run.validation for run in whole if run.validation]),
        "differences": None,
        "verdicts": None,
        "verdict": None,
    }


def _config(runs: Sequence[StoredRun]) -> Mapping[str, Any]:
    """Return the TrainingConfig of a recipe's runs; empty where no record has one."""
    about = runs[0].held_out.about if runs and runs[0].held_out else {}
    recipe = about.get("recipe") or {}
    found: Mapping[str, Any] = about.get("config") or recipe.get("training") or {}
    return found


def _side(sides: Sequence[SideFigures]) -> SideStory | None:
    """Summarise one recipe over its seeds; None without a seed."""
    if not sides:
        return None
    return {
        "n": _mean([side.n for side in sides]),
        "figures": {name: _figure(name, sides) for name in FIGURES},
        "outputs": _outputs(sides),
        "verdicts": [side.verdict for side in sides],
        "signature": [side.signature for side in sides],
    }


def _figure(name: str, sides: Sequence[SideFigures]) -> SeedFigure:
    ours = [side.figures[name] for side in sides]
    known = [value for value in ours if value is not None]
    mean = _mean(ours)
    draws = [side.draws[name] for side in sides if name in side.draws]
    return {
        "mean": mean,
        "low": min(known) if known else None,
        "high": max(known) if known else None,
        "constant": _mean([side.baseline[name] for side in sides]),
        "interval": _interval(name, np.mean(draws, axis=0), mean) if draws else None,
    }


def _outputs(sides: Sequence[SideFigures]) -> OutputSizes:
    def over(find: Callable[[OutputSizes], float | None]) -> float | None:
        return _mean([find(side.outputs) for side in sides])

    return {
        "largest": over(lambda sizes: sizes["largest"]),
        "share_small": over(lambda sizes: sizes["share_small"]),
        "never_at_half": over(lambda sizes: sizes["never_at_half"]),
        "never_tuned": over(lambda sizes: sizes["never_tuned"]),
        "small_labels": over(lambda sizes: sizes["small_labels"]),
        "n_labels": over(lambda sizes: sizes["n_labels"]),
    }


def seed_differences(first: Sequence[StoredRun], other: Sequence[StoredRun]) -> SeedDifferences:
    """Compare two recipes over the seeds that both have.

    Parameters
    ----------
    first, other : runs of one recipe each.

    Returns
    -------
    SeedDifferences : other minus first, with the verdicts of
        `ml.evaluation.comparison.comparison_verdict`.
    """
    pairs = _pairs(first, other)
    if not all(is_judged_alike(a, b) for a, b in pairs):
        pairs = []
    drawn = [_drawn_pair(*pair) for pair in pairs]
    found = {name: _mean_difference([(a, b) for a, b, _ in drawn], name) for name in COMPARED}
    # The seeds may have the same tracks, which are counted once.
    n_judged = min((n for _, _, n in drawn), default=0)
    verdicts = {name: comparison_verdict(gap, n_judged) for name, gap in found.items()}
    return {"differences": found, "verdicts": verdicts, "verdict": verdicts["macro_ap"]}


def is_judged_alike(a: EvaluationRecord, b: EvaluationRecord) -> bool:
    """Say whether two runs were measured by the same labels, on their common tracks.

    Parameters
    ----------
    a, b : records of the two runs.

    Returns
    -------
    bool : True if no cell that both judged differs.
    """
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
        Predicted(record.probabilities[place], record.cuts[place])
        for record, place in zip((a, b), places, strict=True)
    ]
    constant, groups = a.constant[places[0]], a.groups[rows[0]]
    one, two = draw(sides, labels, constant, groups, N_RESAMPLES)
    return one, two, int(labels.label_mask.any(axis=1).sum())


def _mean_difference(pairs: list[tuple[Drawn, Drawn]], name: str) -> Difference:
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
