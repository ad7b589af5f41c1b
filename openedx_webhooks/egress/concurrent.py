"""Hundreds of POSTs at once, for deliveries: an event loop inside one daemon thread.

A request that hangs costs a socket and nothing else. The caller's thread keeps the database; this one never
touches it. Requests go in by ``submit`` and outcomes come out by ``collect``, both in batches, because a hop
between threads costs more than the work on one result.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from itertools import count

from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.egress.exchange import STOPPED, Stopwatch
from openedx_webhooks.egress.policy import AllowedNetworks
from openedx_webhooks.egress.poster import Poster

log = logging.getLogger(__name__)

AT_A_TIME = 16
"""Requests that one turn of the loop begins, so that their answers come spread out, and are recorded meanwhile."""
_ENDED = "The sender's thread has ended"


class Sender:
    """Sends requests concurrently; each submitted job yields exactly one outcome, whatever happens.

    Thread-safe; one instance per drain; a context manager. ``allowed_networks`` are the operator's entries (those
    that cannot be read open nothing), ``proxy`` is the URL of an explicit proxy, ``keep_body`` the number of bytes
    kept of each answer.
    """

    def __init__(
        self, *, allowed_networks: Sequence[str], proxy: str | None = None, keep_body: int = 16 * 1024
    ) -> None:
        self._allowed = AllowedNetworks.usable(allowed_networks)[0]
        self._proxy = proxy
        self._keep_body = keep_body
        self._pid = os.getpid()
        self._numbers = count()
        # Shared between the threads, under the lock of _changed.
        self._changed = threading.Condition()
        self._jobs: dict[int, Hashable] = {}
        self._results: list[tuple[Hashable, Outcome]] = []
        self._wanted = 1
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False
        self._started = threading.Event()
        # The loop's own.
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._waiting: deque[tuple[int, Request]] = deque()
        self._fresh: list[tuple[int, Outcome]] = []
        self._stop = asyncio.Event()

    def __enter__(self) -> Sender:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close(timeout=5.0)

    def start(self) -> None:
        """Start the thread; ``submit`` does it too."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="webhooks-sender", daemon=True)
                thread.start()
                self._thread = thread
        self._started.wait()

    def close(self, timeout: float = 5.0) -> None:
        """Cancel what is in flight, and wait for the thread at most ``timeout`` seconds.

        The outcomes of what was cancelled can still be collected.
        """
        with self._changed:
            self._closing = True
            thread = self._thread
        if thread is not None:
            self._started.wait(timeout)
            self._call_in_loop(self._stop.set)
            thread.join(timeout)

    @property
    def in_flight(self) -> int:
        """How many submitted jobs have not been collected yet."""
        with self._changed:
            return len(self._jobs) + len(self._results)

    def submit(self, jobs: Sequence[tuple[Hashable, Request]]) -> None:
        """Send each request; its outcome can be collected under its key. Keys may repeat.

        The clock of each starts when the thread begins it, ``AT_A_TIME`` in each turn of its loop. Raises RuntimeError
        after ``close``, and in a process forked since.
        """
        if self._pid != os.getpid():
            raise RuntimeError("This sender belongs to the process before the fork; make a new one.")
        with self._changed:
            if self._closing:
                raise RuntimeError("This sender is closed.")
            numbered = [(next(self._numbers), request) for _, request in jobs]
            self._jobs.update(zip((number for number, _ in numbered), (key for key, _ in jobs), strict=True))
        self.start()
        if not self._call_in_loop(lambda: self._begin(numbered)):
            self._give_up(f"{_ENDED}.")

    def collect(self, timeout: float, at_least: int = 1) -> list[tuple[Hashable, Outcome]]:
        """Return all results there are, once there are ``at_least`` of them or ``timeout`` seconds have passed.

        Returns sooner where nothing more is in flight.
        """
        with self._changed:
            self._wanted = at_least
            self._changed.wait_for(lambda: len(self._results) >= at_least or not self._jobs, timeout)
            results, self._results = self._results, []
            return results

    def _run(self) -> None:
        """Be the thread: serve until stopped; whatever ends it, nothing stays without an outcome."""
        reason = f"{_ENDED}."
        try:
            asyncio.run(self._serve())
            reason = STOPPED
        except BaseException as error:
            reason = f"{_ENDED}: {error!r}."
            log.exception("openedx_webhooks: the thread that sends webhooks has ended")
        finally:
            self._let_nothing_in()
            self._started.set()
            self._hand_over()
            self._give_up(reason)

    async def _serve(self) -> None:
        self._poster = Poster(self._allowed, self._proxy, self._keep_body)
        try:
            with self._changed:
                self._loop = asyncio.get_running_loop()
            self._started.set()
            await self._stop.wait()
            self._let_nothing_in()
            await self._cancel_all()
        finally:
            await self._poster.close()

    def _let_nothing_in(self) -> None:
        with self._changed:
            self._loop = None

    async def _cancel_all(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call_in_loop(self, function: Callable[[], object]) -> bool:
        """Have the loop's thread call a function; return False where it no longer does."""
        with self._changed:
            if self._loop is None:
                return False
            try:
                self._loop.call_soon_threadsafe(function)
            except RuntimeError:  # closed just now
                return False
            return True

    def _begin(self, numbered: Sequence[tuple[int, Request]]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._begin_some)
        self._waiting.extend(numbered)

    def _begin_some(self) -> None:
        """Begin a few, and the rest in the next turns of the loop: in between, answers are read."""
        if self._loop is None:  # ending: what has not begun gets its outcome from ``_give_up``
            self._waiting.clear()
            return
        loop = asyncio.get_running_loop()
        for _ in range(min(AT_A_TIME, len(self._waiting))):
            number, request = self._waiting.popleft()
            self._tasks[number] = loop.create_task(self._send(number, request))
        if self._waiting:
            loop.call_soon(self._begin_some)

    async def _send(self, number: int, request: Request) -> None:
        """Be one request's task; of one that is cancelled before its first step, ``_give_up`` makes the outcome."""
        try:
            self._take(number, await self._poster.post(request))
        except asyncio.CancelledError:
            self._take(number, Stopwatch(0).failed(Failure.LOCAL, STOPPED))
        except BaseException as error:
            log.exception("openedx_webhooks: a webhook could not be sent")
            ends_the_thread = not isinstance(error, Exception)
            if ends_the_thread:
                self._let_nothing_in()
            self._take(number, Stopwatch(0).failed(Failure.CONNECTION, f"Unexpected error: {error!r}."))
            if ends_the_thread:
                self._hand_over()
                raise

    def _take(self, number: int, outcome: Outcome) -> None:
        del self._tasks[number]
        if not self._fresh:
            asyncio.get_running_loop().call_soon(self._hand_over)
        self._fresh.append((number, outcome))

    def _hand_over(self) -> None:
        """Give the owner what came in this turn of the loop."""
        fresh, self._fresh = self._fresh, []
        with self._changed:
            for number, outcome in fresh:
                if number in self._jobs:  # else given up, while the thread was ending
                    self._results.append((self._jobs.pop(number), outcome))
            if len(self._results) >= self._wanted or not self._jobs:
                self._changed.notify_all()

    def _give_up(self, reason: str) -> None:
        """Give every job that is still out its outcome."""
        with self._changed:
            for key in self._jobs.values():
                self._results.append((key, Stopwatch(0).failed(Failure.LOCAL, reason)))
            self._jobs.clear()
            self._changed.notify_all()
