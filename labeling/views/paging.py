"""Pages by key: as fast on the last page of a million tracks as on the first.

A search may match nothing for a long way. So a page looks at a bounded number of rows only;
it says when it stopped early, and the next one goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import QueryDict

from labeling.models import Track
from labeling.views.fields import whole_number

PAGE_SIZE = 50
#: Rows that one page looks at when a filter cannot use an index.
WINDOW = 100_000


@dataclass(frozen=True)
class CursorPage:
    """Some tracks in the order of their ids, and where to go on."""

    tracks: list[Track]
    after: int | None
    before: int | None
    is_cut_short: bool


def number_in(query: QueryDict, name: str) -> int | None:
    """Return a non-negative whole number of the address, or None for anything else."""
    return whole_number(query.get(name))


def page_of(
    every: QuerySet[Track],
    wanted: QuerySet[Track],
    *,
    after: int | None = None,
    before: int | None = None,
    is_windowed: bool = False,
    size: int = PAGE_SIZE,
) -> CursorPage:
    """Return a page of `wanted`, a part of `every`, after or before an id."""
    goes_back = before is not None and after is None
    start = before if goes_back else after
    order = "-id" if goes_back else "id"
    bound = _bound(every, start, goes_back=goes_back) if is_windowed else None
    rows = _from(wanted, start, goes_back=goes_back)
    if bound is not None:
        rows = rows.filter(id__gte=bound) if goes_back else rows.filter(id__lte=bound)
    found = list(rows.order_by(order)[: size + 1])
    has_more, found = len(found) > size, found[:size]
    is_cut_short = bound is not None and not has_more
    further = (found[-1].pk if has_more else bound) if has_more or is_cut_short else None
    if goes_back:
        found.reverse()
        return CursorPage(found, found[-1].pk if found else start, further, is_cut_short)
    previous = (found[0].pk if found else after) if after is not None else None
    return CursorPage(found, further, previous, is_cut_short)


def _from(rows: QuerySet[Track], start: int | None, *, goes_back: bool) -> QuerySet[Track]:
    if start is None:
        return rows
    return rows.filter(id__lt=start) if goes_back else rows.filter(id__gt=start)


def _bound(every: QuerySet[Track], start: int | None, *, goes_back: bool) -> int | None:
    """Return the id at which the window ends; None: it reaches the end."""
    ids = _from(every, start, goes_back=goes_back).order_by("-id" if goes_back else "id")
    last = ids.values_list("id", flat=True)[WINDOW - 1 : WINDOW]
    return next(iter(last), None)


def link(filters: dict[str, Any], **place: int | None) -> str | None:
    """Return the query part of a link to a page, or None where there is none."""
    known = {name: value for name, value in place.items() if value is not None}
    if not known:
        return None
    return "?" + urlencode({**{k: v for k, v in filters.items() if v}, **known})
