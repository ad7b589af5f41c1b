"""Statements of the engine that fail before, and after, they took effect: deadlocks, lost and killed connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Attempt, Delivery, DrainSlot
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in
from tests.faults.ledger import Database, again

EVENTS = 25
STATEMENTS = {
    "take the slot": "UPDATE openedx_webhooks_drainslot SET token",
    "clear the mark": "UPDATE openedx_webhooks_drainslot SET marked",
    "peek": "SELECT x.webhook_id, COUNT(*)",
    "look": "SELECT x.id, x.timeout",
    "candidates": "(SELECT id, webhook_id, size",
    "claim": "UPDATE openedx_webhooks_delivery SET status = 'leased'",
    "read the claim": "SELECT id, event_id, webhook_id",
    "webhooks": "SELECT `openedx_webhooks_webhook`",
    "events": "SELECT id, message_id, body",
    "sweep": "SELECT id, token FROM openedx_webhooks_delivery",
    "record": "UPDATE openedx_webhooks_delivery SET status = %s",
    "log": "INSERT INTO openedx_webhooks_attempt",
    "health": "UPDATE openedx_webhooks_webhookhealth",
}
"""How the engine's statements begin."""

Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


class Fault:
    """Fails the first statement that begins so, once."""

    def __init__(self, beginning: str, code: int, *, before: bool) -> None:
        self._beginning, self._code, self._before = beginning, code, before
        self.failed = 0

    def __call__(self, execute: Execute, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self.failed or not sql.strip().startswith(self._beginning):
            return execute(sql, params, many, context)
        self.failed += 1
        if self._code == 1213:
            # The server rolls the whole transaction back.
            context["connection"].connection.rollback()
        elif not self._before:
            execute(sql, params, many, context)
        raise OperationalError(self._code, "injected")


class Killed(Fault):
    """Has another session kill this one, before or after the statement."""

    def __init__(self, beginning: str, *, before: bool) -> None:
        super().__init__(beginning, 0, before=before)

    def __call__(self, execute: Execute, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if self.failed or not sql.strip().startswith(self._beginning):
            return execute(sql, params, many, context)
        self.failed += 1
        result = None if self._before else execute(sql, params, many, context)
        session = context["connection"].connection.thread_id()
        Database(connection.settings_dict).rows(f"KILL CONNECTION {session}")
        return execute(sql, params, many, context) if self._before else result


@contextmanager
def _injected(fault: Fault) -> Iterator[None]:
    with connection.execute_wrapper(fault):
        yield


FAULTS: dict[str, Callable[[str], Fault]] = {
    "a deadlock": lambda beginning: Fault(beginning, 1213, before=True),
    "a lock wait": lambda beginning: Fault(beginning, 1205, before=True),
    "lost before": lambda beginning: Fault(beginning, 2013, before=True),
    "lost after": lambda beginning: Fault(beginning, 2013, before=False),
    "killed before": lambda beginning: Killed(beginning, before=True),
    "killed after": lambda beginning: Killed(beginning, before=False),
}


@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.parametrize("statement", list(STATEMENTS))
def test_a_statement_fails_once(statement: str, fault: str, receiver: Receiver, paths: list[str]) -> None:
    engine.drain()
    for number in range(EVENTS):
        log_in(number)
    injected = FAULTS[fault](STATEMENTS[statement])
    with _injected(injected):
        _drain_all()
    assert injected.failed == 1, "the statement was never made"
    assert Delivery.objects.filter(status="delivered", attempts=1).count() == EVENTS * len(paths)
    assert again(receiver.requests) == 0
    assert len(receiver.requests) == EVENTS * len(paths)
    numbers = Attempt.objects.values_list("delivery_id", "number")
    assert len(set(numbers)) == EVENTS * len(paths)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_look_for_the_next_wake_up_fails_once(fault: str, receiver: Receiver, paths: list[str]) -> None:
    log_in()
    injected = FAULTS[fault]("SELECT MIN(")
    with _injected(injected):
        engine.wake_for_the_rest()
    assert injected.failed == 1, "the statement was never made"
    engine.drain()
    assert Delivery.objects.filter(status="delivered").count() == len(paths)


def _drain_all() -> None:
    """Drain as the next wake-ups would, until nothing waits: a slot that was lost is free once its lease has ended."""
    for _ in range(10):
        engine.drain()
        engine.wake_for_the_rest()
        # As a task's end does with a connection that broke.
        connection.close()
        if not Delivery.objects.filter(status="pending").exists():
            return
        DrainSlot.objects.update(token=None)
    raise AssertionError("Ten drains did not deliver everything.")
