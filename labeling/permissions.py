"""Permissions: one table of roles, one guard for pages, one for media."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, JsonResponse
from rest_framework.authentication import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from labeling.models import Library, Membership

Role = Membership.Role
#: A role includes all roles before it.
ORDER = (Role.ANNOTATOR, Role.CURATOR, Role.MANAGER)
#: The largest number that a database takes for an id.
MOST_ID = 2**63 - 1
Page = Callable[..., HttpResponseBase]


def _memberships(user: User) -> dict[int, Membership]:
    """Return the user's memberships by library; read once per request."""
    found: dict[int, Membership] | None = getattr(user, "_memberships_read", None)
    if found is None:
        rows = Membership.objects.filter(user=user).select_related("library")
        found = {row.library_id: row for row in rows.order_by("library__slug")}
        user._memberships_read = found  # type: ignore[attr-defined]
    return found


def role_in(user: User | AnonymousUser, library: Library) -> str | None:
    """Return the role of the user in the library; a superuser manages every library."""
    if not isinstance(user, User):
        return None
    if user.is_superuser:
        return str(Role.MANAGER)
    membership = _memberships(user).get(library.pk)
    return membership.role if membership else None


def has_role(user: User | AnonymousUser, library: Library, role: str) -> bool:
    """Say whether the user's role includes `role`."""
    return _includes(role_in(user, library), role)


def _includes(actual: str | None, role: str) -> bool:
    return actual is not None and ORDER.index(Role(actual)) >= ORDER.index(Role(role))


def libraries_of(user: User) -> list[Library]:
    """Return the libraries that the user sees."""
    if user.is_superuser:
        return list(Library.objects.all())
    return [membership.library for membership in _memberships(user).values()]


def library_for(user: User | AnonymousUser, slug: str, role: str) -> Library:
    """Return the library; answer 404 to strangers, 403 to members without the role."""
    library = _library_seen(user, slug)
    _check_role(user, library, role)
    return library


def _library_seen(user: User | AnonymousUser, slug: str) -> Library:
    library = Library.objects.filter(slug=slug).first()
    if library is None or role_in(user, library) is None:
        raise Http404(f"no library {slug!r} that you are a member of")
    return library


def _check_role(user: User | AnonymousUser, library: Library, role: str) -> None:
    if not has_role(user, library, role):
        raise PermissionDenied(f"this needs the role {role} in {library.name}")


def check_ids(parameters: dict[str, Any]) -> None:
    """Answer 404 to numbers in an address that are too long for an id."""
    if any(isinstance(value, int) and value > MOST_ID for value in parameters.values()):
        raise Http404("no id is that long")


def library_media(role: str) -> Callable[[Page], Page]:
    """Guard media that pages and programs load: by session, or by `Authorization: Token`."""

    def guard(view: Page) -> Page:
        page = library_page(role)(view)

        @wraps(view)
        def guarded(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> Any:
            try:
                found = TokenAuthentication().authenticate(Request(request))
            except AuthenticationFailed as error:
                body = {"errors": [{"field": None, "message": str(error.detail)}]}
                return JsonResponse(body, status=403)  # as the API answers
            if found is not None:
                request.user = found[0]
            return page(request, slug, *args, **kwargs)

        guarded.required_role = role  # type: ignore[attr-defined]
        return guarded

    return guard


def library_page(role: str) -> Callable[[Page], Page]:
    """Guard a page under `/<area>/{slug}/`: the view gets the library instead of the slug."""

    def guard(view: Page) -> Page:
        @wraps(view)
        @login_required
        def guarded(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> Any:
            library = _library_seen(request.user, slug)
            # Before anything refuses: the frame of a 403 or 404 shows the member's areas too.
            request.library = library  # type: ignore[attr-defined]
            _check_role(request.user, library, role)
            check_ids(kwargs)
            return view(request, library, *args, **kwargs)

        guarded.required_role = role  # type: ignore[attr-defined]
        return guarded

    return guard
