"""One drain's stream: claim what is due as room becomes free, send it, record it as it comes back.

Not a batch: a request that hangs costs a socket, not the requests beside it. The rules kept here and the figures behind
them: docs/decisions/0002.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import Error
from django.utils import timezone

from openedx_webhooks import app_settings, egress, signals
from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.deliveries import claim, due, expiry, rescue, retry, targets
from openedx_webhooks.deliveries.fanout import fan_out
from openedx_webhooks.deliveries.health import HealthKeeper
from openedx_webhooks.deliveries.record import Result, record
from openedx_webhooks.deliveries.rooms import SOCKETS, Rooms
from openedx_webhooks.deliveries.slot import RENEW, Slot
from openedx_webhooks.deliveries.sql import engine_connection, passing
from openedx_webhooks.models import Delivery
from openedx_webhooks.models.webhook import MAX_TIMEOUT

if TYPE_CHECKING:
    from openedx_webhooks.egress.concurrent import Sender

log = logging.getLogger(__name__)

FLUSH_ROWS, FLUSH_AFTER = 300, 0.05
"""Results, or seconds since the first of them, that make a flush."""
BUSY_PACE = 0.5
"""Seconds after which what could not be written, because of a lock or an outage, is tried again."""
LOOK_PACE = 0.05
"""Seconds between two looks while requests are under way, unless half of them are back sooner: a claim of many costs
little more than a claim of one."""
LOOK_SHARE = 10
"""Times as long as a look took it waits at least: with many webhooks it takes longer."""
WHOLE_PACE = 1.0
"""Seconds, or ``LOOK_SHARE`` times as long as it took, between two looks at what came due long ago."""
FAN_OUT_PACE = 0.2
"""Seconds between two looks, beside requests under way, for events that are to be fanned out."""
ROOM_PACE = 0.01
"""Seconds between two looks while deliveries are due that wait for room, and room becomes free."""
SWEEP_PACE = 5.0
"""Seconds between two looks for the leases of dead workers."""

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
        count = Counter([result.verdict.status for result in results])
        self.delivered += count["delivered"]
        self.failed += count["failed"]
        self.postponed += len(results) - count["delivered"] - count["failed"]


class Stream:
    """One hold of the slot, from the first claim to the last record."""

    def __init__(self, held: Slot, sender: Sender, tally: Tally, paused: dict[int, str]) -> None:
        self._connection = engine_connection()
        self._slot = held
        self._sender = sender
        self._tally = tally
        self._rooms = Rooms(egress.sockets_to_be_had(SOCKETS))
        self._claimer = claim.Claimer(self._connection, self._rooms)
        self._targets = targets.Targets(self._connection)
        self._health = HealthKeeper(self._connection, paused)
        self._walk = due.Walk()
        self._under_way: dict[Hashable, tuple[claim.Job, Request, str]] = {}
        """By ``Job.key``, because two claims of one delivery are two: what was sent, and its headers for the log."""
        self._done: list[Result] = []
        self._tried: set[tuple[int, str]] = set()
        """What was written when a commit was not answered."""
        self._tail: set[Hashable] | None = None
        """After the slice: what was under way at its end and still is."""
        self._lost = False
        """Another drain has taken the slot over."""
        self._next_look = self._next_flush = self._next_renewal = self._next_sweep = self._away_until = 0.0
        self._next_fan_out = 0.0
        self._next_whole_look = time.monotonic() + WHOLE_PACE
        self._busy = 0
        """How many of what is done somebody has locked: the first ones."""
        self._refill_at = -1
        """After a claim: how many requests may still be under way when the next look is due at once."""

    def run(self, deadline: float, stop: Stop) -> None:
        """Stream until an empty look over all webhooks was made with nothing in flight and nothing unrecorded.

        After ``deadline``, on the monotonic clock, only webhooks that answer quickly are still served, for as long as
        something from before is under way, and with what ends within the longest timeout. Raises django.db.Error where
        the database is away and nothing is in hand.
        """
        while True:
            now = time.monotonic()
            idle = not self._under_way and not self._done
            try:
                self._keep_house(now)
                claiming = self._may_claim(now, deadline) and not stop()
                if claiming and (idle or self._look_is_due(now)):
                    claiming = self._look(now, last=idle)
                    if not claiming and idle:
                        return
                elif idle and not claiming:
                    return
                self._take_results(claiming=claiming)
            except Error as error:
                self._bear(error)

    def _bear(self, error: Error) -> None:
        """While the database is away, keep what is in hand until it can be written, or its leases have ended."""
        self._done = [result for result in self._done if not self._too_late(result)]
        if not passing(error) or not (self._under_way or self._done):
            raise error
        if self._away_until == 0.0:
            log.warning("openedx_webhooks: %s results wait for the database", len(self._done) + len(self._under_way))
        self._away_until = self._next_flush = time.monotonic() + BUSY_PACE
        time.sleep(BUSY_PACE / 10)

    def _keep_house(self, now: float) -> None:
        if now < self._away_until or self._lost:
            return
        if now >= self._next_renewal:
            self._lost = not self._slot.renew()
            self._next_renewal = now + RENEW
            if self._slot.behind:
                rescue.pull_back(self._connection, self._slot.behind)
                self._slot.behind = 0.0
        if now >= self._next_sweep and not self._lost:
            own = {*self._under_way, *(result.job.key for result in self._done)}
            claim.sweep(self._connection, own)
            expiry.expire(self._connection)
            self._next_sweep = now + SWEEP_PACE

    def _may_claim(self, now: float, deadline: float) -> bool:
        if self._lost or now < self._away_until:
            return False
        if now < deadline:
            return True
        if self._tail is None:
            self._tail = set(self._under_way)
            self._rooms.quick_only = True
        self._tail &= self._under_way.keys()
        self._walk.longest = deadline + MAX_TIMEOUT - now
        return bool(self._tail)

    def _look_is_due(self, now: float) -> bool:
        if self._rooms.free < self._rooms.sockets // 8 or len(self._done) - self._busy >= FLUSH_ROWS:
            return False
        return now >= self._next_look or self._rooms.in_flight <= self._refill_at

    def _look(self, now: float, *, last: bool) -> bool:
        """Claim and start what is due; return False after a whole turn over the webhooks in vain.

        The turn passes over what came due long ago where the last whole look, not long since, left nothing of it. The
        ``last`` look before the end is a whole one in any case.
        """
        self._next_look, self._refill_at = now, -1
        begun = False
        while not self._lost:
            if self._walk.cursor == 0:
                begun = True
                self._walk.begin(recent=now < self._next_whole_look)
                # Only before a look that may be the last: the wake-ups that came before it are seen to by it.
                self._lost = last and not self._slot.clear_mark()
                if (last or now >= self._next_fan_out) and self._fan_out(now):
                    return True
            if jobs := self._claimer.claim(self._walk):
                self._start(jobs)
                self._next_look = time.monotonic() + LOOK_PACE
                self._refill_at = self._rooms.half()
                return True
            if self._walk.cursor == 0 and begun:
                if not (self._walk.recent and last):
                    break
                self._next_whole_look = 0.0
        ended = time.monotonic()
        self._next_look = ended + max(LOOK_PACE, LOOK_SHARE * (ended - now))
        if not self._walk.recent and not self._walk.capped:
            self._next_whole_look = ended + max(WHOLE_PACE, LOOK_SHARE * (ended - now))
        return False

    def _fan_out(self, now: float) -> bool:
        self._next_fan_out = now + FAN_OUT_PACE
        return fan_out(self._connection) > 0

    def _start(self, jobs: list[claim.Job]) -> None:
        known = self._targets.load(job.webhook_id for job in jobs)
        messages = targets.load_messages(self._connection, jobs)
        batch: list[tuple[Hashable, Request]] = []
        timestamp = int(time.time())
        for job in jobs:
            target, message = known.get(job.webhook_id), messages.get(job.event_id)
            if target is None:
                self._finish(job, "", "", _not_sent(""), retry.DELETED)
            elif message is None or job.encoding not in message.bodies:
                self._finish(job, target.url, "", _not_sent(""), retry.UNREADABLE)
            elif target.problem:
                unsent = _not_sent(target.problem)
                self._finish(job, target.url, "", unsent, retry.judge(unsent, job.attempts + 1, (), 0.0))
            else:
                request, shown = targets.request(job, target, message, timestamp)
                self._under_way[job.key] = (job, request, shown)
                batch.append((job.key, request))
        self._sender.submit(batch)

    def _take_results(self, *, claiming: bool) -> None:
        """Wait for results, for a flush that is due, or for the next look; record when enough came or it is time."""
        now = time.monotonic()
        if self._under_way:
            self._collect(now, claiming=claiming)
            now = time.monotonic()
        if self._flush_is_due(now, claiming=claiming):
            self._flush()
        elif self._done and not self._under_way:
            time.sleep(max(min(self._next_flush, self._next_look) - now, 0.001))

    def _flush_is_due(self, now: float, *, claiming: bool) -> bool:
        fresh = len(self._done) - self._busy
        if not self._done or now < self._away_until:
            return False
        if fresh >= FLUSH_ROWS or (fresh and not self._under_way):
            return True
        # Refill first, where both are due: the sockets are busy while results are written down.
        return now >= self._next_flush and not (claiming and self._under_way and self._look_is_due(now))

    def _collect(self, now: float, *, claiming: bool) -> None:
        enough = FLUSH_ROWS - (len(self._done) - self._busy)
        due = max(now, self._away_until)
        if enough > 0:
            due = min(self._next_flush, now + LOOK_PACE) if self._done else now + LOOK_PACE
        if claiming and self._rooms.free >= self._rooms.sockets // 8:
            due = min(due, self._next_look)
            if self._refill_at >= 0:
                enough = min(enough, self._rooms.in_flight - self._refill_at)
        results = self._sender.collect(timeout=max(due - now, 0.001), at_least=max(enough, 1))
        schedule = app_settings.RETRY_SCHEDULE() if results else ()
        for key, outcome in results:
            job, request, shown = self._under_way.pop(key)
            verdict = retry.judge(outcome, job.attempts + 1, schedule, random.random())  # noqa: S311
            self._finish(job, request.url, shown, outcome, verdict)
        if results and self._walk.capped:
            self._next_look = min(self._next_look, now + ROOM_PACE)

    def _finish(
        self,
        job: claim.Job,
        url: str,
        request_headers: str,
        outcome: Outcome,
        verdict: retry.Verdict,
    ) -> None:
        ok = verdict.ok if verdict.about_receiver else None
        self._rooms.finish(job.webhook_id, job.size, ok=ok, seconds=outcome.duration)
        came = time.monotonic()
        if not self._done:
            self._next_flush = came + FLUSH_AFTER
        self._done.append(Result(job, url, request_headers, outcome, verdict, came))

    def _flush(self) -> None:
        """Record what is done; what somebody has locked stays for the next flush, until its lease ends."""
        todo, busy = self._done, list[Result]()
        recorded = 0
        try:
            for piece in record(self._connection, todo, self._tried):
                recorded += piece.count
                busy += piece.busy
                self._take_in(piece.written)
        finally:
            busy = [result for result in busy if not self._too_late(result)]
            self._done, self._busy = busy + todo[recorded:], len(busy)
        self._away_until = 0.0
        self._next_flush = time.monotonic() + BUSY_PACE

    def _take_in(self, written: list[Result]) -> None:
        self._tally.add(written)
        self._tried.difference_update([result.job.key for result in written])
        for result in written:
            if result.verdict.status == "failed":
                signals.delivery_failed.send_robust(
                    sender=Delivery,
                    delivery_id=result.job.delivery_id,
                    webhook_id=result.job.webhook_id,
                    reason=result.verdict.reason,
                )
        self._health.update(written)

    @staticmethod
    def _too_late(result: Result) -> bool:
        """Return whether the lease has ended, so that another worker may have the delivery."""
        late = time.monotonic() - result.came > claim.LEASE_MARGIN
        if late:
            log.warning("openedx_webhooks: delivery %s could not be recorded in time", result.job.delivery_id)
        return late


def _not_sent(problem: str) -> Outcome:
    return Outcome(started_at=timezone.now(), duration=0.0, failure=Failure.CONFIGURATION, detail=problem)
