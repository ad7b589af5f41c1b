"""Names to addresses, on our own daemon threads, so that DNS that hangs delays nobody else.

``getaddrinfo`` blocks for as long as it likes and cannot be stopped. asyncio's default executor has a few threads
and makes the interpreter wait for them at exit; so every lookup here gets a daemon thread of its own, within bounds:

- one name has at most ``PER_NAME`` lookups under way; requests for the same name share them;
- all together at most ``THREADS``, the last ``RESERVED`` of which serve only names that resolved before, so that
  new names that hang cannot take the room of those that work;
- with no thread free a lookup waits its turn, but where every thread hangs it fails at once;
- a name that failed is not asked again for ``FAILED_FOR`` seconds.

A success is never kept: each connection's address is the one that DNS gives at that moment.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field

from openedx_webhooks.egress.policy import AllowedNetworks, judge
from openedx_webhooks.exceptions import AddressRefused

THREADS = 64
RESERVED = 16
PER_NAME = 2
QUEUE = 1024
HANGS_AFTER = 1.0
"""Seconds after which a lookup counts as hanging: another may start beside it, and nobody queues behind it."""
FAILED_FOR = 2.0
_REMEMBERED = 4096


class LookupFailed(OSError):
    """A name that has no address, or that the resolver had no room for."""


@dataclass(eq=False, slots=True)
class _Lookup:
    """One ``getaddrinfo``, and all who wait for it."""

    host: str
    port: int
    future: Future[tuple[str, ...]] = field(default_factory=Future)
    started: float = 0.0
    """Monotonic; 0 while it waits for a thread."""


class Resolver:
    """The lookups of one process, shared by both clients. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, list[_Lookup]] = {}
        self._running: set[_Lookup] = set()
        self._waiting: deque[_Lookup] = deque()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._failed: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def resolve(self, host: str, port: int, deadline: float) -> tuple[str, ...]:
        """Return the name's addresses, in the system's order, by a ``time.monotonic()`` deadline.

        Raises TimeoutError at the deadline, LookupFailed where there is no address.
        """
        lookup = self._join(host, port)
        try:
            return lookup.result(max(0.0, deadline - time.monotonic()))
        except FutureTimeout:
            raise TimeoutError(f"The name {host} was still being looked up.") from None

    async def resolve_async(self, host: str, port: int) -> tuple[str, ...]:
        """Return the name's addresses; the caller's own deadline cancels the waiting, not the lookup."""
        return await asyncio.wrap_future(self._join(host, port))

    def _join(self, host: str, port: int) -> Future[tuple[str, ...]]:
        """Return the future of a lookup that is under way, or of a new one."""
        now = time.monotonic()
        with self._lock:
            mine = self._by_name.get(host, [])
            for lookup in reversed(mine):
                if not lookup.started or now - lookup.started < HANGS_AFTER or len(mine) >= PER_NAME:
                    return lookup.future
            self._refuse_failed(host, now)
            lookup = _Lookup(host, port)
            # Running from the start, so that one waiter who gives up cannot cancel it for the others.
            lookup.future.set_running_or_notify_cancel()
            if not self._has_thread(host):
                self._queue(lookup, now)
            else:
                self._start(lookup, now)
            self._by_name.setdefault(host, []).append(lookup)
            return lookup.future

    def _refuse_failed(self, host: str, now: float) -> None:
        until, reason = self._failed.get(host, (0.0, ""))
        if now < until:
            raise LookupFailed(reason)

    def _has_thread(self, host: str) -> bool:
        return len(self._running) < (THREADS if host in self._known else THREADS - RESERVED)

    def _queue(self, lookup: _Lookup, now: float) -> None:
        hanging = all(now - running.started > HANGS_AFTER for running in self._running)
        if hanging or len(self._waiting) >= QUEUE:
            raise LookupFailed(f"No room to look up {lookup.host}: too many other names hang.")
        self._waiting.append(lookup)

    def _start(self, lookup: _Lookup, now: float) -> None:
        lookup.started = now
        self._running.add(lookup)
        try:
            threading.Thread(target=self._run, args=(lookup,), name="webhooks-dns", daemon=True).start()
        except RuntimeError as error:
            self._running.discard(lookup)
            raise LookupFailed(f"No thread to look up {lookup.host}: {error}.") from error

    def _run(self, lookup: _Lookup | None) -> None:
        """Look up, then whatever waits for a thread, until nothing does."""
        while lookup is not None:
            try:
                addresses = _addresses(lookup.host, lookup.port)
            except LookupFailed as error:
                following = self._finish(lookup, error)
                lookup.future.set_exception(error)
            else:
                following = self._finish(lookup, None)
                lookup.future.set_result(addresses)
            lookup = following

    def _finish(self, lookup: _Lookup, error: LookupFailed | None) -> _Lookup | None:
        """Take the lookup off the lists; return the next that may use its thread."""
        now = time.monotonic()
        with self._lock:
            self._running.discard(lookup)
            mine = self._by_name[lookup.host]
            mine.remove(lookup)
            if not mine:
                del self._by_name[lookup.host]
            self._remember(lookup.host, error, now)
            return self._next(now)

    def _remember(self, host: str, error: LookupFailed | None, now: float) -> None:
        if error is None:
            self._failed.pop(host, None)
            self._known[host] = None
            self._known.move_to_end(host)
        else:
            self._failed[host] = (now + FAILED_FOR, str(error))
        for memory in (self._known, self._failed):
            while len(memory) > _REMEMBERED:
                memory.popitem(last=False)

    def _next(self, now: float) -> _Lookup | None:
        for lookup in self._waiting:
            if self._has_thread(lookup.host):
                self._waiting.remove(lookup)
                lookup.started = now
                self._running.add(lookup)
                return lookup
        return None


def _addresses(host: str, port: int) -> tuple[str, ...]:
    """Return the distinct addresses that the system gives for a name."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as error:  # Whoever waits must hear of it, whatever the system's libraries raise.
        raise LookupFailed(f"The name {host} could not be looked up: {error}.") from error
    addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not addresses:
        raise LookupFailed(f"The name {host} has no address.")
    return addresses


def permitted(host: str, addresses: Sequence[str], allowed: AllowedNetworks) -> list[str]:
    """Return those of a name's addresses that policy allows; raise the first one's AddressRefused if none is.

    A mixed answer is used for what is allowed in it: ``localhost`` is ``::1`` too where only ``127.0.0.1`` is opened.
    """
    permitted: list[str] = []
    refusals: list[AddressRefused] = []
    for address in addresses:
        try:
            judge(host, address, allowed)
        except AddressRefused as refusal:
            refusals.append(refusal)
        else:
            permitted.append(address)
    if not permitted:
        raise refusals[0]
    return permitted


_resolvers: dict[int, Resolver] = {}


def shared() -> Resolver:
    """Return this process's resolver.

    Found by process id, for servers fork after the code was loaded (uWSGI in C, where no hook of Python's runs):
    the parent's threads are not there in the child, and its locks may be held for ever.
    """
    pid = os.getpid()
    return _resolvers.get(pid) or _resolvers.setdefault(pid, Resolver())
