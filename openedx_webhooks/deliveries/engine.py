"""Empty the outbox: claim, send, and record as results come.

A stream and not a batch: a request that hangs costs a socket, not the requests beside it. What is due is claimed as
room becomes free; after a slice nothing more is claimed, what is in flight is awaited, and another drain goes on.
The claim, the sending (a thread with an event loop, without the ORM) and the recording each have a module; this one
holds the loop. The rules it keeps and the figures behind them: docs/decisions/0002.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from openedx_webhooks import app_settings, signals, wakeup
from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.deliveries import claim, expiry, retry, slot, targets
from openedx_webhooks.deliveries.fanout import fan_out
from openedx_webhooks.deliveries.health import HealthKeeper
from openedx_webhooks.deliveries.record import Result, record
from openedx_webhooks.deliveries.rooms import Rooms
from openedx_webhooks.deliveries.sql import engine_connection
from openedx_webhooks.models import Delivery

if TYPE_CHECKING:
    from openedx_webhooks.egress.concurrent import Sender

log = logging.getLogger(__name__)

SLICE = 20.0
"""Seconds after which a drain in the site's own queue stops claiming."""
FLUSH_ROWS, FLUSH_AFTER = 100, 0.05
"""Results, or seconds since the first of them, that make a flush."""
LOOK_PACE = 0.2
"""Seconds between two looks while nothing new is due and requests are under way."""
ROOM_PACE = 0.01
"""Seconds between two looks while deliveries are due that wait for room, and room becomes free."""
SWEEP_PACE = 5.0
"""Seconds between two looks for the leases of dead workers."""
IDLE_PACE = 1.0
"""Seconds between two looks of a drain that runs for ever and was not woken."""
HORIZON = 55.0
"""Seconds; what is due sooner gets a wake-up of its own, what is due later is found by the minute's."""

Stop = Callable[[], bool]


@dataclass(kw_only=True, slots=True)
class Tally:
    """What a drain did."""

    delivered: int = 0
    failed: int = 0
    """For good."""
    postponed: int = 0
    """Attempts that failed and are due again later."""

    def add(self, results: list[Result]) -> None:
        """Count results."""
        for result in results:
            if result.verdict.ok:
                self.delivered += 1
            elif result.verdict.status == Delivery.Status.FAILED:
                self.failed += 1
            else:
                self.postponed += 1


def drain(*, seconds: float = SLICE, stop: Stop = lambda: False) -> Tally | None:
    """Deliver what is due, until nothing is, ``seconds`` are over, or ``stop()`` says so.

    Returns None where another drain of the site is at work: it will look once more on our behalf. Raises
    DatabaseError where the tables are missing or the database stays away.
    """
    connection = engine_connection()
    deadline = time.monotonic() + seconds
    tally = Tally()
    first = True
    while held := slot.take(connection):
        first = False
        woken = False
        try:
            # Not entered: its thread starts with the first request, and most looks find nothing.
            with closing(_sender()) as sender:
                _Drain(held, sender, tally).run(deadline, stop)
        finally:
            woken = held.release()
        if not woken or time.monotonic() >= deadline or stop():
            return tally
    return None if first else tally


def _sender() -> Sender:
    # Here, because aiohttp is heavy and a web process that only emits has no use for it.
    from openedx_webhooks.egress.concurrent import Sender  # noqa: PLC0415

    return Sender(allowed_networks=app_settings.ALLOWED_NETWORKS(), proxy=app_settings.PROXY())


