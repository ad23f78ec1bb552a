"""Context of the frame around every page: the library, its areas, the theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import Resolver404, resolve
from django.utils.functional import SimpleLazyObject

from labeling.models import Library, Membership
from labeling.permissions import ORDER, libraries_of, role_in

#: First part of an area's address and the word on its link, in the order of the loop.
AREAS = (
    ("annotate", "Annotate"),
    ("tracks", "Tracks"),
    ("consistency", "Consistency"),
    ("models", "Models"),
    ("experiments", "Experiments"),
    ("snapshots", "Snapshots"),
    ("jobs", "Jobs"),
    ("imports", "Imports"),
    ("guidelines", "Guidelines"),
    ("taxonomy", "Taxonomy"),
    ("settings", "Settings"),
)
THEMES = ("light", "dark")


@dataclass(frozen=True)
class Area:
    """One link of the bar."""

    path: str
    name: str
    is_here: bool


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return the context of the frame, lazily, so that nothing is read twice."""
    library: Library | None = getattr(request, "library", None)
    theme = request.COOKIES.get("theme", "")
    user = getattr(request, "user", None)
    is_known = user is not None and user.is_authenticated
    return {
        "library": library,
        "theme": theme if theme in THEMES else "",
        "shell_areas": SimpleLazyObject(lambda: areas_of(request, library))
        if library is not None and is_known
        else [],
        "shell_libraries": SimpleLazyObject(lambda: _switches(request, library))
        if is_known
        else [],
    }


def areas_of(request: HttpRequest, library: Library) -> list[Area]:
    """Return the areas of the library that exist and that the user's role includes."""
    found = []
    for part, name in AREAS:
        path = f"/{part}/{library.slug}/"
        if _may_open(request, library, part):
            found.append(Area(path, name, request.path.startswith(path)))
    return found


def _may_open(request: HttpRequest, library: Library, area: str) -> bool:
    role, needed = role_in(request.user, library), _role_needed(f"/{area}/{library.slug}/")
    return role is not None and needed is not None and _includes(role, needed)


def _path_in(request: HttpRequest, library: Library, area: str) -> str:
    """Return the address of the area in this library, of its tracks where the role is less."""
    return f"/{area if _may_open(request, library, area) else 'tracks'}/{library.slug}/"


def _role_needed(path: str) -> str | None:
    """Return the role that the page at this path asks for; None: there is no such page."""
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    return getattr(view, "required_role", str(Membership.Role.ANNOTATOR))


def _includes(role: str, needed: str) -> bool:
    return ORDER.index(Membership.Role(role)) >= ORDER.index(Membership.Role(needed))


def _switches(request: HttpRequest, current: Library | None) -> list[dict[str, Any]]:
    """Return the user's libraries, each with its address in the area that is open now."""
    part = request.path.strip("/").partition("/")[0]
    area = part if part in dict(AREAS) and current is not None else "tracks"
    return [
        {
            "name": library.name,
            "path": _path_in(request, library, area),
            "is_here": current is not None and library.pk == current.pk,
            "is_synthetic": library.is_synthetic,
        }
        for library in libraries_of(request.user)  # type: ignore[arg-type]
    ]
