"""``POST /api/lernito/webhook/``: take a signed order, carry it out, answer in the envelope."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import translation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle
from rest_framework.views import APIView

from openedx_webhooks import app_settings
from openedx_webhooks.exceptions import EnrollmentRefused, SettingError, SignatureError
from openedx_webhooks.lernito import answers, authentication, enrollment, schema
from openedx_webhooks.lernito.serializers import LernitoOrderSerializer

log = logging.getLogger(__name__)


class LernitoThrottle(SimpleRateThrottle):
    """Scope ``lernito``: so many requests of one network address, by OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE."""

    scope = "lernito"

    def get_rate(self) -> str | None:
        """Return the site's rate, as DRF writes one; None: no limit."""
        return app_settings.LERNITO_THROTTLE_RATE()

    def get_cache_key(self, request: Request, view: APIView) -> str:  # noqa: ARG002
        """Return a key of fixed length, because caches limit keys.

        ``X-Forwarded-For`` is the client's to write: it counts only where the site's ``NUM_PROXIES`` says how much
        of it its own proxies wrote.
        """
        trusts = api_settings.NUM_PROXIES is not None
        # Behind a Unix socket there is no address: str() of None is one client like another.
        address = str(self.get_ident(request) if trusts else request.META.get("REMOTE_ADDR"))
        ident = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}


class _Enveloped(APIView):
    """A view without session, CSRF or negotiation, whose every answer has the envelope."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    renderer_classes = (answers.EnvelopeRenderer,)
    throttle_classes = (LernitoThrottle,)
    content_negotiation_class = answers.AlwaysJSON

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return ours instead of the site's."""
        return answers.failure


@schema.documented
class OrderView(_Enveloped):
    """Enroll a person, with or without an account, in courses."""

    http_method_names = ("post",)

    def post(self, request: Request) -> Response:
        """Carry out one order: size, signature, content type, JSON, fields, and only then the platform."""
        body = _read(request._request)  # noqa: SLF001  the plain stream: DRF's request would parse it
        scheme = _authenticate(request, body)
        if request._request.content_type != "application/json":  # noqa: SLF001
            raise answers.UnsupportedContentType
        data = self._parse(body)
        order = enrollment.Order(
            email=data["email"],
            course_ids=data["courseIds"],
            mode=data.get("mode"),
            source=request.META.get("REMOTE_ADDR") or "",
            scheme=scheme,
        )
        try:
            receipt = enrollment.place(order)
        except EnrollmentRefused as refusal:
            log.info("An order for %d course(s) was refused.", len(order.course_ids))
            raise answers.Refused(str(refusal)) from refusal
        log.info("An order for %d course(s) was carried out.", len(receipt.results))
        results = [{"courseId": course_id, "result": result.value} for course_id, result in receipt.results]
        return Response({"success": True, "message": receipt.message, "results": results})

    def _parse(self, body: bytes) -> dict[str, Any]:
        try:
            data = authentication.parse(body)
        except ValueError as error:
            raise answers.Refused("Malformed JSON") from error
        serializer = LernitoOrderSerializer(data=data)
        with translation.override("en"):
            serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class NotFoundView(_Enveloped):
    """Whatever else is asked for under ``/api/lernito/``."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Answer 404 to every method."""
        super().initial(request, *args, **kwargs)
        raise Http404


def _read(request: HttpRequest) -> bytes:
    """Return the body; refuse, unread, one that is too large.

    The platform sets no limit of its own. What the header declares is not what comes: both are held to it.
    """
    limit = app_settings.LERNITO_MAX_BODY()
    declared = request.META.get("CONTENT_LENGTH") or ""
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise answers.PayloadTooLarge(f"The body is larger than {limit} bytes")
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise answers.PayloadTooLarge(f"The body is larger than {limit} bytes")
    return body


def _authenticate(request: Request, body: bytes) -> authentication.Scheme:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        return authentication.verify(
            body, headers, _secrets(), require_standard=app_settings.LERNITO_REQUIRE_STANDARD()
        )
    except SignatureError as error:
        log.warning("An order was not accepted: %s", error)
        raise answers.InvalidSignature from error


def _secrets() -> tuple[str, ...]:
    """Return the site's secrets; without any, say so to the operator and only to the operator."""
    try:
        secrets = app_settings.LERNITO_WEBHOOK_SECRET.parse()
    except SettingError as error:
        log.error("An order came, and its signature cannot be checked: %s", error)
        return ()
    if not secrets:
        log.error("An order came, and LERNITO_WEBHOOK_SECRET is not set: it was answered with 401.")
    return secrets