class _Drain:
    """One hold of the slot, from the first claim to the last record."""

    def __init__(self, held: slot.Slot, sender: Sender, tally: Tally) -> None:
        self._connection = engine_connection()
        self._slot = held
        self._sender = sender
        self._tally = tally
        self._rooms = Rooms()
        self._claimer = claim.Claimer(self._connection, self._rooms, app_settings.TIMEOUT())
        self._targets = targets.Targets(self._connection)
        self._health = HealthKeeper(self._connection)
        self._walk = claim.Walk()
        self._under_way: dict[Hashable, tuple[claim.Job, Request]] = {}
        self._done: list[Result] = []
        self._first_done = 0.0
        self._lost = False
        self._next_look = self._next_renewal = self._next_sweep = 0.0

    def run(self, deadline: float, stop: Stop) -> None:
        """Stream until an empty look over all webhooks was made with nothing in flight and nothing unrecorded."""
        while True:
            now = time.monotonic()
            self._keep_house(now)
            claiming = now < deadline and not self._lost and not stop()
            looked_in_vain = False
            if claiming and now >= self._next_look and self._rooms.free >= self._rooms.sockets // 8:
                nothing_under_way = not self._under_way and not self._done
                found = self._look()
                self._next_look = now if found else now + LOOK_PACE
                looked_in_vain = not found and nothing_under_way
            if not self._under_way and not self._done and (looked_in_vain or not claiming):
                return
            self._take_results()

    def _keep_house(self, now: float) -> None:
        if now >= self._next_renewal:
            self._lost = self._lost or not self._slot.renew()
            self._next_renewal = now + slot.RENEW
        if now >= self._next_sweep and not self._lost:
            claim.sweep(self._connection)
            expiry.expire(self._connection)
            self._next_sweep = now + SWEEP_PACE

    def _look(self) -> bool:
        """Claim and start what is due; return False after a whole turn over the webhooks in vain."""
        whole_turn = False
        while True:
            if self._walk.cursor == 0:
                whole_turn = True
                self._walk.capped = False
                self._lost = self._lost or not self._slot.clear_mark()
                if fan_out(self._connection):
                    return True
            if jobs := self._claimer.claim(self._walk):
                self._start(jobs)
                return True
            if self._walk.cursor == 0 and whole_turn:
                return False

    def _start(self, jobs: list[claim.Job]) -> None:
        known = self._targets.load(job.webhook_id for job in jobs)
        messages = targets.load_messages(self._connection, jobs)
        batch: list[tuple[Hashable, Request]] = []
        timestamp = int(time.time())
        for job in jobs:
            target, message = known.get(job.webhook_id), messages.get(job.event_id)
            if target is None or message is None:
                self._finish(job, "", "", _not_sent(""), retry.DELETED)
                continue
            if target.problem:
                self._finish(job, target.url, "", _not_sent(target.problem))
                continue
            request = targets.request(job, target, message, timestamp)
            self._under_way[job.delivery_id] = (job, request)
            batch.append((job.delivery_id, request))
        self._sender.submit(batch)

    def _take_results(self) -> None:
        """Wait for results, for a flush that is due, or for the next look; record when enough came or it is time."""
        now = time.monotonic()
        if self._under_way:
            due = self._first_done + FLUSH_AFTER if self._done else self._next_look
            results = self._sender.collect(timeout=min(max(due - now, 0.001), LOOK_PACE))
            for key, outcome in results:
                job, request = self._under_way.pop(key)
                self._finish(job, request.url, targets.logged_headers(request), outcome)
            if results and self._walk.capped:
                self._next_look = min(self._next_look, now + ROOM_PACE)
        now = time.monotonic()
        if self._done and (
            len(self._done) >= FLUSH_ROWS or now >= self._first_done + FLUSH_AFTER or not self._under_way
        ):
            self._flush()

    def _finish(
        self,
        job: claim.Job,
        url: str,
        request_headers: str,
        outcome: Outcome,
        verdict: retry.Verdict | None = None,
    ) -> None:
        chance = random.random()  # noqa: S311
        verdict = verdict or retry.judge(outcome, job.attempts + 1, app_settings.RETRY_SCHEDULE(), chance)
        self._rooms.finish(job.webhook_id, job.size, ok=verdict.ok)
        if not self._done:
            self._first_done = time.monotonic()
        self._done.append(Result(job=job, url=url, request_headers=request_headers, outcome=outcome, verdict=verdict))

    def _flush(self) -> None:
        done, self._done = self._done, []
        record(self._connection, done)
        self._health.update(done)
        self._tally.add(done)
        for result in done:
            if result.verdict.status == Delivery.Status.FAILED:
                signals.delivery_failed.send_robust(
                    sender=Delivery,
                    delivery_id=result.job.delivery_id,
                    webhook_id=result.job.webhook_id,
                    reason=result.verdict.reason,
                )


def _not_sent(problem: str) -> Outcome:
    return Outcome(started_at=timezone.now(), duration=0.0, failure=Failure.CONFIGURATION, detail=problem)


def wake_for_the_rest() -> None:
    """After a slice, have a worker look again: now where something is due, else at the next retry within a minute."""
    connection = engine_connection()
    seconds = claim.seconds_to_next(connection)
    if seconds is None or seconds > HORIZON:
        return
    if seconds <= 0:
        wakeup.notify()
    elif slot.plan_wake_up(connection, seconds):
        wakeup.notify_later(seconds)


def run_for_ever(wake: threading.Event, stop: threading.Event) -> None:
    """Drain until ``stop`` is set: when ``wake`` is set, when the next delivery is due, and every second."""
    while not stop.is_set():
        try:
            close_old_connections()
            drain(seconds=SLICE, stop=stop.is_set)
        except DatabaseError as error:
            log.warning("openedx_webhooks: the outbox cannot be drained now: %s", type(error).__name__)
            engine_connection().close()
        wake.wait(IDLE_PACE)
        wake.clear()
