"""An experiment in tables, and in sentences that follow from stated rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml.evaluation.pages import Block, Heading, Items, Picture, Table, Text

Story = dict[str, Any]

_NONE = "–"


def number(value: float | None, places: int = 3) -> str:
    """Return a figure as a person reads it; what is not known is a dash."""
    return _NONE if value is None else f"{value:.{places}f}"


def with_interval(figure: Story) -> str:
    """Return "mean [low, high]" of a figure with its interval."""
    if figure["mean"] is None:
        return _NONE
    if figure["interval"] is None:
        return number(figure["mean"])
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


def gap(difference: Story | None) -> str:
    """Return "+0.123 [+0.100, +0.150]" of a paired difference, "+0.123" without an interval."""
    if difference is None or difference["difference"] is None:
        return _NONE
    middle = f"{difference['difference']:+.3f}"
    if difference["lo"] is None or difference["hi"] is None:
        return middle
    return f"{middle} [{difference['lo']:+.3f}, {difference['hi']:+.3f}]"


def recipes_table(story: Story, side: str) -> Table:
    """Return the figures of all runs on one side, "held_out" or "validation"."""
    rows = []
    for run in story["runs"]:
        told = run[side]
        if told is None:
            why = "; ".join(sorted(set(run["errors"].values()))) or "held nothing back"
            rows.append([run["title"], *[_NONE] * 8, why])
            continue
        figures, outputs = told["figures"], told["outputs"]
        rows.append(
            [
                run["title"],
                number(run["n_tracks"], 0),
                with_interval(figures["macro_ap"]),
                number(figures["macro_ap"]["constant"]),
                with_interval(figures["bce_skill"]),
                f"{number(figures['binary_accuracy']['mean'])} "
                f"({number(figures['binary_accuracy']['constant'])})",
                f"{number(outputs['largest'], 2)}, {_percent(outputs['share_small'])} < .2",
                f"{number(outputs['never_at_half'], 1)} of {number(outputs['n_labels'], 0)}",
                f"{number(figures['macro_f1']['mean'])} "
                f"({number(figures['macro_f1']['constant'])})",
                verdicts(told["verdicts"]),
            ]
        )
    header = [
        "run",
        "tracks",
        "macro AP",
        "constant's",
        "BCE skill",
        "binary accuracy (constant's)",
        "largest output",
        "never said at .5",
        "macro F1 (constant's)",
        "verdict",
    ]
    return Table(header, rows)


def common_blocks(common: Story | None) -> list[Block]:
    """Return the figures of all runs on the labels that all of them know."""
    if common is None:
        return []
    n_labels = number(common["runs"][0]["n_labels"], 0)
    text = (
        f"The same on the {n_labels} labels that all of them know. Rare labels are hard for "
        "every recipe; one that learns more of them is not to look worse for it:"
    )
    return [Text(text), recipes_table(common, "held_out")]


def verdicts(found: Sequence[str]) -> str:
    """Return the verdict, or each with the number of seeds that it holds for."""
    counts = {text: found.count(text) for text in dict.fromkeys(found)}
    if len(counts) == 1:
        return found[0]
    return "; ".join(f"{text} ({n} of {len(found)})" for text, n in counts.items())


def differences_table(story: Story) -> Table:
    """Return the paired differences of all runs to the first."""
    title = next((run["title"] for run in story["runs"] if run["name"] == story["first"]), "")
    rows = [
        [
            run["title"],
            gap(run["differences"]["macro_ap"]),
            gap(run["differences"]["bce_skill"]),
            run["verdict"],
        ]
        for run in story["runs"]
        if run["differences"] is not None
    ]
    return Table([f"against: {title}", "macro AP", "BCE skill", "by macro AP"], rows)


def signature_blocks(run: Story) -> list[Block]:
    """Say whether the study's failure appears in a run, sign by sign."""
    told = run["validation"] or run["held_out"]
    if told is None:
        return [Text(f"{run['title']} did not run: nothing is known of the study's signature.")]
    signs = told["signature"]
    n = len(signs)
    shown = sum(found["all"] for found in signs)
    head = {
        n: f"The study's signature appears for all {n} seeds.",
        0: f"The study's signature does not appear as a whole for any of the {n} seeds.",
    }.get(shown, f"The study's signature appears for {shown} of {n} seeds.")
    words = {
        "accuracy": "binary accuracy within .01 of the constant's",
        "outputs": "largest output below .5 for at least 24 of 30 labels",
        "verdict": 'verdict "no better than answering the label frequencies"',
    }
    counts = [
        f"{words[sign]}: {sum(found[sign] for found in signs)} of {n} seeds" for sign in words
    ]
    return [Text(head), Items(counts)]


def choices_section(*parts: Story | None) -> list[Block]:
    """Say what misleading choices of the runs of some parts do, each with all that made it.

    A part that did not run is None; where no run made such a choice, nothing is said.
    """
    made: dict[str, list[str]] = {}
    for part in parts:
        for run in part["runs"] if part is not None else []:
            for text in run["choices"]:
                made.setdefault(text, []).append(run["title"])
    if not made:
        return []
    rows = [["; ".join(dict.fromkeys(titles)), text] for text, titles in made.items()]
    return [Heading("What the choices of these runs do"), Table(["runs", "what it does"], rows)]


def pictures_of(part: str) -> list[Block]:
    """Return where the charts of a part stand (`ml.study.charts` draws them)."""
    return [
        Picture(f"{part}-course.png", "Loss and binary accuracy by epoch, the first seed"),
        Picture(f"{part}-outputs.png", "How large the outputs are on the held-out tracks"),
        Picture(f"{part}-figures.png", "Macro AP and BCE skill with their intervals"),
    ]


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.0f} %"
