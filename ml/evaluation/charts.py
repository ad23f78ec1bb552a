"""Charts of a report as PNG files, for papers and slides. Imported in workers only.

Stage: evaluation. The pages draw their own charts from the same report. matplotlib is used
without a display and without its global state.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Report = dict[str, Any]

DPI = 150
MOST_CURVES = 12
_BLUE, _ORANGE, _GREY = "#0f6b74", "#b06f00", "#85857d"
_COLOURS = (_BLUE, _ORANGE, "#a8302c", "#24693c", "#1c1f22", "#82857f")
_DASHES = ("-", "--", ":", "-.", "-", "--")


def report_figures(report: Report) -> Iterator[tuple[str, bytes]]:
    """Draw every chart of a report for which it has values.

    Parameters
    ----------
    report : as `ml.evaluation.report.build_report` returns it, or read from its JSON.

    Yields
    ------
    tuple of str and bytes : file name and PNG.
    """
    mean = report["course"]["mean"]
    pairs = {
        "loss": (mean["loss"], mean["validation_loss"], None),
        "accuracy": (
            mean["accuracy"],
            mean["validation_accuracy"],
            report["baseline"]["binary_accuracy"],
        ),
        "macro-ap": ([], mean["validation_macro_ap"], report["baseline"]["macro_ap"]),
    }
    for name, (training, validation, level) in pairs.items():
        if any(value is not None for value in (*training, *validation)):
            yield f"{name}.png", png(_learning_curve(name, training, validation, level))
    if any(report["calibration"][side]["bins"] for side in ("before", "after")):
        yield "reliability.png", png(_reliability(report["calibration"]))
    rows = [row for row in report["labels"] if report["precision_recall"][row["uid"]]]
    if rows:
        curves = {uid: [curve] for uid, curve in report["precision_recall"].items()}
        yield "precision-recall.png", png(_curves(_frequent(rows), curves, ["model"]))
        yield "labels.png", png(_labels(rows))


def comparison_figures(found: Report, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Draw the charts of a comparison; none without a label that can be drawn.

    Parameters
    ----------
    found : as `ml.evaluation.comparison.compare` returns it, or read from its JSON.
    names : of the runs, in its order.

    Yields
    ------
    tuple of str and bytes : file name and PNG.
    """
    rows = [row for row in found["labels"] if any(found["precision_recall"][row["uid"]])]
    if not rows:
        return
    yield (
        "precision-recall.png",
        png(_curves(_frequent(rows), found["precision_recall"], names, found["n"])),
    )
    for number, name in enumerate(names):
        if number:
            yield f"differences-{number + 1}.png", png(_differences(rows, number, name, names))


def _frequent(rows: list[Report]) -> list[Report]:
    return sorted(rows, key=lambda row: -row["support"])[:MOST_CURVES]


