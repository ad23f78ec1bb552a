"""Small charts as inline SVG, from numbers alone: no chart library, nothing inline but shapes.

Every chart carries its meaning in words (`title`), since colour and shape are not for everyone.
A missing figure (None) leaves a gap; it is never drawn as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()
Number = float | int | None
_PAD = 2.0


def _number(value: object) -> float | None:
    """Return a finite number, or None; templates pass '' for a missing value."""
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def _clean(values: Iterable[Number]) -> list[float | None]:
    """Return floats; None for anything that is not a finite number."""
    return [_number(value) for value in values]


def _bounds(
    values: Sequence[float | None], low: Number, high: Number
) -> tuple[float, float] | None:
    """Return lowest and highest of the axis, or None when there is nothing to draw."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    bottom = float(low) if low is not None else min(known)
    top = float(high) if high is not None else max(known)
    return (bottom, top) if top > bottom else (bottom - 0.5, bottom + 0.5)


def _frame(width: float, height: float, title: str, inside: SafeString) -> SafeString:
    return format_html(
        '<svg class="chart" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img">'
        "<title>{2}</title>{3}</svg>",
        f"{width:g}",
        f"{height:g}",
        title,
        inside,
    )


def _nothing(title: str) -> SafeString:
    return format_html('<span class="muted" title="{}">no data</span>', title or "no figures")


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Split points at the gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _places(
    values: Sequence[float | None], width: float, height: float, axis: tuple[float, float]
) -> list[tuple[float, float] | None]:
    low, high = axis
    step = (width - 2 * _PAD) / max(1, len(values) - 1)
    span = height - 2 * _PAD

    def place(index: int, value: float) -> tuple[float, float]:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return round(_PAD + index * step, 1), round(height - _PAD - share * span, 1)

    return [None if v is None else place(i, v) for i, v in enumerate(values)]


@register.simple_tag
def sparkline(
    values: Iterable[Number],
    title: str = "",
    width: int = 120,
    height: int = 28,
    low: Number = None,
    high: Number = None,
    mark: int | None = None,
    marks: Iterable[int] = (),
) -> SafeString:
    """Draw a line through the values; `mark` and `marks` are where something changed."""
    cleaned = _clean(values)
    axis = _bounds(cleaned, low, high)
    if axis is None:
        return _nothing(title)
    places = _places(cleaned, width, height, axis)
    runs = _runs(places)
    lines = format_html_join(
        "",
        '<polyline class="line" points="{}"/>',
        ((" ".join(f"{x:g},{y:g}" for x, y in run),) for run in runs if len(run) > 1),
    )
    dots = format_html_join(
        "",
        '<circle class="dot" cx="{}" cy="{}" r="2"/>',
        ((f"{x:g}", f"{y:g}") for x, y in (run[-1] for run in runs[-1:] + runs[:-1])),
    )
    wanted = sorted({*marks, *([] if mark is None else [mark])})
    changes = (_mark(index, places, width, height) for index in wanted)
    return _frame(width, height, title, SafeString("".join(changes)) + lines + dots)


def _mark(index: int, places: Sequence[object], width: float, height: float) -> SafeString:
    if not 0 <= index < len(places):
        return SafeString()
    x = _PAD + index * (width - 2 * _PAD) / max(1, len(places) - 1)
    return format_html(
        '<line class="mark" x1="{0}" x2="{0}" y1="0" y2="{1}"/>', f"{x:g}", height
    )


@register.simple_tag
def bars(
    values: Iterable[Number],
    title: str = "",
    width: int = 120,
    height: int = 28,
    high: Number = None,
    second_from: int | None = None,
) -> SafeString:
    """Draw upright bars from zero; those from index `second_from` on get the second colour."""
    cleaned = _clean(values)
    axis = _bounds([*cleaned, 0.0 if any(v is not None for v in cleaned) else None], 0, high)
    if axis is None:
        return _nothing(title)
    step = width / max(1, len(cleaned))
    shapes = format_html_join(
        "",
        '<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>',
        (
            (
                "bar second" if second_from is not None and index >= second_from else "bar",
                f"{index * step:.4g}",
                f"{height - size:.4g}",
                f"{max(1.0, step - 1):.4g}",
                f"{size:.4g}",
            )
            for index, value in enumerate(cleaned)
            if value is not None
            for size in [height * min(1.0, max(0.0, value / axis[1]))]
        ),
    )
    return _frame(width, height, title, shapes)


@register.simple_tag
def meter(
    value: Number,
    title: str = "",
    width: int = 100,
    height: int = 8,
    high: float = 1.0,
    low_bound: Number = None,
    high_bound: Number = None,
) -> SafeString:
    """Draw one lying bar from zero, with the interval of the figure when there is one."""
    (cleaned,) = _clean([value])
    if cleaned is None:
        return _nothing(title)

    def x(number: float) -> float:
        return width * min(1.0, max(0.0, number / high)) if high else 0.0

    shapes = format_html(
        '<line class="zero" x1="0" x2="{0}" y1="{1}" y2="{1}"/>'
        '<rect class="bar" x="0" y="0" width="{2}" height="{3}"/>',
        width,
        height,
        f"{x(cleaned):.4g}",
        height,
    )
    first, last = _clean([low_bound, high_bound])
    if first is not None and last is not None:
        shapes += format_html(
            '<rect class="band" x="{}" y="0" width="{}" height="{}"/>',
            f"{x(first):.4g}",
            f"{max(1.0, x(last) - x(first)):.4g}",
            height,
        )
    return _frame(width, height, title, shapes)


@register.filter
def percent(value: Number, digits: int = 0) -> str:
    """Return a share as per cent; a dash if it could not be computed."""
    (cleaned,) = _clean([value])
    return "–" if cleaned is None else f"{100 * cleaned:.{digits}f} %"


@register.filter
def figure(value: Number, digits: int = 2) -> str:
    """Return a figure with its digits; a dash if it could not be computed."""
    (cleaned,) = _clean([value])
    return "–" if cleaned is None else f"{cleaned:.{digits}f}"


@register.filter
def clock(seconds: Number) -> str:
    """Return seconds as m:ss; a dash if unknown."""
    (cleaned,) = _clean([seconds])
    if cleaned is None:
        return "–"
    whole = round(cleaned)
    return f"{whole // 60}:{whole % 60:02d}"
