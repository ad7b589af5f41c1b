"""One POST on an event loop, by aiohttp: judged, bounded in time and in bytes.

aiohttp does not send a POST a second time by itself: it repeats only idempotent methods on a kept connection that
turned out to be closed. Nor do we: a lost request is an outcome like any other, for the caller's schedule to repeat
under the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import math
import socket
import ssl
import traceback
from collections.abc import Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from openedx_webhooks.data import Failure, Outcome, Reply, Request, value
from openedx_webhooks.egress import resolver
from openedx_webhooks.egress.exchange import (
    CUT_OFF,
    KEEP_ALIVE,
    NO_ANSWER,
    Stopwatch,
    incoming_headers,
    outgoing_headers,
)
from openedx_webhooks.egress.policy import AllowedNetworks, Target, judge, judge_unresolved, parse_url
from openedx_webhooks.egress.trust import tls_context
from openedx_webhooks.exceptions import AddressRefused, InvalidHeaders, InvalidURL

T = TypeVar("T")

_BESIDE_THE_BODY = 1024 * 1024
"""Bytes of an answer beside its body; more than one read (256 KiB) and the longest head that is accepted."""


@value
class _Exchange:
    target: Target
    watch: Stopwatch


_exchange: ContextVar[_Exchange] = ContextVar("exchange")
"""The exchange of the running task: aiohttp tells the maker of the socket its address alone, not the name."""


class Poster:
    """Sends requests over kept connections. Made, used and closed on one event loop.

    ``keep_body`` is the number of bytes kept of an answer; the rest is not read. Without a ``proxy`` every address
    is judged at the moment its connection is made. With one, the proxy looks names up: see ``judge_unresolved``.
    """

    def __init__(self, allowed: AllowedNetworks, proxy: str | None, keep_body: int) -> None:
        self._allowed = allowed
        self._proxy = URL(proxy) if proxy else None
        self._keep_body = keep_body
        self._session = self._new_session()
        self._deadlines = _Deadlines()

    async def close(self) -> None:
        """Close the kept connections."""
        await self._session.close()
        await asyncio.sleep(0)  # the transports close in the loop's next turn

    async def post(self, request: Request) -> Outcome:
        """Return how a request ended. What it raises is a slip of ours, or CancelledError."""
        watch = Stopwatch(request.timeout)
        if request.timeout <= 0:
            return watch.timed_out()
        try:
            target = parse_url(request.url)
            headers = outgoing_headers(request.headers)
            if self._proxy is not None:  # without one the socket's maker judges
                judge_unresolved(target, self._allowed, by_proxy=True)
            _exchange.set(_Exchange(target, watch))
            return watch.replied(await self._deadlines.cut(watch.deadline, self._reply(target, headers, request.body)))
        except (InvalidURL, InvalidHeaders) as error:
            return watch.failed(Failure.URL, str(error))
        except AddressRefused as error:
            return watch.refused(error)
        except TimeoutError:
            return watch.timed_out()
        except (aiohttp.ClientError, OSError) as error:
            meaning = _meaning(error)
            _let_go(error)
            return watch.failed(*meaning)

    async def _reply(self, target: Target, headers: dict[str, str], body: bytes) -> Reply:
        response = await self._session.post(
            _url(target.url), data=body, headers=headers, allow_redirects=False, proxy=self._proxy
        )
        try:
            kept, whole = await self._first_bytes(response.content)
        except BaseException:
            response.close()
            raise
        if not response.closed:  # at the answer's end aiohttp lets go of it by itself, but not where it was upgraded
            response.close()
        received = incoming_headers(response.headers.items(), "utf-8")
        return Reply(status=response.status, headers=received, body=kept, truncated=not whole)

    async def _first_bytes(self, content: aiohttp.StreamReader) -> tuple[bytes, bool]:
        """Return the bytes to keep, and whether they are the whole body."""
        body, most = b"", self._keep_body
        while len(body) <= most and not content.at_eof():
            body += await content.read(most + 1 - len(body))
        return body[:most], len(body) <= most

    def _new_session(self) -> aiohttp.ClientSession:
        direct = self._proxy is None
        connector = _Connector(
            _BESIDE_THE_BODY + 4 * self._keep_body,
            limit=0,
            use_dns_cache=False,
            resolver=_Names(self._allowed if direct else None),
            socket_factory=self._judged_socket if direct else None,
            ssl=tls_context(),
            keepalive_timeout=KEEP_ALIVE,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # its own would round 15 s up to a whole second
            read_bufsize=self._keep_body,
        )

    def _judged_socket(self, info: Any) -> socket.socket:
        """Make the socket for an address if policy allows it: the last moment before the connection."""
        family, kind, protocol, _, address = info
        judge(_exchange.get().target, address[0], self._allowed)
        return socket.socket(family, kind, protocol)


class _Deadlines:
    """Ends what takes too long, with one timer for all: one for each request is a fifteenth of what it costs."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], float] = {}
        """The deadline of each that has not passed, on the monotonic clock, which is the event loop's too."""
        self._overdue: set[asyncio.Task[Any]] = set()
        self._next = math.inf
        """When the timer goes off: at the earliest deadline there was when it was set, or sooner."""

    async def cut(self, deadline: float, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns; raise TimeoutError where it has not by then. For one piece of work per task."""
        task = _this_task()
        self._running[task] = deadline
        if deadline < self._next:
            self._set_timer(deadline)
        try:
            return await work
        except asyncio.CancelledError as error:
            # Cancelled by the timer alone, or by somebody else too?
            if task in self._overdue and not task.uncancel():
                raise TimeoutError from error
            raise
        finally:
            self._running.pop(task, None)
            self._overdue.discard(task)

    def _set_timer(self, when: float) -> None:
        self._next = when
        asyncio.get_running_loop().call_at(when, self._look, when)

    def _look(self, when: float) -> None:
        if when != self._next:  # an earlier one was set since
            return
        now = asyncio.get_running_loop().time()
        for task in [task for task, deadline in self._running.items() if deadline <= now]:
            del self._running[task]
            self._overdue.add(task)
            task.cancel()
        self._next = math.inf
        if self._running:
            self._set_timer(min(self._running.values()))


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("A request is sent by a task of its own.")
    return task


@functools.lru_cache(maxsize=4096)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


class _Connector(aiohttp.TCPConnector):
    """Makes connections that end, also where an answer has no end outside its body.

    Bodies are paused by the reader; heads and trailers are not, and aiohttp 3.12 collects 2 GB of them in 3 s.
    """

    def __init__(self, most: int, **options: Any) -> None:
        super().__init__(**options)
        factory: Any = functools.partial(_Bounded, most=most, loop=self._loop)
        self._factory = factory


class _Bounded(ResponseHandler):
    """One connection: receives at most ``most`` bytes per answer, and lets nothing unsent keep it open."""

    def __init__(self, *, most: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._most = most
        self._room = most
        self._was_paused = False

    def close(self) -> None:
        """Close at once also where the other side does not read: asyncio would wait for it, for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.transport.abort()
        super().close()

    def set_response_params(self, **params: Any) -> None:
        self._room = self._most
        super().set_response_params(**params)

    def pause_reading(self) -> None:
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, *how: Any, **more: Any) -> None:
        """Resume what was paused; aiohttp 3.14 asks twice for each answer, and would go through parser and socket."""
        if self._was_paused:
            super().resume_reading(*how, **more)

    def data_received(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            super().data_received(data)
        elif self.transport is not None:
            self.transport.abort()
            self.set_exception(HttpProcessingError(message="Its head or trailers have no end."))


class _Names(AbstractResolver):
    """Hands aiohttp's lookups to our own threads, and keeps the refused addresses of a mixed answer back."""

    def __init__(self, allowed: AllowedNetworks | None) -> None:
        """Judge by ``allowed``; None where the names are the proxy's, which is not judged."""
        self._allowed = allowed

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's signature
    ) -> list[ResolveResult]:
        watch = _exchange.get().watch
        with watch.during("the name was being looked up"):
            addresses: Sequence[str] = await resolver.shared().resolve_async(host, port)
        if self._allowed is not None:
            addresses = resolver.permitted(host, addresses, self._allowed)
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing to close: the threads are the process's."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def _let_go(error: BaseException | None) -> None:
    """Empty an error's frames: it and they refer to each other, and so hold the body until Python looks for garbage."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _meaning(error: Exception) -> tuple[Failure, str]:
    """Return what a network error means, and a sentence about it."""
    if getattr(getattr(error, "os_error", error), "errno", None) in _OURS:
        return Failure.LOCAL, f"No socket could be opened here: {getattr(error, 'os_error', error)}."
    for kind, failure, sentence in _MEANINGS:
        if isinstance(error, kind):
            return failure, sentence.format(error=error)
    return Failure.CONNECTION, str(error) or repr(error)


_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL})
"""What says that this machine has run out of something, and nothing about the receiver."""

# The first that fits: aiohttp's errors are each other's subclasses.
_MEANINGS: tuple[tuple[type[Exception], Failure, str], ...] = (
    (aiohttp.ClientConnectorDNSError, Failure.DNS, "{error.os_error}"),
    (resolver.LookupFailed, Failure.DNS, "{error}"),
    (aiohttp.ClientConnectorCertificateError, Failure.TLS, "TLS failed: {error.certificate_error}"),
    (aiohttp.ClientSSLError, Failure.TLS, "TLS failed: {error.os_error}"),
    (ssl.SSLError, Failure.TLS, "TLS failed: {error}"),
    (aiohttp.ClientConnectorError, Failure.CONNECTION, "Cannot connect to {error.host}:{error.port}: {error.os_error}"),
    (aiohttp.ServerDisconnectedError, Failure.CONNECTION, NO_ANSWER),
    (aiohttp.ClientPayloadError, Failure.CONNECTION, CUT_OFF),
    (aiohttp.ClientHttpProxyError, Failure.CONNECTION, "The proxy refused: {error.status} {error.message}"),
    (aiohttp.ClientResponseError, Failure.PROTOCOL, "The answer is not HTTP."),
)
