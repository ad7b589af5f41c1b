"""What follows a slice: the slot is kept for the wake-up at the end of the queue."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from openedx_webhooks import tasks, wakeup
from openedx_webhooks.deliveries import engine, slot
from openedx_webhooks.models import Delivery, DrainSlot, Webhook
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def published(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The turns of the wake-ups sent, in order."""
    turns: list[str] = []
    settings.OPENEDX_WEBHOOKS_DISPATCH = "celery"
    monkeypatch.setattr(wakeup, "notify", lambda: turns.append(""))
    monkeypatch.setattr(wakeup, "publish", turns.append)
    return turns


@pytest.fixture(autouse=True)
def _waiting(receiver: Receiver, published: list[str]) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    log_in()
    published.clear()


def slice_over() -> None:
    """Do as a slice that had no time for what waits."""
    assert engine.drain(seconds=-1.0) is not None
    assert Delivery.objects.get().status == "pending"
    engine.wake_for_the_rest()


def test_wake_ups_before_the_next_slice_return_at_once(published: list[str], receiver: Receiver) -> None:
    slice_over()
    (turn,) = published
    tasks.deliver()
    assert Delivery.objects.get().status == "pending"
    tasks.deliver(turn)
    assert Delivery.objects.get().status == "delivered"
    log_in()
    tasks.deliver()
    assert len(receiver.requests) == 2, "the slot was free again"


def test_a_turn_that_is_lost_costs_no_more_than_its_lease(published: list[str]) -> None:
    slice_over()
    DrainSlot.objects.update(until=timezone.now() - timedelta(seconds=1))
    tasks.deliver()
    assert Delivery.objects.get().status == "delivered"


def test_a_turn_that_comes_too_late_is_a_wake_up_like_any_other(published: list[str]) -> None:
    slice_over()
    (turn,) = published
    DrainSlot.objects.update(token="somebody", until=timezone.now() + timedelta(seconds=10))
    assert engine.drain(turn=turn) is None
    DrainSlot.objects.update(token=None)
    assert engine.drain(turn=turn) is not None
    assert Delivery.objects.get().status == "delivered"


def test_a_broker_that_refuses_the_turn_frees_the_slot(published: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(turn: str) -> None:
        raise ConnectionError

    monkeypatch.setattr(wakeup, "publish", refuse)
    slice_over()
    assert published == [""]
    assert slot.take(connection) is not None


def test_after_a_slice_in_vain_nobody_is_woken_at_once(published: list[str]) -> None:
    """Somebody has what is due locked: each wake-up would end like the one before, and send the next."""
    tally = engine.drain(seconds=-1.0)
    assert tally is not None
    engine.wake_for_the_rest(in_vain=True)
    assert published == []
    assert DrainSlot.objects.get().wake_at is not None
    assert slot.take(connection) is not None


def test_the_soft_time_limit_means_stop_claiming(receiver: Receiver, published: list[str]) -> None:
    """What is under way is recorded; what came meanwhile is for whoever is woken."""

    def answer(_request: object) -> int:
        os.kill(os.getpid(), signal.SIGUSR1)
        log_in()
        return 200

    receiver.answer(answer)
    before = signal.getsignal(signal.SIGUSR1)
    tasks.deliver()
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["delivered", "pending"]
    assert len(published) >= 1
    assert signal.getsignal(signal.SIGUSR1) == before


def test_where_another_drain_goes_on_nobody_is_woken(published: list[str]) -> None:
    engine.drain(seconds=-1.0)
    assert slot.take(connection) is not None
    engine.wake_for_the_rest()
    assert published == []
    assert DrainSlot.objects.get().marked
