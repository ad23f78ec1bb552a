"""Errors of the API, all of one shape: `{"errors": [{"field", "message"}]}`."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from labeling.errors import BadInput, NotAllowed, QueueEmpty, StaleVersion


def answer_for(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn an exception into an answer; unexpected ones stay a 500."""
    if isinstance(error, QueueEmpty):
        return Response(status=204)
    if isinstance(error, StaleVersion):
        body = {"yours": error.yours, "stored": error.stored, "version": error.version}
        return Response(body, status=409)
    if isinstance(error, BadInput):
        return _refused(400, str(error))
    if isinstance(error, NotAllowed | PermissionDenied):
        return _refused(403, str(error) or "your role does not allow this")
    if isinstance(error, Http404):
        return _refused(404, str(error) or "not found")
    answer = exception_handler(error, context)
    if answer is not None and isinstance(error, exceptions.APIException):
        answer.data = {"errors": _flat(error.detail)}
    return answer


def _refused(status: int, message: str, field: str | None = None) -> Response:
    return Response({"errors": [{"field": field, "message": message}]}, status=status)


def _flat(detail: Any, field: str | None = None) -> list[dict[str, Any]]:
    """Flatten the nested details of a validation error."""
    if isinstance(detail, dict):
        return [
            error
            for name, inner in detail.items()
            for error in _flat(inner, name if field is None else f"{field}.{name}")
        ]
    if isinstance(detail, list):
        return [error for inner in detail for error in _flat(inner, field)]
    return [{"field": field, "message": str(detail)}]
