"""Report of the study in the small: from the stored runs to a page.

Stage: study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from ml.evaluation.comparison import BETTER, NOT_COMPARABLE, UNDECIDED, WORSE
from ml.evaluation.pages import Block, Heading, Items, Table, Text
from ml.study.design import StudyDesign
from ml.study.labels import under_all_labels
from ml.study.store import StoredRun
from ml.study.story import (
    PartStory,
    SeedFigure,
    SideStory,
    common_story,
    seed_differences,
    summarise_part,
)
from ml.study.text import (
    common_blocks,
    differences_table,
    gap,
    number,
    pictures_of,
    recipes_table,
    signature_blocks,
)
from ml.study.trials import N_LEGACY, PARTS, PROPOSED_SIZES, TURNING_SIZES

Story = Mapping[str, Any]


def study_story(runs: Sequence[StoredRun], design: StudyDesign) -> Story:
    """Summarise the runs of the study.

    Parameters
    ----------
    runs : stored runs of any part. design : of the simulated libraries.

    Returns
    -------
    Story : JSON values by part; None for a part that did not run.
    """
    of_part = {part: [run for run in runs if run.part == part] for part in PARTS}
    return {
        "design": design.canonical(),
        "recipes": summarise_part(of_part["recipes"], "seed-2019")
        if of_part["recipes"]
        else None,
        "common": common_story(of_part["recipes"]),
        "ablation": summarise_part(of_part["ablation"], "sound")
        if of_part["ablation"]
        else None,
        "one_curator": _one_curator(of_part["recipes"]),
        "proposed": _by_size(of_part["proposed"], PROPOSED_SIZES),
        "turning": _by_size(of_part["turning"], TURNING_SIZES),
        "leak": _leak(of_part["ablation"]),
    }


def _part(runs: Sequence[StoredRun], first: str) -> PartStory | None:
    return summarise_part(runs, first) if runs else None


def _one_curator(runs: Sequence[StoredRun]) -> Story | None:
    """Return the gain of the author's proposal without the labels of the first curator."""
    named = {
        name: [run for run in runs if run.name == name and run.held_out is not None]
        for name in ("seed-next-both", "seed-next")
    }
    if not all(named.values()):
        return None
    return _charged(named["seed-next-both"], named["seed-next"])


def _charged(first: Sequence[StoredRun], other: Sequence[StoredRun]) -> Story:
    """Compare two recipes on all labels that at least one of them has learnt."""
    a, b = {run.seed: run for run in first}, {run.seed: run for run in other}
    seeds = sorted(a.keys() & b.keys())
    ours = [under_all_labels(a[seed], b[seed]) for seed in seeds]
    its = [under_all_labels(b[seed], a[seed]) for seed in seeds]
    found = summarise_part([*ours, *its])["runs"]
    macro_ap = [one["held_out"]["figures"]["macro_ap"] for one in found if one["held_out"]]
    return {
        "first": macro_ap[0],
        "other": macro_ap[1],
        "n_labels": found[0]["n_labels"],
        **seed_differences(ours, its),
    }


def _by_size(runs: Sequence[StoredRun], sizes: Sequence[int]) -> list[Story] | None:
    """Compare, for each number of current tracks, the current curator alone with both curators.

    `more` compares four networks with one, and criteria-conditioned training with four
    networks, if both were run.
    """
    if not runs:
        return None
    found: list[Story] = []
    for size in sizes:
        named = {
            who: [
                run for run in runs if run.name == f"{who}-{size}" and run.held_out is not None
            ]
            for who in ("both", "current", "four", "apart")
        }
        if named["both"] and named["current"]:
            more = {
                b: _charged(named[a], named[b])
                for a, b in (("both", "four"), ("four", "apart"))
                if named[a] and named[b]
            }
            charged = _charged(named["both"], named["current"])
            found.append({"size": size, **charged, "more": more})
    return found


def _leak(runs: Sequence[StoredRun]) -> list[Story]:
    """Return macro AP on the validation set of a run, and on the held-out tracks."""
    found: list[Story] = []
    for name in ("sound", "window-leak"):
        whole = [run for run in runs if run.name == name and run.validation is not None]
        if whole:
            one = summarise_part(whole)["runs"][0]
            found.append(
                {
                    "name": name,
                    "title": one["title"],
                    "validation": _macro_ap(one["validation"]),
                    "held_out": _macro_ap(one["held_out"]),
                }
            )
    return found


