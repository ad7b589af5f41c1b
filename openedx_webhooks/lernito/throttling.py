"""How many requests one network address may send.

What is signed and what is not are counted apart: whoever shares an address with the shop, a proxy's or a cloud's,
cannot use up the shop's share by requests that nobody signed.
"""

from __future__ import annotations

import hashlib

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle
from rest_framework.views import APIView

from openedx_webhooks import app_settings


def client_address(request: Request) -> str:
    """Return the network address that a request came from, empty where the server knows none.

    ``REMOTE_ADDR`` is the client's: the platform's first middleware takes it from behind the site's proxies
    (``CLOSEST_CLIENT_IP_FROM_HEADERS``). Where the site tells DRF its ``NUM_PROXIES``, DRF says which it is;
    otherwise ``X-Forwarded-For`` is the client's to write.
    """
    if api_settings.NUM_PROXIES is None:
        return request.META.get("REMOTE_ADDR") or ""
    return BaseThrottle().get_ident(request) or ""


class OrderThrottle(SimpleRateThrottle):
    """Signed orders, scope ``lernito``, by OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE."""

    scope = "lernito"

    def get_rate(self) -> str | None:
        """Return the site's rate, as DRF writes one; None: no limit. DRF's own table of rates is not read."""
        return app_settings.LERNITO_THROTTLE_RATE()

    def get_cache_key(self, request: Request, view: APIView) -> str:  # noqa: ARG002
        """Return a key of fixed length, because caches limit keys."""
        ident = hashlib.sha256(client_address(request).encode("utf-8", "replace")).hexdigest()
        return self.cache_format % {"scope": self.scope, "ident": ident}


class RefusedThrottle(OrderThrottle):
    """Requests without a valid signature, scope ``lernito_refused``, by the same rate."""

    scope = "lernito_refused"