def new_figure(width: float, height: float) -> Figure:
    """Create an empty figure that is drawn without a display.

    Parameters
    ----------
    width, height : in inches.

    Returns
    -------
    Figure : empty.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """Write a figure as PNG; the same figure gives the same bytes.

    Parameters
    ----------
    figure : to write.

    Returns
    -------
    bytes : content of the file.
    """
    buffer = io.BytesIO()
    # No software or date in the file: the same report gives the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def label_axes(axes: Axes, across: str, up: str) -> None:
    """Name both axes, add a grid and remove the frame at the top and the right.

    Parameters
    ----------
    axes : changed in place. across, up : names of the axes.
    """
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(visible=True, color="#dcdbd5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _learning_curve(
    name: str,
    training: Sequence[float | None],
    validation: Sequence[float | None],
    baseline: float | None,
) -> Figure:
    figure = new_figure(5, 3.2)
    axes = figure.add_subplot()
    for values, label, colour, dash in (
        (training, "training", _ORANGE, "--"),
        (validation, "validation", _BLUE, "-"),
    ):
        known = np.array([np.nan if value is None else value for value in values], dtype=float)
        if np.isfinite(known).any():
            epochs = np.arange(1, len(known) + 1)
            axes.plot(epochs, known, dash, color=colour, label=label)
    if baseline is not None:
        axes.axhline(baseline, color=_GREY, linestyle=":", label="baseline")
    label_axes(axes, "epoch", name.replace("-", " "))
    axes.legend(frameon=False)
    return figure


def _reliability(calibration: Report) -> Figure:
    figure = new_figure(4.2, 4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], ":", color=_GREY, label="perfect calibration")
    for side, label, colour, dash in (
        ("before", "before calibration", _ORANGE, "--"),
        ("after", "calibrated", _BLUE, "-"),
    ):
        bins = calibration[side]["bins"]
        axes.plot(
            [row["mean_probability"] for row in bins],
            [row["observed_rate"] for row in bins],
            dash,
            marker="o",
            markersize=4,
            color=colour,
            label=f"{label} (error {calibration[side]['ece']:.3f})" if bins else label,
        )
    label_axes(axes, "predicted probability", "observed rate")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _curves(
    rows: list[Report], curves: Report, names: Sequence[str], n: int | None = None
) -> Figure:
    columns = min(4, len(rows))
    lines = -(-len(rows) // columns)
    figure = new_figure(2.6 * columns, 2.2 * lines + 0.4)
    for place, row in enumerate(rows, 1):
        axes = figure.add_subplot(lines, columns, place)
        share = row["support"] / n if n else row.get("prevalence")
        if share is not None:
            axes.axhline(share, color=_GREY, linestyle=":")
        for number, curve in enumerate(curves[row["uid"]]):
            if curve is not None:
                axes.plot(
                    curve["recall"],
                    curve["precision"],
                    _DASHES[number],
                    color=_COLOURS[number],
                    label=names[number],
                )
        axes.set_title(f"{row['name']} ({row['support']})", fontsize=8)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.03)
        label_axes(axes, "recall", "precision")
        axes.tick_params(labelsize=7)
    if len(names) > 1:
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=6,
            frameon=False,
        )  # fmt: skip
    return figure


def _labels(rows: list[Report]) -> Figure:
    """Draw the AP of every label with its interval, and that of the baseline."""
    ordered = sorted(rows, key=lambda row: row["ap"])
    figure = new_figure(6, 0.24 * len(ordered) + 1)
    axes = figure.add_subplot()
    places = np.arange(len(ordered))
    for place, row in zip(places, ordered, strict=True):
        if row["ap_interval"]:
            axes.plot(row["ap_interval"], [place, place], color=_BLUE, alpha=0.4, linewidth=3)
    axes.plot([row["ap"] for row in ordered], places, "o", color=_BLUE, label="AP")
    shares = [row["prevalence"] for row in ordered]
    axes.plot(shares, places, "|", color=_GREY, label="baseline", markersize=9)
    axes.set_yticks(
        places, [f"{row['name']} ({row['support']})" for row in ordered], fontsize=7
    )
    axes.set_xlim(0, 1)
    label_axes(axes, "average precision, 95 %", "")
    axes.legend(frameon=False)
    return figure


def _differences(rows: list[Report], number: int, name: str, names: Sequence[str]) -> Figure:
    """Draw the difference in AP of every label to the first run, with its interval."""
    known = [row for row in rows if (row["differences"][number] or {}).get("lo") is not None]
    ordered = sorted(known, key=lambda row: row["differences"][number]["difference"])
    figure = new_figure(6, 0.24 * len(ordered) + 1)
    axes = figure.add_subplot()
    axes.axvline(0, color=_GREY)
    for place, row in enumerate(ordered):
        gap = row["differences"][number]
        axes.plot([gap["lo"], gap["hi"]], [place, place], color=_BLUE, alpha=0.4, linewidth=3)
        axes.plot(gap["difference"], place, "o", color=_BLUE)
    labels = [f"{row['name']} ({row['support']})" for row in ordered]
    axes.set_yticks(np.arange(len(ordered)), labels, fontsize=7)
    label_axes(axes, f"AP of {name} - AP of {names[0]}, 95 %", "")
    return figure
