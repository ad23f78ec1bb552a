"""What the study in the small tells: from the runs that are kept to a page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from ml.evaluation.comparison import BETTER, NOT_COMPARABLE, UNDECIDED, WORSE
from ml.evaluation.pages import Block, Heading, Items, Table, Text
from ml.study.design import StudyDesign
from ml.study.labels import under_all_labels
from ml.study.store import StoredRun
from ml.study.story import common_story, differences, tell
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

Story = dict[str, Any]


def study_story(runs: Sequence[StoredRun], design: StudyDesign) -> Story:
    """Return everything that the report tells, by part; None for one that did not run."""
    of_part = {part: [run for run in runs if run.part == part] for part in PARTS}
    return {
        "design": design.canonical(),
        "recipes": tell(of_part["recipes"], "seed-2019") if of_part["recipes"] else None,
        "common": common_story(of_part["recipes"]),
        "ablation": tell(of_part["ablation"], "sound") if of_part["ablation"] else None,
        "one_curator": _one_curator(of_part["recipes"]),
        "proposed": _by_size(of_part["proposed"], PROPOSED_SIZES),
        "turning": _by_size(of_part["turning"], TURNING_SIZES),
        "leak": _leak(of_part["ablation"]),
    }


def _one_curator(runs: Sequence[StoredRun]) -> Story | None:
    """What the author's proposal gains by leaving the first curator out."""
    named = {
        name: [run for run in runs if run.name == name and run.held_out is not None]
        for name in ("seed-next-both", "seed-next")
    }
    if not all(named.values()):
        return None
    return _charged(named["seed-next-both"], named["seed-next"])


def _charged(first: Sequence[StoredRun], other: Sequence[StoredRun]) -> Story:
    """Tell two names and their difference under the labels that either of them knows."""
    a, b = {run.seed: run for run in first}, {run.seed: run for run in other}
    seeds = sorted(a.keys() & b.keys())
    ours = [under_all_labels(a[seed], b[seed]) for seed in seeds]
    its = [under_all_labels(b[seed], a[seed]) for seed in seeds]
    told = tell([*ours, *its])["runs"]
    macro_ap = [one["held_out"]["figures"]["macro_ap"] for one in told]
    return {
        "first": macro_ap[0],
        "other": macro_ap[1],
        "n_labels": told[0]["n_labels"],
        **differences(ours, its),
    }


def _by_size(runs: Sequence[StoredRun], sizes: Sequence[int]) -> list[Story] | None:
    """For each number of the current curator's labels: current alone against both.

    `more` has four networks against one, and criteria told apart against four networks, where
    both were run.
    """
    if not runs:
        return None
    found = []
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
    """What a run would have reported of itself, and what held-out tracks say."""
    found = []
    for name in ("sound", "window-leak"):
        whole = [run for run in runs if run.name == name and run.validation is not None]
        if whole:
            told = tell(whole)["runs"][0]
            found.append(
                {
                    "name": name,
                    "title": told["title"],
                    "validation": told["validation"]["figures"]["macro_ap"],
                    "held_out": told["held_out"]["figures"]["macro_ap"],
                }
            )
    return found


def study_blocks(story: Story) -> list[Block]:
    """Return the story as a page; what did not run is left out."""
    return [*_head(story), *_recipes(story), *_curators(story), *_ablation(story)]


def _head(story: Story) -> list[Block]:
    design = story["design"]
    n_windows = design["windows"]["windows_per_track"]
    share = 100 * design["current_share"]
    text = (
        f"A simulated library of {design['n_tracks']} tracks, the 55 genres of the study at "
        f"its prevalences, {design['labels_per_track']:g} labels and {n_windows} windows a "
        f"track. Of the tracks learnt from, {share:.0f} % were labelled by the curator of "
        "today, the others by the one before, whose criteria differed (ml/study/design.py: "
        "fixed before any recipe was run). The recipes are judged on the same held-out "
        "tracks, whole albums, by the answers of the curator of today; the other parts have "
        "libraries of their own, made alike. Figures are means over the seeds, with 95 % "
        "intervals in brackets; a difference is paired."
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
            "What each run would have reported of the part that it held back itself. Where a "
            "recipe calibrates and tunes its cuts, it did so on these rows: its skill and F1 "
            "here are too good."
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
            "The author's recipe on the current curator's labels alone, against the same on "
            f"both: macro AP {gap(found['differences']['macro_ap'])}, BCE skill "
            f"{gap(found['differences']['bce_skill'])} ({found['verdict']}), over the "
            f"{number(found['n_labels'], 0)} labels that either knows."
        )
        blocks.append(Text(text))
    if story["proposed"]:
        text = (
            f"The same two recipes with {N_LEGACY} tracks of the curator before and more of "
            "the current one's, on a library of its own:"
        )
        blocks += [Text(text), *_size_blocks(story["proposed"])]
    if story["turning"]:
        blocks += _turning_blocks(story["turning"])
    return [Heading("One curator or two"), *blocks] if blocks else []


