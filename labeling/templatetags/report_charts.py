"""Charts with axes for evaluation reports, as inline SVG in the colours of the page.

Every chart says in words what it shows (`title` and `desc`): colour and shape are not for
everyone. Lines differ by dash as well as by colour. Unknown values leave a gap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()
Points = list[tuple[float, float]]
Values = Sequence[float | None]

#: Room for the numbers of the axes and their names, in pixels.
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 10.0, 8.0, 34.0
_NO_RELIABILITY = SafeString('<p class="muted">Reliability: no data.</p>')
_NICE = (1, 2, 2.5, 5, 10)
#: What people call the figures that models are compared by.
HEADLINE_NAMES = {
    "skill": "BCE skill score",
    "macro_ap_10": "Macro AP of frequent labels",
    "micro_f1": "Tuned micro F1",
    "macro_ap": "Macro AP",
    "bce_skill": "BCE skill score",
    "lwlrap": "lwlrap",
    "macro_f1": "Tuned macro F1",
}
#: Looks of the lines of one chart, in order.
LOOKS = ("first", "second", "third", "fourth", "fifth", "sixth")


@dataclass(frozen=True)
class Line:
    """Points of one line, in the units of the axes; None is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    look: str = LOOKS[0]
    has_dots: bool = False


@dataclass(frozen=True)
class Axes:
    """The range and labels of the axes."""

    x_name: str
    y_name: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)
    width: int = 376
    height: int = 220

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value lies, in pixels."""
        across = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        up = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return (
            round(_LEFT + min(1.0, max(0.0, across)) * (self.width - _LEFT - _RIGHT), 1),
            round(self.height - _BOTTOM - min(1.0, max(0.0, up)) * self.plot_height, 1),
        )

    @property
    def plot_height(self) -> float:
        """Pixels between the axis and the top."""
        return self.height - _TOP - _BOTTOM


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers within [low, high], at most `most` + 1 of them."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * nice for nice in _NICE if scale * nice >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def plot(lines: Sequence[Line], axes: Axes, title: str, desc: str) -> SafeString:
    """Draw lines in axes, or say that there is nothing to draw."""
    if not any(y is not None for line in lines for _, y in line.points):
        return format_html('<p class="muted">{}: no data.</p>', title)
    inside = _grid(axes) + SafeString("".join(_drawn(line, axes) for line in lines))
    return format_html(
        '<svg class="chart plot" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img">'
        "<title>{2}</title><desc>{3}</desc>{4}</svg>",
        axes.width,
        axes.height,
        title,
        desc,
        inside,
    )


def _grid(axes: Axes) -> SafeString:
    left, bottom = axes.place(axes.x[0], axes.y[0])
    right, top = axes.place(axes.x[1], axes.y[1])
    across = format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
        '<text class="text" x="{3}" y="{4}" text-anchor="end">{5}</text>',
        (
            (left, right, y, left - 6, y + 4, f"{value:g}")
            for value in ticks(*axes.y, most=4)
            for y in [axes.place(axes.x[0], value)[1]]
        ),
    )
    along = format_html_join(
        "",
        '<text class="text" x="{}" y="{}" text-anchor="middle">{}</text>',
        (
            (axes.place(value, axes.y[0])[0], bottom + 14, f"{value:g}")
            for value in ticks(*axes.x, most=5)
        ),
    )
    names = format_html(
        '<text class="text" x="{}" y="{}" text-anchor="middle">{}</text>'
        '<text class="text" transform="translate(10 {}) rotate(-90)" text-anchor="middle">{}'
        "</text>",
        (left + right) / 2,
        axes.height - 3,
        axes.x_name,
        (top + bottom) / 2,
        axes.y_name,
    )
    return across + along + names


def _drawn(line: Line, axes: Axes) -> SafeString:
    runs: list[Points] = [[]]
    for x, y in line.points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append(axes.place(x, y))
    kept = [run for run in runs if run]
    paths = format_html_join(
        "",
        '<polyline class="line {}" points="{}"/>',
        ((line.look, " ".join(f"{x:g},{y:g}" for x, y in run)) for run in kept if len(run) > 1),
    )
    dots = [run[0] for run in kept if len(run) == 1]
    if line.has_dots:
        dots = [place for run in kept for place in run]
    return paths + format_html_join(
        "",
        '<circle class="dot {}" cx="{}" cy="{}" r="2.5"/>',
        ((line.look, x, y) for x, y in dots),
    )


@register.simple_tag
def legend(*entries: str) -> SafeString:
    """Name the lines of a chart: `look=name` each, in the looks they are drawn with."""
    return format_html(
        '<ul class="legend">{}</ul>',
        format_html_join(
            "",
            '<li><svg width="24" height="8" aria-hidden="true"><line class="line {}" x1="0" '
            'x2="24" y1="4" y2="4"/></svg> {}</li>',
            (entry.split("=", 1) for entry in entries),
        ),
    )


def _by_epoch(values: Values) -> list[tuple[float, float | None]]:
    return [(float(epoch), value) for epoch, value in enumerate(values, 1)]


def _told(name: str, values: Values) -> str:
    known = [(value, epoch) for epoch, value in enumerate(values, 1) if value is not None]
    if not known:
        return ""
    lowest, highest = min(known), max(known)
    return (
        f"{name}: first {known[0][0]:.3f}, last {known[-1][0]:.3f}, lowest {lowest[0]:.3f} in "
        f"epoch {lowest[1]}, highest {highest[0]:.3f} in epoch {highest[1]}."
    )


def has_values(values: Values) -> bool:
    """Say whether any value is known."""
    return any(value is not None for value in values)


@register.simple_tag
def epochs_chart(
    title: str, training: Values, validation: Values, constant: float | None = None
) -> SafeString:
    """Draw a metric of training and validation by epoch, with the baseline as a level line."""
    known = [v for v in (*training, *validation, constant) if v is not None]
    if not known:
        return format_html('<p class="muted">{}: not recorded for this run.</p>', title)
    n = max(len(training), len(validation), 2)
    low, high = min(known), max(known)
    room = (high - low) * 0.08 or 0.05
    axes = Axes("epoch", title, (1.0, float(n)), (max(0.0, low - room), high + room))
    lines = [
        Line("training", _by_epoch(training), LOOKS[1]),
        Line("validation", _by_epoch(validation), LOOKS[0]),
    ]
    if constant is not None:
        lines.append(Line("constant", [(1.0, constant), (float(n), constant)], "level"))
    said = [_told("Training", training), _told("Validation", validation)]
    if constant is not None:
        said.append(f"The baseline has {constant:.3f}.")
    return plot(lines, axes, f"{title} by epoch", " ".join(part for part in said if part))


@register.simple_tag
def reliability_chart(calibration: dict[str, Any]) -> SafeString:
    """Draw observed rate against probability, before and after calibration."""
    axes = Axes("predicted probability", "observed rate", width=340, height=300)
    lines = [Line("perfect", [(0.0, 0.0), (1.0, 1.0)], "level")]
    said = []
    for name, look in (("before", LOOKS[1]), ("after", LOOKS[0])):
        bins = calibration[name]["bins"]
        points = [(row["mean_probability"], row["observed_rate"]) for row in bins]
        lines.append(Line(name, points, look, has_dots=True))
        said += [
            f"{name} calibration, {row['n']} predictions of {row['mean_probability']:.2f}: "
            f"{row['observed_rate']:.2f} have it."
            for row in bins
        ]
    if not any(calibration[name]["bins"] for name in ("before", "after")):
        return _NO_RELIABILITY
    return plot(lines, axes, "Reliability diagram", " ".join(said))


@register.simple_tag
def precision_recall_chart(
    name: str,
    curves: Sequence[dict[str, Any] | None],
    prevalence: float | None,
    width: int = 230,
    height: int = 180,
) -> SafeString:
    """Draw precision against recall of one label, one line per run, and the baseline."""
    axes = Axes("recall", "precision", width=width, height=height)
    lines = []
    if prevalence is not None:
        lines.append(Line("constant", [(0.0, prevalence), (1.0, prevalence)], "level"))
    for look, curve in zip(LOOKS, curves, strict=False):
        if curve is not None:
            points = list(zip(curve["recall"], curve["precision"], strict=True))
            lines.append(Line(name, points, look))
    said = [
        f"Line {number}: precision {curve['precision'][0]:.2f} at recall "
        f"{curve['recall'][0]:.2f}, {curve['precision'][-1]:.2f} at recall 1."
        for number, curve in enumerate(curves, 1)
        if curve is not None
    ]
    if not said:
        return format_html('<p class="muted">{}: no curve.</p>', name)
    return plot(lines, axes, f"Precision and recall of {name}", " ".join(said))


@register.simple_tag
def difference_chart(
    difference: dict[str, float | None] | None, most: float, width: int = 150
) -> SafeString:
    """Draw a difference and its interval about a zero in the middle; `most` is the edge."""
    if not difference or difference["difference"] is None or not most:
        return SafeString("")
    height, middle = 16, width / 2

    def x(value: float) -> float:
        return round(middle + max(-1.0, min(1.0, value / most)) * (middle - 4), 1)

    value, low, high = (difference[name] for name in ("difference", "lo", "hi"))
    span = SafeString("")
    if low is not None and high is not None:
        span = format_html(
            '<line class="span" x1="{}" x2="{}" y1="8" y2="8"/>', x(low), x(high)
        )
    return format_html(
        '<svg class="chart gap" width="{0}" height="{1}" viewBox="0 0 {0} {1}" '
        'aria-hidden="true"><line class="zero" x1="{2}" x2="{2}" y1="0" y2="{1}"/>{3}'
        '<circle class="dot first" cx="{4}" cy="8" r="3.5"/></svg>',
        width,
        height,
        middle,
        span,
        x(value or 0.0),
    )


@register.filter
def signed(value: float | None, digits: int = 3) -> str:
    """Return a figure with its sign; a dash if it could not be computed."""
    return "–" if value is None else f"{value:+.{digits}f}"


@register.filter
def headline_name(name: str) -> str:
    """Return the name of a headline metric."""
    return HEADLINE_NAMES.get(name, name)
