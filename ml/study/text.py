"""Tables and sentences of the reports on experiments; the sentences follow fixed rules.

Stage: study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ml.evaluation.pages import Block, Heading, Items, Picture, Table, Text

Story = Mapping[str, Any]

_NONE = "–"


def number(value: float | None, places: int = 3) -> str:
    """Format a number.

    Parameters
    ----------
    value : None if unknown. places : digits after the point.

    Returns
    -------
    str : a dash for None.

    Examples
    --------
    >>> number(0.12345), number(None)
    ('0.123', '–')
    """
    return _NONE if value is None else f"{value:.{places}f}"


def with_interval(figure: Story) -> str:
    """Format a metric with its interval.

    Parameters
    ----------
    figure : with `mean` and `interval`.

    Returns
    -------
    str : such as "0.123 [0.100, 0.150]".

    Examples
    --------
    >>> with_interval({"mean": 0.5, "interval": [0.4, 0.6]})
    '0.500 [0.400, 0.600]'
    """
    if figure["mean"] is None:
        return _NONE
    if figure["interval"] is None:
        return number(figure["mean"])
    low, high = figure["interval"]
    return f"{figure['mean']:.3f} [{low:.3f}, {high:.3f}]"


def gap(difference: Story | None) -> str:
    """Format a paired difference.

    Parameters
    ----------
    difference : with `difference`, `lo` and `hi`; None if unknown.

    Returns
    -------
    str : such as "+0.123 [+0.100, +0.150]".

    Examples
    --------
    >>> gap({"difference": 0.25, "lo": None, "hi": None})
    '+0.250'
    """
    if difference is None or difference["difference"] is None:
        return _NONE
    middle = f"{difference['difference']:+.3f}"
    if difference["lo"] is None or difference["hi"] is None:
        return middle
    return f"{middle} [{difference['lo']:+.3f}, {difference['hi']:+.3f}]"


def recipes_table(story: Story, side: str) -> Table:
    """Tabulate the metrics of all runs.

    Parameters
    ----------
    story : summary of a part. side : "held_out" or "validation".

    Returns
    -------
    Table : one row a run.
    """
    rows = []
    for run in story["runs"]:
        found = run[side]
        if found is None:
            why = "; ".join(sorted(set(run["errors"].values()))) or "no validation set"
            rows.append([run["title"], *[_NONE] * 8, why])
            continue
        figures, outputs = found["figures"], found["outputs"]
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
                verdicts(found["verdicts"]),
            ]
        )
    header = [
        "run",
        "tracks",
        "macro AP",
        "baseline",
        "BCE skill",
        "binary accuracy (baseline)",
        "largest output",
        "never predicted at .5",
        "macro F1 (baseline)",
        "verdict",
    ]
    return Table(header, rows)


def common_blocks(common: Story | None) -> list[Block]:
    """Show the metrics of all runs on the labels that all of them have learnt.

    Parameters
    ----------
    common : summary on these labels, or None.

    Returns
    -------
    list of Block : empty for None.
    """
    if common is None:
        return []
    n_labels = number(common["runs"][0]["n_labels"], 0)
    text = (
        f"The same on the {n_labels} labels that all of them have learnt. Rare labels are hard "
        "for every recipe, and a recipe that learns more of them should not look worse for it:"
    )
    return [Text(text), recipes_table(common, "held_out")]


def verdicts(found: Sequence[str]) -> str:
    """Join the verdicts of several seeds.

    Parameters
    ----------
    found : one verdict for each seed, at least one.

    Returns
    -------
    str : the verdict, or each with its number of seeds.

    Examples
    --------
    >>> verdicts(["useful", "useful", "cannot be judged"])
    'useful (2 of 3); cannot be judged (1 of 3)'
    """
    counts = {text: found.count(text) for text in dict.fromkeys(found)}
    if len(counts) == 1:
        return found[0]
    return "; ".join(f"{text} ({n} of {len(found)})" for text, n in counts.items())


def differences_table(story: Story) -> Table:
    """Tabulate the paired differences of all runs to the first.

    Parameters
    ----------
    story : summary of a part.

    Returns
    -------
    Table : one row a run, without the first.
    """
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
    """State whether the failure of the study appears in a run, sign by sign.

    Parameters
    ----------
    run : summary of one recipe.

    Returns
    -------
    list of Block : a sentence, and a list of the signs.
    """
    found = run["validation"] or run["held_out"]
    if found is None:
        text = f"{run['title']} did not run, so the study's signature cannot be checked."
        return [Text(text)]
    signs = found["signature"]
    n = len(signs)
    shown = sum(one["all"] for one in signs)
    head = {
        n: f"The study's signature appears for all {n} seeds.",
        0: f"The study's signature does not appear as a whole for any of the {n} seeds.",
    }.get(shown, f"The study's signature appears for {shown} of {n} seeds.")
    words = {
        "accuracy": "binary accuracy within .01 of the baseline",
        "outputs": "largest output below .5 for at least 24 of 30 labels",
        "verdict": 'verdict "no better than answering the label frequencies"',
    }
    counts = [
        f"{words[sign]}: {sum(one[sign] for one in signs)} of {n} seeds" for sign in words
    ]
    return [Text(head), Items(counts)]


def choices_section(*parts: Story | None) -> list[Block]:
    """Explain the misleading choices of the runs, each with the runs that made it.

    Parameters
    ----------
    parts : summaries; None for a part that did not run.

    Returns
    -------
    list of Block : empty if no run made such a choice.
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
    """Return the charts of a part, which `ml.study.charts` draws.

    Parameters
    ----------
    part : of the experiment.

    Returns
    -------
    list of Block : pictures.
    """
    return [
        Picture(f"{part}-course.png", "Loss and binary accuracy by epoch, the first seed"),
        Picture(f"{part}-outputs.png", "How large the outputs are on the held-out tracks"),
        Picture(f"{part}-figures.png", "Macro AP and BCE skill with their intervals"),
    ]


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.0f} %"
