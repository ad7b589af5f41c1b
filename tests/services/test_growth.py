"""A million finished deliveries and ten thousand webhooks: no statement reads more because of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from openedx_webhooks import api, subscriptions
from openedx_webhooks.deliveries import due, engine, expiry, purge
from openedx_webhooks.models import Delivery, DrainSlot, Event, Webhook, WebhookHealth
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in
from tests.services.processes import say

FINISHED, PER_EVENT, WAITING, WEBHOOKS = 1_000_000, 5, 100_000, 10_000
BOUND = 5 * WEBHOOKS + 10_000
"""Rows that one statement may read: a few for each webhook, none for what is finished or parked."""
SEVERAL_WEBHOOKS = 40

BIG = re.compile(r"openedx_webhooks_(delivery|event|attempt)\b")
BIG_NAMES = {"d", *(f"openedx_webhooks_{table}" for table in ("delivery", "event", "attempt"))}
"""As EXPLAIN names them: by their alias, or by their name."""
READ = "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%'"


def fill() -> None:
    """Build the tables as half a year of a busy site leaves them, one webhook of which is paused."""
    Webhook.objects.bulk_create(
        (Webhook(event="COURSE_CREATED", webhook_url="http://127.0.0.1:9/", secret="x") for _ in range(WEBHOOKS)),
        batch_size=1000,
    )
    first = Webhook.objects.order_by("pk").values_list("pk", flat=True)[0]
    WebhookHealth.objects.create(webhook_id=first, paused_at=timezone.now(), failing_since=timezone.now())
    events = FINISHED // PER_EVENT
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION unique_checks = 0")
        cursor.execute(
            "INSERT INTO openedx_webhooks_event (message_id, name, event_type, created, course_keys, body, to_fan_out)"
            " SELECT CONCAT('m', seq), 'COURSE_CREATED', 'org.openedx.x', UTC_TIMESTAMP(6) - INTERVAL"
            f" {events} - seq MINUTE, '', '{{}}', 0 FROM seq_1_to_{events}"
        )
        cursor.execute("SELECT MIN(id) FROM openedx_webhooks_event")
        (event,) = cursor.fetchone()
        others = f"{first} + 1 + seq MOD {WEBHOOKS - 1}"
        _fill_deliveries(cursor, FINISHED, event, status="'delivered'", webhook=others, finished="at")
        _fill_deliveries(cursor, WAITING, event, status="'pending'", webhook=str(first), finished="NULL")
        cursor.execute(
            "INSERT INTO openedx_webhooks_attempt (delivery_id, number, started_at, duration, url, request_headers,"
            " response_headers, response_body, error) SELECT id, 1, created, 1, '', '', '', '', ''"
            f" FROM openedx_webhooks_delivery WHERE id MOD {PER_EVENT} = 0"
        )
        cursor.execute("ANALYZE TABLE openedx_webhooks_delivery, openedx_webhooks_event, openedx_webhooks_attempt")
        cursor.fetchall()


def _fill_deliveries(cursor: Any, count: int, event: int, *, status: str, webhook: str, finished: str) -> None:
    cursor.execute(
        "INSERT INTO openedx_webhooks_delivery (event_id, webhook_id, encoding, size, status, due_at, attempts,"
        f" created, finished_at, last_error, reason) SELECT {event} + seq DIV {PER_EVENT}, {webhook}, 'default', 2,"
        f" {status}, at, 1, at, {finished}, '', '' FROM (SELECT seq, UTC_TIMESTAMP(6)"
        f" - INTERVAL ({count} - seq) DIV {PER_EVENT} MINUTE AS at FROM seq_1_to_{count}) rows_to_make"
    )


class Reads:
    """Counts the rows that each statement reads, and asks MariaDB how it finds them."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.scans: list[str] = []
        self._busy = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self._busy or not BIG.search(sql):
            return execute(sql, params, many, context)
        raw = context["connection"].connection
        if not sql.startswith("INSERT"):
            self._explain(raw, sql, params)
        before = self._read(raw)
        result = execute(sql, params, many, context)
        self.rows[sql] = max(self.rows.get(sql, 0), self._read(raw) - before)
        return result

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """Count what is read in between: nothing can be asked before a text of several statements is answered."""
        before = self._read(connection.connection)
        yield
        self.rows[what] = self._read(connection.connection) - before

    @staticmethod
    def _read(raw: Any) -> int:
        with raw.cursor() as cursor:
            cursor.execute(READ)
            return sum(int(value) for _, value in cursor.fetchall())

    def _explain(self, raw: Any, sql: str, params: Any) -> None:
        with raw.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", params)
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                plan = dict(zip(columns, row, strict=True))
                if plan["table"] in BIG_NAMES and plan["key"] is None:
                    self.scans.append(f"{plan} of {sql}")


@contextmanager
def counted() -> Iterator[Reads]:
    reads = Reads()
    with connection.execute_wrapper(reads):
        yield reads


def check(what: str, reads: Reads) -> None:
    worst = sorted(((rows, sql) for sql, rows in reads.rows.items()), reverse=True)
    say(f"{what}: {len(worst)} statements, at most {worst[0][0] if worst else 0} rows read")
    assert not reads.scans, reads.scans[0]
    assert worst, "nothing was asked"
    assert worst[0][0] <= BOUND, worst[0]


def test_no_statement_reads_what_is_finished_or_parked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    fill()
    assert Delivery.objects.count() == FINISHED + WAITING
    webhooks = [
        Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url()).pk
        for _ in range(SEVERAL_WEBHOOKS)
    ]
    subscriptions.refresh()
    emission = Reads()
    with emission.around("the INSERTs, which are one text"):
        log_in()
    check("emission", emission)
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    monkeypatch.setattr(purge, "_next_look", 10.0**9)
    with counted() as draining:
        assert engine.drain().delivered == SEVERAL_WEBHOOKS  # type: ignore[union-attr]
    check("a drain with sweep and expiry", draining)
    with counted() as waking:
        due.seconds_to_next(connection, engine.HORIZON)
    check("the next due time", waking)
    _fan_out(receiver)
    with counted() as shown:
        api.waiting(webhooks)
    check("what waits", shown)
    _rescue()
    _purge(monkeypatch)


def _fan_out(receiver: Receiver) -> None:
    Webhook.objects.bulk_create(
        Webhook(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url("/many")) for _ in range(60)
    )
    subscriptions.invalidate()
    log_in()
    assert Event.objects.filter(to_fan_out=True).count() == 1
    with counted() as fanning_out:
        assert engine.drain().delivered == SEVERAL_WEBHOOKS + 60  # type: ignore[union-attr]
    check("a drain that fans out", fanning_out)


def _rescue() -> None:
    """The look at the clock is part of every drain; what follows a step may read what waits, and does so once."""
    DrainSlot.objects.update(until=timezone.now() + timedelta(hours=1))
    with counted() as rescued:
        engine.drain()
    worst = max(rescued.rows.values())
    say(f"a drain after a step of the clock: at most {worst} rows read")
    assert worst < WAITING + BOUND


def _purge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purge, "_next_look", 0.0)
    monkeypatch.setattr(purge, "_cursors", {})
    with counted() as purging:
        assert purge.purge_some(connection) > 0
    check("a purge", purging)
    oldest = Delivery.objects.filter(status="delivered").order_by("pk").values_list("created", flat=True)[0]
    assert oldest < timezone.now() - timedelta(days=30)
