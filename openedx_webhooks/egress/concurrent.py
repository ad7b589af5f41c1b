"""Hundreds of POSTs at once, for deliveries: asyncio and aiohttp inside one daemon thread.

A request that hangs costs a socket and nothing else. The caller's thread keeps the database; this one never
touches it. Requests go in by ``submit`` and outcomes come out by ``collect``, both in batches, because a hop
between threads costs more than the work on one result.

A POST is never sent a second time unasked: aiohttp repeats only idempotent methods on a kept connection that
turned out to be closed, and so a lost one is an outcome like any other, for the caller's schedule to repeat.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Hashable, Sequence
from contextvars import ContextVar
from itertools import count
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from openedx_webhooks.data import Failure, Outcome, Reply, Request
from openedx_webhooks.egress import resolver
from openedx_webhooks.egress.exchange import KEEP_ALIVE, Stopwatch, incoming_headers, outgoing_headers
from openedx_webhooks.egress.policy import AllowedNetworks, Target, judge, parse_url
from openedx_webhooks.egress.trust import tls_context
from openedx_webhooks.exceptions import AddressRefused, InvalidHeaders, InvalidURL

log = logging.getLogger(__name__)

_target: ContextVar[Target] = ContextVar("target")
"""What the running exchange calls; aiohttp tells the socket's maker the address alone, not the name."""
_OWN_HEADERS = ("User-Agent", "Accept", "Content-Type")
_STOPPED = "The sender was stopped before the answer came."


