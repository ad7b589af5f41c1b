"""The envelope of every answer, and the errors that have a status of their own.

``{"success": true or false, "message": ...}``, spelled byte for byte as the documentation shows it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable
from typing import Any

from django.db import DatabaseError
from django.http import Http404, UnreadablePostError
from rest_framework.exceptions import APIException, MethodNotAllowed, NotFound, Throttled, ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

log = logging.getLogger(__name__)


class InvalidSignature(APIException):
    """Wrong, missing, too old, or no secret to check it with: the client is told one thing."""

    status_code = 401
    default_detail = "Invalid signature"


class Refused(APIException):
    """An order that was understood and cannot be carried out."""

    status_code = 400


class PayloadTooLarge(APIException):
    """A body over the limit, which is not read."""

    status_code = 413


class UnsupportedContentType(APIException):
    """A body that does not say that it is JSON."""

    status_code = 415
    default_detail = "Content-Type must be application/json"


class EnvelopeRenderer(JSONRenderer):
    """JSON in ASCII, with a space behind each comma and colon, whatever the site's settings for DRF are."""

    compact = False
    ensure_ascii = True


class AlwaysJSON(BaseContentNegotiation):
    """No negotiation: an ``Accept`` header or a ``?format=`` cannot turn an answer into an error page."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return none: the view reads the body itself."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:  # noqa: ARG002
        """Return the only renderer and its media type."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


def failure(error: Exception, context: dict[str, Any]) -> Response:  # noqa: ARG001  DRF's interface
    """Return the answer to any exception; what nobody expected is a 500, logged with its cause.

    Takes the place of DRF's exception handler, which would mark the whole request's transaction: the view has
    none, and an order's own is rolled back by then.
    """
    known = _known(error)
    if known is None:
        log.error("openedx_webhooks: an order failed\n%s", describe(error))
        return Response({"success": False, "message": "Internal server error"}, status=500)
    wait = getattr(known, "wait", None)
    headers = {"Retry-After": str(wait)} if wait else {}
    return Response({"success": False, "message": _message(known)}, status=known.status_code, headers=headers)


def _known(error: Exception) -> APIException | None:
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, UnreadablePostError):
        return Refused("The body could not be read")
    return error if isinstance(error, APIException) else None


def _message(error: APIException) -> Any:
    """Return what stands under ``message``: one sentence, or for a body's fields their sentences by name.

    The sentences are fixed and English: a program reads them, and DRF's follow the request's language.
    """
    if isinstance(error, ValidationError):
        return error.detail
    if isinstance(error, MethodNotAllowed):
        return "Method not allowed"
    if isinstance(error, Throttled):
        return "Too many requests"
    if isinstance(error, NotFound):
        return "Not found"
    return str(error.detail)


def describe(error: BaseException) -> str:
    """Return an exception's traceback without the texts of exceptions: they quote rows, names and addresses.

    Of a database error the number is kept.
    """
    return "".join(_frames(error))


def _frames(error: BaseException) -> Iterable[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _frames(cause)
        yield "which led to\n"
    # Not format_tb: its carets parse the source, which fails in Python 3.11 when two threads do it at once.
    for frame in traceback.extract_tb(error.__traceback__):
        yield f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n'
    number = error.args[0] if isinstance(error, DatabaseError) and error.args else None
    text = f": {number}" if isinstance(number, int) else ""
    yield f"{type(error).__module__}.{type(error).__qualname__}{text}\n"
