"""The charts of an experiment as PNG. Heavy (matplotlib): for workers and commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ml.evaluation.charts import new_figure, plain, png
from ml.evaluation.record import EvaluationRecord
from ml.study.store import StoredRun

Story = dict[str, Any]

_COLOURS = ("#0f6b74", "#b06f00", "#a8302c", "#24693c", "#5b4b8a", "#6b6b64")
_PARTS = ("recipes", "ablation")
#: What the course shows of an epoch, by its name in `EpochReport`, and of its validation.
COURSE = (("loss", "loss"), ("binary_accuracy", "accuracy"))


def figures_of(story: Story, runs: Sequence[StoredRun]) -> dict[str, bytes]:
    """Return PNG by file name, of every part that ran: course, outputs and figures."""
    found: dict[str, bytes] = {}
    for part in _PARTS:
        told = story.get(part)
        if told is None:
            continue
        whole = [run for run in runs if run.part == part and run.held_out is not None]
        first_seed = [run for run in whole if run.seed == whole[0].seed]
        if first_seed:
            found[f"{part}-course.png"] = _course(first_seed)
            found[f"{part}-outputs.png"] = _outputs(first_seed)
            found[f"{part}-figures.png"] = _figures(told)
    return found


def _course(runs: Sequence[StoredRun]) -> bytes:
    """Loss and binary accuracy by epoch, training and validation: the study's Figure 3."""
    figure = new_figure(3.1 * len(runs), 4.6)
    for place, run in enumerate(runs):
        history = run.held_out.history if run.held_out else ()
        for line, (name, word) in enumerate(COURSE):
            axes = figure.add_subplot(2, len(runs), line * len(runs) + place + 1)
            draw_fits(axes, history, name, "training", _COLOURS[1], "--")
            draw_fits(axes, history, f"validation_{name}", "validation", _COLOURS[0], "-")
            plain(axes, "epoch", word)
            if not line:
                axes.set_title(run.name, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False)
    return png(figure)


def draw_fits(
    axes: Axes, history: Sequence[Story], name: str, label: str, colour: str, dash: str
) -> None:
    """A line for each fit of the training, with a gap to the next; one epoch is a dot."""
    epochs = [epoch for epoch in history if epoch.get("part", 0) == 0]
    values = [epoch.get(name) for epoch in epochs]
    known = np.array([np.nan if value is None else value for value in values], dtype=float)
    if not np.isfinite(known).any():
        return
    stages = np.array([str(epoch.get("stage")) for epoch in epochs])
    starts = np.flatnonzero(stages[1:] != stages[:-1]) + 1
    for rows in np.split(np.arange(len(known)), starts):
        marker = "." if np.isfinite(known[rows]).sum() == 1 else ""
        axes.plot(rows + 1, known[rows], dash, color=colour, marker=marker, label=label)
        label = "_nolegend_"  # one entry of the legend for all fits


def _outputs(runs: Sequence[StoredRun]) -> bytes:
    """How many outputs are how large, positives and negatives apart; the count is a log."""
    figure = new_figure(2.6 * len(runs), 2.4)
    bins = np.linspace(0, 1, 41).tolist()
    for place, run in enumerate(runs, 1):
        axes = figure.add_subplot(1, len(runs), place)
        record = run.held_out
        if record is None:
            continue
        for is_positive, label, colour in ((False, "without", 5), (True, "with the label", 0)):
            values = _outputs_of(record, is_positive)
            axes.hist(values, bins, histtype="step", color=_COLOURS[colour], label=label)
        axes.set_yscale("log")
        axes.set_xlim(0, 1)
        plain(axes, "output", "outputs" if place == 1 else "")
        axes.set_title(run.name, fontsize=9)
        if place == 1:
            axes.legend(frameon=False, fontsize=8)
    return png(figure)


def _outputs_of(record: EvaluationRecord, is_positive: bool) -> np.ndarray:
    chosen = record.reference.label_mask & (record.reference.labels == is_positive)
    values = record.raw[chosen]
    return np.asarray(values[np.isfinite(values)])


def _figures(told: Story) -> bytes:
    """Macro AP and BCE skill of every run with their intervals, the constant's beside."""
    runs = [run for run in reversed(told["runs"]) if run["held_out"] is not None]
    figure = new_figure(9, 0.42 * len(runs) + 1.2)
    for place, (name, words) in enumerate(
        (("macro_ap", "macro AP"), ("bce_skill", "BCE skill"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        for row, run in enumerate(runs):
            one = run["held_out"]["figures"][name]
            if one["mean"] is None:
                continue
            if one["interval"]:
                axes.plot(
                    one["interval"], [row, row], color=_COLOURS[0], linewidth=3, alpha=0.4
                )
            axes.plot(one["mean"], row, "o", color=_COLOURS[0])
            if one["constant"] is not None:
                axes.plot(one["constant"], row, "|", color=_COLOURS[5], markersize=10)
        axes.set_yticks(range(len(runs)), [run["name"] for run in runs] if not place else [])
        plain(axes, f"{words}, 95 %; | is the constant", "")
    return png(figure)
