"""``POST /api/lernito/webhook/``: take a signed order, carry it out, answer in the envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest
from django.utils import translation
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from openedx_webhooks import app_settings
from openedx_webhooks.exceptions import EnrollmentRefused, SettingError, SignatureError
from openedx_webhooks.lernito import answers, authentication, enrollment, schema, throttling
from openedx_webhooks.lernito.serializers import LernitoOrderSerializer

log = logging.getLogger(__name__)


class _Enveloped(APIView):
    """A view without session, CSRF or negotiation, whose every answer has the envelope."""

    authentication_classes = ()
    permission_classes = ()
    parser_classes = ()
    renderer_classes = (answers.EnvelopeRenderer,)
    throttle_classes = ()
    content_negotiation_class = answers.AlwaysJSON

    def get_exception_handler(self) -> Callable[[Exception, dict[str, Any]], Response]:
        """Return ours instead of the site's."""
        return answers.failure


@schema.documented
class OrderView(_Enveloped):
    """Enroll a person, with or without an account, in courses."""

    http_method_names = ("post",)

    def post(self, request: Request) -> Response:
        """Carry out one order: size, signature, rate, content type, JSON, fields, and only then the platform."""
        body = _read(request._request)  # noqa: SLF001  the plain stream: DRF's request would parse it
        scheme = self._authenticate(request, body)
        if request._request.content_type != "application/json":  # noqa: SLF001
            raise answers.UnsupportedContentType
        data = self._parse(body)
        order = enrollment.Order(
            email=data["email"],
            course_ids=data["courseIds"],
            mode=data.get("mode"),
            source=throttling.client_address(request),
            scheme=scheme,
        )
        try:
            receipt = enrollment.place(order)
        except EnrollmentRefused as refusal:
            log.info("openedx_webhooks: an order for %d course(s) was refused", len(order.course_ids))
            raise answers.Refused(str(refusal)) from refusal
        log.info("openedx_webhooks: an order for %d course(s) was carried out", len(receipt.results))
        results = [{"courseId": course_id, "result": result.value} for course_id, result in receipt.results]
        return Response({"success": True, "message": receipt.message, "results": results})

    def _authenticate(self, request: Request, body: bytes) -> authentication.Scheme:
        """Return how the body is signed. What is signed and what is not are counted apart."""
        try:
            scheme = _verify(request, body)
        except SignatureError as error:
            self._count(request, throttling.RefusedThrottle())
            _log_refusal(error)
            raise answers.InvalidSignature from error
        self._count(request, throttling.OrderThrottle())
        return scheme

    def _count(self, request: Request, throttle: BaseThrottle) -> None:
        if not throttle.allow_request(request, self):
            raise Throttled(throttle.wait())

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


def _verify(request: Request, body: bytes) -> authentication.Scheme:
    headers = {name.lower(): value for name, value in request.headers.items()}
    secrets = app_settings.LERNITO_WEBHOOK_SECRET()
    return authentication.verify(body, headers, secrets, require_standard=app_settings.LERNITO_REQUIRE_STANDARD())


def _log_refusal(error: SignatureError) -> None:
    """Say why to the operator, and only to the operator: it may be that there is no secret to check with."""
    try:
        secrets = app_settings.LERNITO_WEBHOOK_SECRET.parse()
    except SettingError as problem:
        log.error("openedx_webhooks: an order came, and its signature cannot be checked: %s", problem)
        return
    if secrets:
        log.warning("openedx_webhooks: an order was not accepted: %s", error)
    else:
        log.error("openedx_webhooks: an order came, and LERNITO_WEBHOOK_SECRET is not set: it was answered with 401")
