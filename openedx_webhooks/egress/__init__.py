"""Egress: every request that leaves. Two clients, one address policy, one resolver (docs/decisions).

``concurrent`` (aiohttp) sends deliveries, hundreds at once; ``blocking`` (requests) asks webfilters inside web
processes. Importing this package imports neither.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import openedx_webhooks
from openedx_webhooks.exceptions import AddressRefused, InvalidURL


def user_agent() -> str:
    """Return the ``User-Agent`` of everything we send: ``openedx-webhooks/<version>``."""
    return f"openedx-webhooks/{openedx_webhooks.__version__}"


def sockets_to_be_had(most: int) -> int:
    """Return how many sockets one drain may open, at most ``most``: half of the descriptors that are still free.

    The other half is left to the process, which is a worker of the site. On a system without the limit, ``most``.
    """
    try:
        import resource  # noqa: PLC0415 - there is none on Windows

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        used = sum(1 for _ in Path("/proc/self/fd").iterdir())
    except (ImportError, OSError):
        return most
    return most if limit == resource.RLIM_INFINITY else min(most, max((limit - used) // 2, 16))


def refusal_of(
    url: str, allowed_networks: Sequence[str], timeout: float = 2.0, proxy: str | None = None
) -> AddressRefused | InvalidURL | None:
    """Return why the URL would be refused from here and now, or None where it would not.

    For a warning on save. A name that cannot be looked up within ``timeout`` seconds gives None: DNS may differ
    where one saves. With a ``proxy`` no name is looked up: it resolves others than we do.
    """
    from openedx_webhooks.egress import policy, resolver  # noqa: PLC0415 - importing the room must stay light

    allowed = policy.AllowedNetworks.usable(allowed_networks)[0]
    try:
        target = policy.parse_url(url)
        policy.judge_unresolved(target, allowed, by_proxy=bool(proxy))
        if not target.is_literal and not proxy:
            addresses = resolver.shared().resolve(target.host, target.port, time.monotonic() + timeout)
            resolver.permitted(target.host, addresses, allowed)
    except (AddressRefused, InvalidURL) as refusal:
        return refusal
    except OSError:  # LookupFailed and TimeoutError
        return None
    return None
