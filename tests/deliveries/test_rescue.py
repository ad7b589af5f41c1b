"""The database's clock steps back: what was due by the old time does not wait for it to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from openedx_webhooks.deliveries import engine, slot
from openedx_webhooks.models import Delivery, DrainSlot, Event, Webhook, WebhookHealth
from openedx_webhooks.testing import Answer, Receiver
from tests.deliveries.events import log_in
from tests.services.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def webhook(receiver: Receiver) -> Webhook:
    return Webhook.objects.create(event="*", webhook_url=receiver.url())


def the_clock_steps_back(by: timedelta = HOUR) -> None:
    """Everything that was written so far was written by a clock that is ahead of the one that is read now."""
    Delivery.objects.update(created=F("created") + by, due_at=F("due_at") + by)
    Event.objects.update(created=F("created") + by)
    DrainSlot.objects.filter(until__isnull=False).update(until=F("until") + by)
    WebhookHealth.objects.filter(hold_until__isnull=False).update(hold_until=F("hold_until") + by)


@contextmanager
def unseen_clock() -> Iterator[None]:
    """For MariaDB: this session lives an hour ahead."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION timestamp = UNIX_TIMESTAMP() + 3600")
        yield
        cursor.execute("SET SESSION timestamp = DEFAULT")


def test_an_event_of_before_the_step_goes_out_at_once(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    engine.drain()
    log_in(1)
    the_clock_steps_back()
    engine.drain()
    assert len(receiver.requests) == 1
    assert caplog.text.count("clock stepped back by 3600 seconds") == 1
    log_in(2)
    engine.drain()
    assert len(receiver.requests) == 2
    assert caplog.text.count("stepped back") == 1


def test_also_when_a_newer_event_was_emitted_since(receiver: Receiver) -> None:
    engine.drain()
    log_in(1)
    the_clock_steps_back()
    log_in(2)
    # Due as much after the step as it was emitted after the last drain: in a moment.
    wait_until(lambda: engine.drain() and len(receiver.requests) == 2)
    assert sorted(request.json()["user"]["id"] for request in receiver.requests) == [1, 2]


def test_also_when_nobody_drained_before_the_step(receiver: Receiver) -> None:
    log_in()
    the_clock_steps_back()
    engine.drain()
    assert len(receiver.requests) == 1


def test_a_retry_keeps_its_delay(receiver: Receiver) -> None:
    receiver.answer(Answer(status=503, headers={"Retry-After": "600"}))
    log_in()
    engine.drain()
    the_clock_steps_back()
    engine.drain()
    assert len(receiver.requests) == 1
    seconds = (Delivery.objects.get().due_at - timezone.now()).total_seconds()
    held = (WebhookHealth.objects.get().hold_until - timezone.now()).total_seconds()  # type: ignore[operator]
    assert 500 < seconds < 700
    assert 500 < held < 700


@pytest.mark.parametrize("step", [timedelta(seconds=2), -HOUR])
def test_a_small_step_and_one_forward_change_nothing(step: timedelta, receiver: Receiver) -> None:
    receiver.answer(Answer(status=503, headers={"Retry-After": "7200"}))
    log_in()
    engine.drain()
    the_clock_steps_back(step)
    due = Delivery.objects.get().due_at
    engine.drain()
    assert Delivery.objects.get().due_at == due


def test_a_step_while_a_drain_is_at_work() -> None:
    held = slot.take(connection)
    assert held is not None
    assert held.renew()
    assert held.behind == 0.0
    the_clock_steps_back()
    assert held.renew()
    assert 3590 < held.behind < 3610


def test_the_servers_own_clock(receiver: Receiver) -> None:
    if connection.vendor != "mysql":
        pytest.skip("SQLite reads the machine's clock.")
    with unseen_clock():
        engine.drain()
        log_in(1)
        receiver.answer(500)
        engine.drain()
        log_in(2)
    receiver.answer(200)
    log_in(3)
    WebhookHealth.objects.update(hold_until=None)
    wait_until(lambda: engine.drain() and len(receiver.requests) == 4)
    assert {request.json()["user"]["id"] for request in receiver.requests} == {1, 2, 3}


def test_a_step_back_is_made_up_for_once(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Also where nothing is emitted after it, that would be written by the new clock."""
    receiver.answer(500)
    log_in(1)
    engine.drain()
    the_clock_steps_back()
    Delivery.objects.update(due_at=F("due_at") + 3 * HOUR)
    due = Delivery.objects.get().due_at
    for _ in range(3):
        engine.drain()
    assert caplog.text.count("stepped back") == 1
    assert abs(Delivery.objects.get().due_at - (due - HOUR)) < timedelta(minutes=1)
    assert Event.objects.get().created <= timezone.now()