def _turning_blocks(turning: Sequence[Story]) -> list[Block]:
    text = (
        f"Our network, {N_LEGACY} tracks of the curator before, and more and more of the "
        "current one's, on a library of its own; macro AP over the labels that either run "
        "knows, where a label that a run never learnt is answered by its frequency:"
    )
    return [Text(text), *_size_blocks(turning), *_apart_blocks(turning)]


def _size_blocks(by_size: Sequence[Story]) -> list[Block]:
    """Set the current curator alone beside both, one line a size."""
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
    """Set four networks beside one, and criteria told apart beside four networks."""
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
    for who in ("four networks", "told apart"):
        header += [f"{who}: macro AP", "gain", "gain in BCE skill"]
    text = (
        "Is leaving out needed? Both curators' labels again: four networks from different "
        "starts, the gain over one; and four that tell the two curators apart, as our recipe "
        "does, the gain over four that do not:"
    )
    return [Text(text), Table(header, rows)]


def _gains(found: Story) -> tuple[str, str]:
    return gap(found["differences"]["macro_ap"]), gap(found["differences"]["bce_skill"])


def turning_text(turning: Sequence[Story]) -> str:
    """Say from how many tracks on the current curator alone is better, and until when not.

    "Up to" holds for all smaller sizes too, "from" for all larger ones: where the verdicts
    have no such order, nothing is said of a turn.
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
        texts.append("At none of these sizes is the current curator alone told to be better.")
    elif not better:
        texts.append("The verdicts have no order from which a turn could be told.")
    return " ".join(texts)


def _ablation(story: Story) -> list[Block]:
    told = story["ablation"]
    if told is None:
        return []
    text = (
        "About 300 tracks, 15 epochs, the study's network soundly trained, and each suspected "
        "cause added to it alone:"
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
        Text("What a leak does is seen in what the run reports of itself:"),
        Table(["run", "macro AP it reports", "on held-out tracks"], rows),
    ]


def causes(told: Story) -> list[str]:
    """Say of each cause what it does to the ranking, and what to the probabilities."""
    return [
        f"{run['title']}: {_effect(run, 'macro_ap')}; {_effect(run, 'bce_skill')}"
        for run in told["runs"]
        if run["verdict"] not in (None, NOT_COMPARABLE)
    ]


def _effect(run: Story, name: str) -> str:
    words = {
        WORSE: "harmed",
        BETTER: "improved",
        UNDECIDED: "not changed by anything that can be told from chance here",
        NOT_COMPARABLE: "not comparable",
    }
    what, figure = {
        "macro_ap": ("ranking", "macro AP"),
        "bce_skill": ("probabilities", "BCE skill"),
    }[name]
    told = words[run["verdicts"][name]]
    return f"{what} {told} ({figure} {gap(run['differences'][name])})"


def imbalance(told: Story) -> list[str]:
    """Set a library of equally frequent genres beside the sound training: nothing is paired."""
    runs = {run["name"]: run for run in told["runs"] if run["held_out"] is not None}
    if not {"sound", "balanced"} <= runs.keys():
        return []
    words = []
    for name in ("sound", "balanced"):
        figures = runs[name]["held_out"]["figures"]
        ap, skill = figures["macro_ap"], figures["bce_skill"]
        words.append(
            f"macro AP {number(ap['mean'])} where the constant has {number(ap['constant'])}, "
            f"BCE skill {number(skill['mean'])}"
        )
    return [
        "imbalance: the study's prevalences against equally frequent genres, which is another "
        f"library and so not paired: {words[0]} against {words[1]}"
    ]