def _macro_ap(side: SideStory | None) -> SeedFigure:
    if side is None:
        raise ValueError("the run has no record of this side; run it again")
    return side["figures"]["macro_ap"]


def study_blocks(story: Story) -> list[Block]:
    """Write the report of the study as blocks of a page.

    Parameters
    ----------
    story : as `study_story` returns it.

    Returns
    -------
    list of Block : without the parts that did not run.
    """
    return [*_head(story), *_recipes(story), *_curators(story), *_ablation(story)]


def _head(story: Story) -> list[Block]:
    design = story["design"]
    n_windows = design["windows"]["windows_per_track"]
    share = 100 * design["current_share"]
    text = (
        f"A simulated library of {design['n_tracks']} tracks, with the 55 genres of the study "
        f"at its prevalences, {design['labels_per_track']:g} labels and {n_windows} windows a "
        f"track. The current curator has labelled {share:.0f} % of the training tracks. The "
        "previous curator, whose criteria differed, has labelled the others "
        "(ml/study/design.py, fixed before any recipe was run). All recipes are measured on "
        "the same held-out tracks, whole albums, by the labels of the current curator. The "
        "other parts have their own libraries, simulated in the same way. Figures are means "
        "over the seeds, with 95 % intervals in brackets. Differences are paired."
    )
    return [Heading("The study in the small", 1), Text(text)]


def _recipes(story: Story) -> list[Block]:
    told = story["recipes"]
    if told is None:
        return []
    study = [run for run in told["runs"] if run["name"] == "seed-2019"]
    return [
        Heading("The recipes"),
        Text(f"Seeds: {', '.join(map(str, told['seeds']))}. On the held-out tracks:"),
        recipes_table(told, "held_out"),
        *common_blocks(story["common"]),
        *pictures_of("recipes"),
        Text(
            "Results of each run on its own validation set. A recipe that calibrates and tunes "
            "thresholds has done so on these rows: its skill and F1 here are too good."
        ),
        recipes_table(told, "validation"),
        differences_table(told),
        *(block for run in study for block in signature_blocks(run)),
    ]


def _curators(story: Story) -> list[Block]:
    blocks: list[Block] = []
    if story["one_curator"] is not None:
        found = story["one_curator"]
        text = (
            "The author's recipe on the current curator's labels alone, compared with the same "
            "recipe on both curators' labels: macro AP "
            f"{gap(found['differences']['macro_ap'])}, BCE skill "
            f"{gap(found['differences']['bce_skill'])} ({found['verdict']}), over the "
            f"{number(found['n_labels'], 0)} labels that at least one of them has learnt."
        )
        blocks.append(Text(text))
    if story["proposed"]:
        text = (
            f"The same two recipes with {N_LEGACY} tracks of the previous curator and more "
            "tracks of the current one, on another library:"
        )
        blocks += [Text(text), *_size_blocks(story["proposed"])]
    if story["turning"]:
        blocks += _turning_blocks(story["turning"])
    return [Heading("One curator or two"), *blocks] if blocks else []


def _turning_blocks(turning: Sequence[Story]) -> list[Block]:
    text = (
        f"Our network with {N_LEGACY} tracks of the previous curator and more and more tracks "
        "of the current one, on another library. Macro AP is over the labels that at least "
        "one of the two runs has learnt; a run predicts its prior for a label it has not "
        "learnt:"
    )
    return [Text(text), *_size_blocks(turning), *_apart_blocks(turning)]


def _size_blocks(by_size: Sequence[Story]) -> list[Block]:
    """Compare the current curator alone with both curators, one row a size."""
    rows = [
        [
            str(row["size"]),
            number(row["n_labels"], 0),
            number(row["first"]["mean"]),
            number(row["other"]["mean"]),
            gap(row["differences"]["macro_ap"]),
            row["verdict"],
            gap(row["differences"]["bce_skill"]),
        ]
        for row in by_size
    ]
    header = [
        "tracks of the current curator",
        "labels",
        "both",
        "current alone",
        "gain",
        "alone is",
        "gain in BCE skill",
    ]
    return [Table(header, rows), Text(turning_text(by_size))]


def _apart_blocks(turning: Sequence[Story]) -> list[Block]:
    """Compare four networks with one, and criteria-conditioned training with four networks."""
    rows = [
        [
            str(row["size"]),
            number(more["four"]["other"]["mean"]),
            *_gains(more["four"]),
            number(more["apart"]["other"]["mean"]),
            *_gains(more["apart"]),
        ]
        for row in turning
        if len(more := row["more"]) == 2
    ]
    if not rows:
        return []
    header = ["tracks of the current curator"]
    for who in ("four networks", "criteria-conditioned"):
        header += [f"{who}: macro AP", "gain", "gain in BCE skill"]
    text = (
        "Is leaving out needed? Both curators' labels again: an ensemble of four networks and "
        "its gain over one network; and four networks with criteria-conditioned training, as "
        "in our recipe, and their gain over four without:"
    )
    return [Text(text), Table(header, rows)]


