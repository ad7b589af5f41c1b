"""Ask all webfilters of one filter at the same time, and be back at the deadline whatever they do.

On daemon threads of this process, made when first needed: servers fork after loading, and a pool made before
the fork never runs a task in the child. Each webfilter has a bounded share of them, so that no number of
hanging receivers takes what the next learner needs. No ORM in here: each thread would keep a connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.egress import blocking

log = logging.getLogger(__name__)

SHARE = 16
"""Requests that one webfilter may have in flight in one process."""
IDLE = 60.0
"""Seconds after which a thread without work ends."""

Job = Callable[[], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One POST to one webfilter; its ``request.timeout`` counts from the moment of asking."""

    webfilter_id: int
    request: Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What holds for every question of one call; read from the settings by the asking thread."""

    allowed_networks: Sequence[str]
    proxy: str | None
    keep_body: int
    """Bytes of an answer that are read."""


def ask(questions: Sequence[Question], terms: Terms, *, budget: float) -> list[Outcome]:
    """POST all questions at once, and return their outcomes in order after ``budget`` seconds at the latest.

    What has not come by its own deadline, or the budget's, is a timeout, also where an answer comes later: one
    that was cut off at the deadline may look whole.
    """
    gathering = _Gathering(questions, budget)
    crew = _crew()
    for index, question in enumerate(questions):
        refusal = crew.run(question.webfilter_id, gathering.job(index, terms))
        if refusal:
            gathering.put(index, gathering.failure(Failure.CONNECTION, refusal))
    return gathering.wait()


class _Gathering:
    """The answers to one call, as they come."""

    def __init__(self, questions: Sequence[Question], budget: float) -> None:
        self._questions = questions
        self._began, self._began_at = time.monotonic(), datetime.now(UTC)
        self._deadlines = [self._began + min(q.request.timeout, budget) for q in questions]
        self._changed = threading.Condition()
        self._outcomes: dict[int, Outcome] = {}

    def job(self, index: int, terms: Terms) -> Job:
        def post() -> None:
            self.put(index, self._post(index, terms))

        return post

    def put(self, index: int, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.setdefault(index, outcome)
            self._changed.notify()

    def wait(self) -> list[Outcome]:
        """Return what has come in time, and timeouts for the rest."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._outcomes) == len(self._questions), max(self._deadlines) - time.monotonic()
            )
            return [self._outcomes.get(index) or self._timeout(index) for index in range(len(self._questions))]

    def failure(self, kind: Failure, detail: str) -> Outcome:
        return Outcome(started_at=self._began_at, duration=time.monotonic() - self._began, failure=kind, detail=detail)

    def _post(self, index: int, terms: Terms) -> Outcome:
        left = self._deadlines[index] - time.monotonic()
        if left <= 0:
            return self._timeout(index)
        try:
            outcome = blocking.post(
                replace(self._questions[index].request, timeout=left),
                allowed_networks=terms.allowed_networks,
                proxy=terms.proxy,
                keep_body=terms.keep_body,
            )
        except Exception as error:
            log.exception("openedx_webhooks: a webfilter could not be asked")
            return self.failure(Failure.CONNECTION, f"It could not be asked: {type(error).__name__}.")
        return outcome if time.monotonic() <= self._deadlines[index] else self._timeout(index)

    def _timeout(self, index: int) -> Outcome:
        seconds = self._deadlines[index] - self._began
        return self.failure(Failure.TIMEOUT, f"No whole answer within {seconds:.3g} seconds.")


class _Crew:
    """The threads of one process. They are reused, and end when there is nothing to do."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._idle = 0
        self._in_use: Counter[int] = Counter()

    def run(self, webfilter_id: int, job: Job) -> str:
        """Run a job on a thread at once; return a sentence where there is no room for it."""

        def counted() -> None:
            try:
                job()
            finally:
                self._release(webfilter_id)

        with self._lock:
            if self._in_use[webfilter_id] >= SHARE:
                return f"This webfilter has {SHARE} requests in flight already; it was not asked."
            self._in_use[webfilter_id] += 1
            is_reused = self._idle > 0
            self._idle -= is_reused
        if is_reused:
            self._jobs.put(counted)
            return ""
        return self._start(webfilter_id, counted)

    def _start(self, webfilter_id: int, job: Job) -> str:
        thread = threading.Thread(target=self._work, args=(job,), name="openedx-webhooks-webfilter", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._release(webfilter_id)
            return "This process can start no further thread; the webfilter was not asked."
        return ""

    def _release(self, webfilter_id: int) -> None:
        with self._lock:
            self._in_use[webfilter_id] -= 1
            if not self._in_use[webfilter_id]:
                del self._in_use[webfilter_id]

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job()
            job = None  # What it holds, the learner's data, is not kept while waiting.
            job = self._next()

    def _next(self) -> Job | None:
        with self._lock:
            self._idle += 1
        with contextlib.suppress(queue.Empty):
            return self._jobs.get(timeout=IDLE)
        with self._lock:
            if self._idle:
                self._idle -= 1
                return None
        return self._jobs.get()  # Given work at the last moment: it is in the queue, or about to be.


_current: _Crew | None = None


def _crew() -> _Crew:
    """Return this process's crew; one that was made before a fork has no threads in the child."""
    global _current  # noqa: PLW0603
    crew = _current
    if crew is None or crew.pid != os.getpid():
        crew = _current = _Crew()
    return crew
