"""One receiver's trouble is nobody else's: counted in requests and deliveries, not in seconds."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from openedx_webhooks.deliveries import engine, rooms
from openedx_webhooks.models import Delivery, Event, Webhook, WebhookHealth
from openedx_webhooks.testing import HANG, Answer, Received, Receiver
from tests.deliveries.events import log_in
from tests.services.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def drain_in_thread() -> Iterator[None]:
    """Drain beside the test, and end when it has seen what it wanted."""
    stop = threading.Event()

    def run() -> None:
        try:
            engine.drain(seconds=600, stop=stop.is_set)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=90)
        assert not thread.is_alive()


def webhooks_to(receiver: Receiver, count: int, **fields: Any) -> list[Webhook]:
    return [
        Webhook.objects.create(event="*", webhook_url=receiver.url(f"/{number}"), **fields) for number in range(count)
    ]


def delivered(webhooks: list[Webhook]) -> int:
    return Delivery.objects.filter(webhook__in=webhooks, status="delivered").count()


def test_fifty_receivers_that_hang_keep_fifty_others_from_nothing(receiver: Receiver) -> None:
    """All that goes to the healthy half is delivered and recorded while the other half still hangs."""
    with Receiver() as hanging:
        hanging.answer(HANG)
        webhooks_to(hanging, 50, timeout=60)
        healthy = webhooks_to(receiver, 50)
        for number in range(10):
            log_in(number)
        with drain_in_thread():
            wait_until(lambda: delivered(healthy) == 500, 60, "500 healthy deliveries")
            assert Delivery.objects.filter(status="delivered").count() == 500
            assert hanging.requests, "nothing hung"
            hanging.stop()


def test_a_backlog_of_a_hundred_thousand_is_not_in_front_of_anybody(receiver: Receiver) -> None:
    """A new event of another webhook waits for what is in flight, not for what waits."""
    (busy,) = webhooks_to(receiver, 1)
    log_in(1)
    event = Event.objects.get()
    Delivery.objects.all().delete()
    long_ago = timezone.now() - timedelta(hours=1)
    Delivery.objects.bulk_create(
        (
            Delivery(event=event, webhook=busy, encoding="default", size=1, due_at=long_ago, created=long_ago)
            for _ in range(100_000)
        ),
        batch_size=5000,
    )
    with Receiver() as quiet:
        before: list[int] = []

        def count(request: Received) -> int:
            before.append(len(receiver.requests))
            return 200

        quiet.answer(count)
        with drain_in_thread():
            receiver.wait_for(200, timeout=60)
            webhooks_to(quiet, 1)
            at_emission = len(receiver.requests)
            log_in(2)
            quiet.wait_for(1, timeout=60)
    # Claims come while answers do: a few turns of what one webhook may have under way.
    assert before[0] - at_emission < 20 * rooms.MOST
    assert Delivery.objects.filter(webhook=busy, status="pending").count() > 90_000


def test_names_that_never_resolve_delay_nobody(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    resolve: Callable[..., Any] = socket.getaddrinfo
    asked: list[str] = []

    def never(host: Any, *arguments: Any, **named: Any) -> Any:
        if str(host).endswith(".example.com"):
            asked.append(str(host))
            answered.wait(60)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return resolve(host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", never)
    for number in range(50):
        Webhook.objects.create(event="*", webhook_url=f"http://host{number}.example.com/", timeout=60)
    healthy = webhooks_to(receiver, 20)
    for number in range(10):
        log_in(number)
    try:
        with drain_in_thread():
            wait_until(lambda: delivered(healthy) == 200, 60, "200 deliveries by address")
            assert asked, "no name was asked for"
            assert not answered.is_set()
            answered.set()
    finally:
        answered.set()


def test_a_receiver_that_recovers_is_not_flooded(receiver: Receiver) -> None:
    """Its backlog comes one by one first, then more and more at a time."""
    (webhook,) = webhooks_to(receiver, 1)
    WebhookHealth.objects.create(webhook=webhook, failures=20, failing_since=timezone.now())
    for number in range(150):
        log_in(number)
    lock = threading.Lock()
    came = answered = 0
    seen: list[tuple[int, int]] = []

    def slow(request: Received) -> Answer:
        nonlocal came, answered
        with lock:
            came += 1
            seen.append((came - answered, answered))
        threading.Event().wait(0.02)
        with lock:
            answered += 1
        return Answer()

    receiver.answer(slow)
    wait_until(lambda: engine.drain() and delivered([webhook]) == 150, 60, "150 deliveries")
    for under_way, successes in seen:
        assert under_way <= 1 + max(successes - rooms.PROBATION, 0), seen
    assert max(under_way for under_way, _ in seen) > 4, "it never took up speed"
    first = [request.json()["user"]["id"] for request in receiver.requests][: rooms.PROBATION]
    assert first == list(range(rooms.PROBATION)), "in the order of emission"
