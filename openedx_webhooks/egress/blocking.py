"""One POST that blocks, for webfilters: requests over kept connections, never longer than its deadline.

It runs in web processes, which are forked and have no event loop. requests' adapter is used without its Session,
which would read the whole body of a redirect, and keeps cookies.

A POST is not sent a second time by itself, also not when a kept connection turns out to be closed.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import requests
import urllib3

from openedx_webhooks.data import Failure, Outcome, Reply, Request
from openedx_webhooks.egress import resolver
from openedx_webhooks.egress.connections import Adapter, Exchange, current
from openedx_webhooks.egress.exchange import CUT_OFF, NO_ANSWER, Stopwatch, incoming_headers, outgoing_headers
from openedx_webhooks.egress.policy import AllowedNetworks, Target, judge_unresolved, parse_url
from openedx_webhooks.egress.watchdog import Deadline
from openedx_webhooks.exceptions import AddressRefused, InvalidHeaders, InvalidURL


def post(
    request: Request, *, allowed_networks: Sequence[str], proxy: str | None = None, keep_body: int = 64 * 1024
) -> Outcome:
    """Send a request and return how it ended, at its deadline at the latest. Thread-safe, and safe after a fork.

    ``allowed_networks`` are the operator's entries, ``proxy`` is the URL of an explicit proxy, ``keep_body`` the
    number of bytes kept of the answer; the rest is not read.
    """
    watch = Stopwatch(request.timeout)
    if request.timeout <= 0:
        return watch.timed_out()
    allowed = AllowedNetworks.usable(allowed_networks)[0]
    try:
        target = parse_url(request.url)
        headers = outgoing_headers(request.headers)
        judge_unresolved(target, allowed, by_proxy=proxy is not None)
    except (InvalidURL, InvalidHeaders) as error:
        return watch.failed(Failure.URL, str(error))
    except AddressRefused as error:
        return watch.refused(error)
    deadline = Deadline(watch.deadline)
    current.exchange = Exchange(watch, deadline, allowed)
    try:
        reply = _reply(_adapter(allowed, proxy), _prepared(target, headers, request.body), watch, keep_body)
    except AddressRefused as error:
        return watch.refused(error)
    except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        return watch.timed_out() if deadline.passed else watch.failed(*_meaning(error))
    finally:
        deadline.release()
        current.exchange = None
    return watch.replied(reply)


def _prepared(target: Target, headers: dict[str, str], body: bytes) -> requests.PreparedRequest:
    """Return the request as requests wants it; header values as UTF-8, as the other client writes them."""
    encoded = {name: value.encode() for name, value in headers.items()}
    prepared = requests.Request("POST", target.url, headers=encoded, data=body).prepare()
    prepared.url = target.url  # requests spells some characters in another way
    return prepared


def _reply(adapter: Adapter, prepared: requests.PreparedRequest, watch: Stopwatch, keep_body: int) -> Reply:
    left = max(watch.left(), 0.001)  # zero would be refused as a timeout
    response = adapter.send(prepared, stream=True, timeout=(left, left), proxies=adapter.proxies)
    raw = response.raw
    try:
        body = _first_bytes(raw, keep_body + 1)
    except BaseException:
        raw.close()
        raise
    if len(body) > keep_body:
        raw.close()
    else:
        raw.release_conn()
    return Reply(
        status=raw.status,
        headers=incoming_headers(raw.headers.items(), "latin-1"),
        body=body[:keep_body],
        truncated=len(body) > keep_body,
    )


def _first_bytes(raw: urllib3.HTTPResponse, room: int) -> bytes:
    """Return at most so many bytes of the body, as they came.

    Reads until nothing comes: only then does urllib3 say that the body is shorter than its declared length.
    """
    parts: list[bytes] = []
    while room > 0 and (part := raw.read(room, decode_content=False)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


_AdapterKey = tuple[int, AllowedNetworks, str | None]
_adapters: OrderedDict[_AdapterKey, Adapter] = OrderedDict()
_ADAPTERS = 8


def _adapter(allowed: AllowedNetworks, proxy: str | None) -> Adapter:
    """Return this process's adapter for a policy: a kept connection never outlives the policy that judged it.

    Keyed by process, for a forked child must not share its parent's sockets.
    """
    key = (os.getpid(), allowed, proxy)
    adapter = _adapters.get(key) or _adapters.setdefault(key, Adapter(proxy))
    while len(_adapters) > _ADAPTERS:
        _adapters.pop(next(iter(_adapters)), None)
    return adapter


def _meaning(error: BaseException) -> tuple[Failure, str]:
    """Return what a network error means, and a sentence about it, from the cause that says most."""
    causes = list(_causes(error))
    for kind, failure, sentence in _MEANINGS:
        for cause in causes:
            if isinstance(cause, kind):
                return failure, sentence.format(error=cause)
    innermost = next((cause for cause in reversed(causes) if isinstance(cause, OSError)), error)
    return Failure.CONNECTION, f"The connection failed: {innermost}"


# The first that any of the causes is.
_MEANINGS: tuple[tuple[type[BaseException], Failure, str], ...] = (
    (resolver.LookupFailed, Failure.DNS, "{error}"),
    (ssl.SSLError, Failure.TLS, "TLS failed: {error}"),
    (urllib3.exceptions.SSLError, Failure.TLS, "TLS failed: {error}"),
    (ssl.CertificateError, Failure.TLS, "TLS failed: {error}"),
    (http.client.RemoteDisconnected, Failure.CONNECTION, NO_ANSWER),
    (urllib3.exceptions.IncompleteRead, Failure.CONNECTION, CUT_OFF),
    (http.client.IncompleteRead, Failure.CONNECTION, CUT_OFF),
    (urllib3.exceptions.InvalidChunkLength, Failure.CONNECTION, CUT_OFF),
    (http.client.HTTPException, Failure.PROTOCOL, "The answer is not HTTP: {error!r}"),
    (urllib3.exceptions.HeaderParsingError, Failure.PROTOCOL, "The answer is not HTTP: {error}"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk what requests and urllib3 wrapped: an error's cause, its ``reason``, or the error among its arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
