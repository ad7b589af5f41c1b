"""Deadlines for blocking sockets: one daemon thread per process cuts every connection whose time is up.

A socket's own timeout starts again with each byte, so an answer that drips holds a thread for ever. Shutting the
socket down from outside frees it at once.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import socket
import threading
import time
from itertools import count


class Deadline:
    """The end of one exchange. Watches the connection that the exchange holds at the moment."""

    def __init__(self, when: float) -> None:
        """Begin at once; ``when`` is in ``time.monotonic()`` seconds."""
        self.when = when
        self._lock = threading.Lock()
        self._lifeline: Lifeline | None = None
        self._passed = False
        _watchdog().watch(self)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._passed or time.monotonic() >= self.when

    def hold(self, lifeline: Lifeline) -> None:
        """Say which connection to cut. Raises TimeoutError where it is too late already."""
        with self._lock:
            if self._passed:
                raise TimeoutError
            self._lifeline = lifeline

    def release(self) -> None:
        """Say that the exchange is over: from here on nothing is cut."""
        with self._lock:
            lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            lifeline.release(self)

    def fire(self) -> None:
        """Cut what is held; called by the watchdog."""
        with self._lock:
            self._passed = True
            if self._lifeline is not None:
                self._lifeline.cut(self)


class Lifeline:
    """A second handle on a connection's socket, by which another thread can shut it down.

    It stays valid while TLS takes the first handle over, and while an answer is read from a connection that
    http.client has already closed for its part. Its lock keeps it from being closed while it is used.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._serves: Deadline | None = None
        self._closed = True
        self.is_cut = False

    def attach(self, connected: socket.socket) -> None:
        """Follow a new socket."""
        with self._lock:
            self._let_go()
            self._handle = connected.dup()
            self._closed = self.is_cut = False

    def serve(self, deadline: Deadline) -> None:
        """Belong to an exchange: an earlier one's deadline cuts nothing any more."""
        with self._lock:
            self._serves = deadline

    def cut(self, deadline: Deadline) -> None:
        """Shut the socket down, both ways, if it still belongs to this exchange."""
        with self._lock:
            if self._handle is not None and self._serves is deadline:
                self.is_cut = True
                with contextlib.suppress(OSError):  # the other side was faster
                    self._handle.shutdown(socket.SHUT_RDWR)

    def release(self, deadline: Deadline) -> None:
        """End the exchange; a connection that was closed meanwhile is let go now."""
        with self._lock:
            if self._serves is deadline:
                self._serves = None
                if self._closed:
                    self._let_go()

    def close(self) -> None:
        """Let the socket go, at the end of the running exchange at the latest."""
        with self._lock:
            self._closed, self.is_cut = True, False
            if self._serves is None:
                self._let_go()

    def _let_go(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class _Watchdog:
    """The thread, started with the first deadline."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = count()
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline) -> None:
        with self._changed:
            heapq.heappush(self._heap, (deadline.when, next(self._numbers), deadline))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="webhooks-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            elif self._heap[0][2] is deadline:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next().fire()

    def _next(self) -> Deadline:
        """Return the next deadline, when it has come."""
        with self._changed:
            while True:
                left = self._heap[0][0] - time.monotonic() if self._heap else None
                if left is not None and left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(left)


_watchdogs: dict[int, _Watchdog] = {}


def _watchdog() -> _Watchdog:
    """Return this process's watchdog: a thread does not survive a fork, and uWSGI's forks run no hook."""
    pid = os.getpid()
    return _watchdogs.get(pid) or _watchdogs.setdefault(pid, _Watchdog())