def _gains(found: Story) -> tuple[str, str]:
    return gap(found["differences"]["macro_ap"]), gap(found["differences"]["bce_skill"])


def turning_text(turning: Sequence[Story]) -> str:
    """State the numbers of tracks at which the current curator alone is better or worse.

    "Up to" applies to all smaller sizes too, "from" to all larger ones. If the verdicts have no
    such order, no break-even point is given.

    Parameters
    ----------
    turning : one row for each size, with `size` and `verdict`.

    Returns
    -------
    str : one or two sentences.
    """
    rows = sorted(turning, key=lambda row: float(row["size"]))
    worse = list(takewhile(lambda row: row["verdict"] == WORSE, rows))
    better = list(takewhile(lambda row: row["verdict"] == BETTER, reversed(rows)))
    texts = []
    if worse:
        texts.append(f"Up to {worse[-1]['size']} tracks it is better to learn from both.")
    if better:
        least = better[-1]["size"]
        texts.append(f"From {least} tracks on the current curator alone is better.")
    if not any(row["verdict"] == BETTER for row in rows):
        texts.append(
            "At none of these sizes is the current curator alone significantly better."
        )
    elif not better:
        texts.append("The verdicts have no order that would show a break-even point.")
    return " ".join(texts)


def _ablation(story: Story) -> list[Block]:
    told = story["ablation"]
    if told is None:
        return []
    text = (
        "About 300 tracks and 15 epochs: a sound training of the study's network, and the same "
        "with one suspected cause of its failure at a time:"
    )
    return [
        Heading("Which cause does what"),
        Text(text),
        recipes_table(told, "held_out"),
        differences_table(told),
        Items([*causes(told), *imbalance(told)]),
        *_leak_blocks(story["leak"]),
    ]


def _leak_blocks(leak: Sequence[Story]) -> list[Block]:
    if not leak:
        return []
    rows = [
        [row["title"], number(row["validation"]["mean"]), number(row["held_out"]["mean"])]
        for row in leak
    ]
    return [
        Text("A leak inflates the results of a run on its own validation set:"),
        Table(["run", "macro AP, validation", "macro AP, held-out tracks"], rows),
    ]


def causes(told: Story) -> list[str]:
    """Describe the effect of each cause on the ranking and on the probabilities.

    Parameters
    ----------
    told : summary of the ablation.

    Returns
    -------
    list of str : one sentence for each run that can be compared.
    """
    return [
        f"{run['title']}: {_effect(run, 'macro_ap')}; {_effect(run, 'bce_skill')}"
        for run in told["runs"]
        if run["verdict"] not in (None, NOT_COMPARABLE)
    ]


def _effect(run: Story, name: str) -> str:
    words = {
        WORSE: "harmed",
        BETTER: "improved",
        UNDECIDED: "not changed significantly",
        NOT_COMPARABLE: "not comparable",
    }
    what, figure = {
        "macro_ap": ("ranking", "macro AP"),
        "bce_skill": ("probabilities", "BCE skill"),
    }[name]
    effect = words[run["verdicts"][name]]
    return f"{what} {effect} ({figure} {gap(run['differences'][name])})"


def imbalance(told: Story) -> list[str]:
    """Compare the sound training with that on a library of equally frequent genres.

    Parameters
    ----------
    told : summary of the ablation.

    Returns
    -------
    list of str : one sentence, or none if either did not run. Nothing is paired.
    """
    runs = {run["name"]: run for run in told["runs"] if run["held_out"] is not None}
    if not {"sound", "balanced"} <= runs.keys():
        return []
    words = []
    for name in ("sound", "balanced"):
        figures = runs[name]["held_out"]["figures"]
        ap, skill = figures["macro_ap"], figures["bce_skill"]
        words.append(
            f"macro AP {number(ap['mean'])} where the baseline has {number(ap['constant'])}, "
            f"BCE skill {number(skill['mean'])}"
        )
    return [
        "imbalance: the study's prevalences against equally frequent genres, on another "
        f"library and therefore not paired: {words[0]} against {words[1]}"
    ]
