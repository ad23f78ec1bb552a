"""Base of all API views: the library, the caller in it, and paging."""

from __future__ import annotations

from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from labeling.loop.library import libraries
from labeling.models import Annotator, Library, Membership
from labeling.permissions import MOST_ID, check_ids, has_role, library_for


class LibrarySchema(AutoSchema):
    """Path parameters for the OpenAPI schema."""

    def get_override_parameters(self) -> list[Any]:
        slug = {"type": "string", "pattern": "^[-a-zA-Z0-9_]+$"}
        found = [OpenApiParameter("slug", slug, "path", description="The library.")]
        if "{id}" in self.path:
            number = {"type": "integer", "minimum": 0, "maximum": MOST_ID}
            found.append(OpenApiParameter("id", number, "path"))
        return found


class LibraryView(APIView):
    """A view below `/api/v1/libraries/{slug}/`, for members with a role."""

    schema = LibrarySchema()
    required_role: str = Membership.Role.ANNOTATOR
    library: Library

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_ids(kwargs)
        self.library = library_for(request.user, kwargs["slug"], self.required_role)

    @property
    def annotator(self) -> Annotator:
        """The annotator that the caller is here."""
        return libraries.annotator_of(self.library, cast(User, self.request.user))

    @property
    def sees_others(self) -> bool:
        """True if the caller may see other people's answers; annotators label blind."""
        return has_role(self.request.user, self.library, Membership.Role.CURATOR)


class ByCursor(CursorPagination):
    """Pages by a cursor on the id: as fast on the last page as on the first."""

    ordering = "id"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"results": data, "next": self.get_next_link()})

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Refuse an unknown cursor instead of asking the database for it."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor is None or cursor.position is None:
            return cursor
        position = str(cursor.position)
        if not position.isdecimal() or int(position) > MOST_ID:
            raise NotFound("this cursor is not valid: start without one")
        return cursor


@csrf_exempt  # it does nothing, and the answer shall be JSON
def nothing_here(request: HttpRequest, rest: str) -> JsonResponse:
    """Answer all addresses that the API does not have."""
    message = "the API has nothing at this address: see /api/v1/schema/"
    return JsonResponse({"errors": [{"field": None, "message": message}]}, status=404)
