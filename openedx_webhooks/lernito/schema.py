"""The endpoint's OpenAPI description, by drf-spectacular where it is installed (edx-platform ships it).

The one module that knows drf-spectacular: without it, everything works and nothing is described.
"""

from __future__ import annotations

from typing import Any, TypeVar

from rest_framework import serializers
from rest_framework.views import APIView

from openedx_webhooks import __version__
from openedx_webhooks.lernito.serializers import LernitoAcceptedSerializer, LernitoOrderSerializer

View = TypeVar("View", bound=type[APIView])

_HEADERS = {
    "X-Lernito-Signature": "Hex HMAC-SHA256 of the raw body with the shared secret.",
    "webhook-id": "Standard Webhooks: the message's id.",
    "webhook-timestamp": "Standard Webhooks: Unix seconds of this attempt, within five minutes.",
    "webhook-signature": "Standard Webhooks: v1 and a base64 signature; several, separated by spaces.",
}
_FAILURES = {
    400: "The order cannot be carried out, or its fields are wrong (message then holds an object).",
    401: "Invalid signature.",
    404: "Another path under /api/lernito/.",
    405: "Only POST.",
    413: "The body is larger than the site's limit.",
    415: "The body is not declared as JSON.",
    429: "Too many requests; Retry-After says when to come back.",
    500: "Internal server error; the same order can be sent again.",
}
_MESSAGE = {
    "oneOf": [
        {"type": "string"},
        {"type": "object", "additionalProperties": {}, "description": "Sentences for each field that is wrong."},
    ]
}


class Message(serializers.JSONField):
    """A sentence, or an object with a list of sentences for each field."""


class LernitoFailureSerializer(serializers.Serializer[dict[str, Any]]):
    """The answer to an order that was not carried out."""

    success = serializers.BooleanField()
    message = Message()


def documented(view: View) -> View:
    """Describe the order view; return it as it is where drf-spectacular is missing."""
    try:
        from drf_spectacular.openapi import AutoSchema  # noqa: PLC0415
        from drf_spectacular.utils import (  # noqa: PLC0415
            OpenApiParameter,
            OpenApiResponse,
            extend_schema,
            extend_schema_field,
        )
    except ImportError:
        return view
    view.schema = AutoSchema()
    extend_schema_field(_MESSAGE)(Message)
    failures = {status: OpenApiResponse(LernitoFailureSerializer, text) for status, text in _FAILURES.items()}
    describe = extend_schema(
        operation_id="lernito_order",
        tags=["lernito"],
        summary="Enroll a person in courses",
        description="Send X-Lernito-Signature, or the three headers of Standard Webhooks.",
        auth=[],
        request={"application/json": LernitoOrderSerializer},
        parameters=[
            OpenApiParameter(name, str, OpenApiParameter.HEADER, description=text) for name, text in _HEADERS.items()
        ],
        responses={200: LernitoAcceptedSerializer, **failures},
    )
    # What extend_schema builds upon; otherwise the site's DEFAULT_SCHEMA_CLASS, which may be another tool's.
    view.post.kwargs = {"schema": AutoSchema}  # type: ignore[attr-defined]
    view.post = describe(view.post)  # type: ignore[attr-defined]
    return view


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of this endpoint alone. Raises ImportError without drf-spectacular."""
    from drf_spectacular.generators import SchemaGenerator  # noqa: PLC0415

    from openedx_webhooks.lernito import urls  # noqa: PLC0415

    patterns = [pattern for pattern in urls.urlpatterns if pattern.name]
    generator: Any = SchemaGenerator
    document: dict[str, Any] = generator(patterns=patterns).get_schema(request=None, public=True)
    document["info"] = {"title": "Lernito orders", "version": __version__}
    document["paths"] = {f"/api/lernito{path}": item for path, item in document["paths"].items()}
    return document
