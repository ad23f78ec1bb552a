"""Charts of an experiment as PNG.

Stage: study. Heavy (matplotlib): for workers and commands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ml.evaluation.charts import label_axes, new_figure, png
from ml.evaluation.record import EvaluationRecord
from ml.study.store import StoredRun

Story = Mapping[str, Any]

_COLOURS = ("#0f6b74", "#b06f00", "#a8302c", "#24693c", "#5b4b8a", "#6b6b64")
_PARTS = ("recipes", "ablation")
#: Series of the learning curves: name in `EpochReport`, and label of the axis.
CURVES = (("loss", "loss"), ("binary_accuracy", "accuracy"))


def experiment_charts(story: Story, runs: Sequence[StoredRun]) -> dict[str, bytes]:
    """Draw the charts of every part that ran: learning curves, outputs and metrics.

    Parameters
    ----------
    story : summary by part. runs : stored runs of these parts.

    Returns
    -------
    dict of str and bytes : PNG by file name.
    """
    found: dict[str, bytes] = {}
    for part in _PARTS:
        summary = story.get(part)
        if summary is None:
            continue
        whole = [run for run in runs if run.part == part and run.held_out is not None]
        first_seed = [run for run in whole if run.seed == whole[0].seed]
        if first_seed:
            found[f"{part}-course.png"] = _learning_curves(first_seed)
            found[f"{part}-outputs.png"] = _outputs(first_seed)
            found[f"{part}-figures.png"] = _figures(summary)
    return found


def _learning_curves(runs: Sequence[StoredRun]) -> bytes:
    """Draw loss and binary accuracy by epoch, training and validation: the study's Figure 3."""
    figure = new_figure(3.1 * len(runs), 4.6)
    for place, run in enumerate(runs):
        history = run.held_out.history if run.held_out else ()
        for line, (name, word) in enumerate(CURVES):
            axes = figure.add_subplot(2, len(runs), line * len(runs) + place + 1)
            draw_fits(axes, history, name, "training", _COLOURS[1], "--")
            draw_fits(axes, history, f"validation_{name}", "validation", _COLOURS[0], "-")
            label_axes(axes, "epoch", word)
            if not line:
                axes.set_title(run.name, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False)
    return png(figure)


def draw_fits(
    axes: Axes, history: Sequence[Story], name: str, label: str, colour: str, dash: str
) -> None:
    """Draw a line for each fit of a training, with a gap between fits; one epoch is a dot.

    Parameters
    ----------
    axes : changed in place. history : one dict for each epoch. name : of the series.
    label, colour, dash : of the line.
    """
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
    """Draw histograms of the outputs for positives and negatives, with a logarithmic count."""
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
        label_axes(axes, "output", "outputs" if place == 1 else "")
        axes.set_title(run.name, fontsize=9)
        if place == 1:
            axes.legend(frameon=False, fontsize=8)
    return png(figure)


def _outputs_of(record: EvaluationRecord, is_positive: bool) -> np.ndarray:
    chosen = record.reference.label_mask & (record.reference.labels == is_positive)
    values = record.raw[chosen]
    return np.asarray(values[np.isfinite(values)])


def _figures(summary: Story) -> bytes:
    """Draw macro AP and BCE skill of every run with their intervals, and the baseline."""
    runs = [run for run in reversed(summary["runs"]) if run["held_out"] is not None]
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
        label_axes(axes, f"{words}, 95 %; | is the baseline", "")
    return png(figure)
