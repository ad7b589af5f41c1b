"""Deliveries that pass through the outbox without a network: emitted, claimed and recorded by the real code."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.benchmarks import events


class Passing:
    """Steps of the path of an event, each of which can be timed by itself. ``passed`` counts what was recorded."""

    def __init__(self) -> None:
        from django.db import connection

        self.passed = 0
        self._connection = connection
        self._send = events.sender()
        self._claimed: list[Any] = []
        self._renew()

    def _renew(self) -> None:
        from openedx_webhooks.deliveries.claim import Claimer
        from openedx_webhooks.deliveries.rooms import Rooms

        self._rooms = Rooms()
        self._claimer = Claimer(self._connection, self._rooms)

    def until(self, step: str) -> None:
        """Make ready what a step needs, with the same amount of work before each."""
        if step != "emit":
            self.drain()
            self._renew()
            self.emit(4)
        if step == "record":
            self.claim()

    def emit(self, count: int = 1) -> None:
        """Send events in a transaction each."""
        from django.db import transaction

        for _ in range(count):
            with transaction.atomic():
                self._send()

    def claim(self, *, recent: bool = True) -> None:
        """Claim in one turn: as a drain looks first, at what came due just now, or a whole one."""
        from openedx_webhooks.deliveries.due import Walk

        walk = Walk()
        walk.begin(recent=recent)
        while True:
            self._claimed += self._claimer.claim(walk)
            if walk.cursor == 0:
                return

    def whole_look(self) -> None:
        """Claim as a drain looks last: whatever is due, also since long ago."""
        self.claim(recent=False)

    def record(self) -> None:
        """Record all that is claimed as delivered."""
        from openedx_webhooks.deliveries.record import record

        results = [_delivered(job) for job in self._claimed]
        self._claimed = []
        list(record(self._connection, results, set()))
        for result in results:
            self._rooms.finish(result.job.webhook_id, result.job.size, ok=True)
        self.passed += len(results)

    def drain(self) -> None:
        """Claim and record until nothing is due."""
        self.whole_look()
        while self._claimed:
            self.record()
            self.whole_look()


def _delivered(job: Any) -> Any:
    from openedx_webhooks.data import Outcome, Reply
    from openedx_webhooks.deliveries.record import Result
    from openedx_webhooks.deliveries.retry import Verdict

    reply = Reply(status=200, headers={"content-type": "application/json"}, body=b'{"ok":true}')
    return Result(
        job=job,
        url="http://127.0.0.1:9/",
        request_headers=_HEADERS,
        outcome=Outcome(started_at=datetime.now(UTC), duration=0.02, reply=reply),
        verdict=Verdict(status="delivered"),
        came=time.monotonic(),
    )


_HEADERS = (
    "Content-Type: application/json\nUser-Agent: openedx-webhooks/23.0.0\n"
    "webhook-id: 00000000-0000-1000-8000-000000000000\nwebhook-timestamp: 1795462058\n"
    "webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)