class Sender:
    """Sends requests concurrently. Thread-safe; one instance per drain; a context manager.

    ``allowed_networks`` are the operator's entries; ``proxy`` is an ``http://`` URL or None; ``keep_body`` is the
    number of bytes kept of each answer. Without a proxy every address is judged as its connection is made. With
    one, the proxy resolves and connects: then only literal addresses and metadata names can be judged here.
    """

    def __init__(
        self, *, allowed_networks: Sequence[str], proxy: str | None = None, keep_body: int = 16 * 1024
    ) -> None:
        self._allowed = AllowedNetworks.usable(allowed_networks)[0]
        self._proxy = URL(proxy) if proxy else None
        self._keep_body = keep_body
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._numbers = count()
        self._jobs: dict[int, tuple[Hashable, Request]] = {}
        self._results: list[tuple[Hashable, Outcome]] = []
        self._wanted = 1
        self._closing = False
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: dict[asyncio.Task[Outcome], int] = {}

    def __enter__(self) -> Sender:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(5.0)

    def start(self) -> None:
        """Start the thread; ``submit`` does it too."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="webhooks-sender", daemon=True)
                self._thread.start()
        self._ready.wait()

    def close(self, timeout: float) -> None:
        """Cancel what is in flight and wait at most ``timeout`` seconds for the thread; outcomes can be collected after."""
        with self._changed:
            self._closing = True
        if self._thread is not None and self._thread.is_alive():
            self._in_loop(self._request_stop)
            self._thread.join(timeout)

    @property
    def in_flight(self) -> int:
        """How many submitted jobs have not been collected yet."""
        with self._changed:
            return len(self._jobs) + len(self._results)

    def submit(self, jobs: Sequence[tuple[Hashable, Request]]) -> None:
        """Send each request; exactly one outcome per job can be collected under its key.

        Raises RuntimeError after ``close`` and in a process forked since.
        """
        if self._pid != os.getpid():
            raise RuntimeError("This sender belongs to the process before the fork; make a new one.")
        with self._changed:
            if self._closing:
                raise RuntimeError("This sender is closed.")
            numbered = [(next(self._numbers), request) for _, request in jobs]
            self._jobs.update((number, job) for (number, _), job in zip(numbered, jobs, strict=True))
        self.start()
        if not self._in_loop(self._begin, numbered):
            self._give_up("The sender's thread has ended.")

    def collect(self, timeout: float, at_least: int = 1) -> list[tuple[Hashable, Outcome]]:
        """Return all results there are, once there are ``at_least`` of them or ``timeout`` seconds have passed.

        Returns at once when fewer than that are in flight and all of them are in.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            self._wanted = at_least
            while len(self._results) < at_least and self._jobs:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            results, self._results = self._results, []
            return results

    # The thread.

    def _run(self) -> None:
        reason = "The sender's thread has ended."
        try:
            asyncio.run(self._main())
        except BaseException as error:
            reason = f"The sender's thread has ended: {error!r}."
            log.exception("The thread that sends webhooks has ended.")
        finally:
            with self._changed:
                self._loop = None
            self._ready.set()
            self._give_up(reason)

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        async with self._new_session() as self._session:
            with self._changed:
                self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self._stop.wait()
            for task in self._tasks:
                task.cancel(_STOPPED)
            if self._tasks:
                await asyncio.wait(list(self._tasks))
                await asyncio.sleep(0)  # for their callbacks

    def _new_session(self) -> aiohttp.ClientSession:
        direct = self._proxy is None
        connector = aiohttp.TCPConnector(
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
            skip_auto_headers=_OWN_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the deadline is our own
            read_bufsize=self._keep_body,
        )

    def _judged_socket(self, info: Any) -> socket.socket:
        """Make the socket for an address, if policy allows it: the last moment before the connection."""
        family, kind, protocol, _, address = info
        judge(_target.get(), address[0], self._allowed)
        return socket.socket(family, kind, protocol)

    def _in_loop(self, function: Any, *args: Any) -> bool:
        """Have the loop call a function; return False if there is no loop any more."""
        with self._changed:
            if self._loop is None:
                return False
            self._loop.call_soon_threadsafe(function, *args)
            return True

    def _request_stop(self) -> None:
        if self._stop is not None:
            self._stop.set()

    def _begin(self, numbered: Sequence[tuple[int, Request]]) -> None:
        loop = asyncio.get_running_loop()
        for number, request in numbered:
            task = loop.create_task(self._exchange(request))
            self._tasks[task] = number
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Outcome]) -> None:
        number = self._tasks.pop(task)
        try:
            outcome = task.result()
        except asyncio.CancelledError:
            outcome = Stopwatch(0).failed(Failure.CONNECTION, _STOPPED)
        except BaseException as error:  # noqa: BLE001 - a slip of ours must not lose the job
            log.error("A webhook could not be sent.", exc_info=error)
            outcome = Stopwatch(0).failed(Failure.CONNECTION, f"Unexpected error: {error!r}.")
        self._deliver(number, outcome)

    def _deliver(self, number: int, outcome: Outcome) -> None:
        with self._changed:
            job = self._jobs.pop(number, None)
            if job is None:
                return
            self._results.append((job[0], outcome))
            if len(self._results) >= self._wanted or not self._jobs:
                self._changed.notify()

    def _give_up(self, reason: str) -> None:
        with self._changed:
            for key, _ in self._jobs.values():
                self._results.append((key, Stopwatch(0).failed(Failure.CONNECTION, reason)))
            self._jobs.clear()
            self._changed.notify_all()

    # One exchange.

    async def _exchange(self, request: Request) -> Outcome:
        """Return how one request ended; raises nothing but what is a slip of ours."""
        watch = Stopwatch(request.timeout)
        try:
            target = parse_url(request.url)
            headers = outgoing_headers(request.headers)
            self._judge_before(target)
            _target.set(target)
            async with asyncio.timeout(request.timeout):
                return watch.replied(await self._post(target, headers, request.body))
        except (InvalidURL, InvalidHeaders) as error:
            return watch.failed(Failure.URL, str(error))
        except AddressRefused as error:
            return watch.refused(error)
        except TimeoutError:
            return watch.timed_out()
        except (aiohttp.ClientError, OSError, ssl.SSLError) as error:
            return watch.failed(*_failure(error))

    def _judge_before(self, target: Target) -> None:
        """Refuse a literal at once; with a proxy it is all that can be judged here, beside metadata names."""
        if target.is_literal:
            judge(target, target.host, self._allowed)

    async def _post(self, target: Target, headers: dict[str, str], body: bytes) -> Reply:
        assert self._session is not None
        response = await self._session.post(
            URL(target.url, encoded=True), data=body, headers=headers, allow_redirects=False, proxy=self._proxy
        )
        try:
            kept, whole = await self._body(response)
        except BaseException:
            response.close()
            raise
        if whole:
            response.release()
        else:
            response.close()
        return Reply(
            status=response.status,
            headers=incoming_headers(response.headers.items()),
            body=kept,
            truncated=not whole,
        )

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        """Return the first bytes of the body, and whether they are all of it."""
        content = response.content
        parts: list[bytes] = []
        room = self._keep_body
        while not content.at_eof():
            part = await content.read(room + 1)
            parts.append(part)
            room -= len(part)
            if room < 0:
                return b"".join(parts)[: self._keep_body], False
        return b"".join(parts), True


class _Names(AbstractResolver):
    """Hands aiohttp's lookups to our own threads, and keeps refused addresses of a mixed answer back."""

    def __init__(self, allowed: AllowedNetworks | None) -> None:
        """Judge by ``allowed``; None for the names of proxies, which are not judged."""
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses: Sequence[str] = await resolver.shared().resolve_async(host, port)
        if self._allowed is not None:
            addresses = resolver.permitted(host, addresses, self._allowed)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close: the threads are the process's."""


def _failure(error: Exception) -> tuple[Failure, str]:
    """Return what a network error means, and a sentence about it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure.DNS, str(error.os_error)
    if isinstance(error, resolver.LookupFailed):
        return Failure.DNS, str(error)
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return Failure.TLS, f"TLS failed: {error}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failure.CONNECTION, "The connection broke off inside the answer."
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure.PROTOCOL, f"The answer is not HTTP: {error.message}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Failure.CONNECTION, "The connection was closed without an answer."
    return Failure.CONNECTION, str(error) or repr(error)
