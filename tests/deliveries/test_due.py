"""Which webhooks have something due: by the peek, by the walk, and what a recent look passes over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from openedx_webhooks.deliveries import due, engine
from openedx_webhooks.deliveries.due import RECENT, Looker, Walk
from openedx_webhooks.models import Delivery, Webhook, WebhookHealth
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)

URL = "http://127.0.0.1:9/"


def webhooks(count: int, url: str = URL) -> list[int]:
    return [Webhook.objects.create(event="*", webhook_url=url).pk for _ in range(count)]


def long_ago(**of: object) -> None:
    Delivery.objects.filter(**of).update(due_at=timezone.now() - timedelta(seconds=2 * RECENT))


def found(*, recent: bool = False) -> list[int]:
    """Return what one turn finds."""
    looker, walk, ids = Looker(connection), Walk(), []
    walk.begin(recent=recent)
    while True:
        ids += [webhook.webhook_id for webhook in looker.next_slice(walk)]
        if walk.cursor == 0:
            return ids


@pytest.mark.parametrize("peek", [due.PEEK, 1], ids=["peek", "walk"])
class TestATurn:
    """Both ways find the same."""

    @pytest.fixture(autouse=True)
    def _bounds(self, peek: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(due, "PEEK", peek)
        monkeypatch.setattr(due, "SLICE", 3)

    def test_every_webhook_with_something_due_is_found_once(self) -> None:
        ids = webhooks(7)
        log_in()
        Delivery.objects.filter(webhook__in=ids[:2]).update(due_at=timezone.now() + timedelta(hours=1))
        Delivery.objects.filter(webhook=ids[6]).update(status="delivered")
        assert found() == ids[2:6]

    def test_what_is_parked_is_not_due(self) -> None:
        paused, off, live = webhooks(3)
        log_in()
        WebhookHealth.objects.create(webhook_id=paused, paused_at=timezone.now())
        Webhook.objects.filter(pk=off).update(enabled=False)
        assert found() == [live]

    def test_a_recent_look_passes_over_what_came_due_long_ago(self) -> None:
        old, new = webhooks(2)
        log_in()
        long_ago(webhook=old)
        assert found(recent=True) == [new]
        assert found() == [old, new]

    def test_nothing(self) -> None:
        webhooks(1)
        assert found() == []

    def test_the_next_due_time(self) -> None:
        paused, live = webhooks(2)
        log_in()
        WebhookHealth.objects.create(webhook_id=paused, paused_at=timezone.now())
        assert due.seconds_to_next(connection, within=10) == 0
        Delivery.objects.filter(webhook=live).update(due_at=timezone.now() + timedelta(seconds=30))
        assert due.seconds_to_next(connection, within=10) is None
        assert due.seconds_to_next(connection, within=40) == pytest.approx(30, abs=5)


def test_a_drain_delivers_what_came_due_long_ago_too(receiver: Receiver) -> None:
    """Also beside what is new, and when it became visible only now: a transaction that took long."""
    old, _new = webhooks(2, receiver.url())
    log_in()
    long_ago(webhook=old)
    tally = engine.drain()
    assert tally is not None
    assert tally.delivered == 2


def test_what_is_parked_hides_nothing(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due, "PEEK", 5)
    (paused,) = webhooks(1)
    for number in range(6):
        log_in(number)
    WebhookHealth.objects.create(webhook_id=paused, paused_at=timezone.now())
    webhooks(1, receiver.url())
    log_in()
    tally = engine.drain()
    assert tally is not None
    assert tally.delivered == 1


def test_old_deliveries_go_out_beside_a_stream_of_new_ones(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer brings a new event, so that a recent look never ends in vain."""
    monkeypatch.setattr("openedx_webhooks.deliveries.stream.WHOLE_PACE", 0.0)
    old, _new = webhooks(2, receiver.url())
    log_in()
    long_ago(webhook=old)
    Webhook.objects.filter(pk=old).update(enabled=False)
    assert engine.drain().delivered == 1  # type: ignore[union-attr]
    Webhook.objects.filter(pk=old).update(enabled=True)
    left = iter(range(30))

    def answer(_request: object) -> int:
        if Delivery.objects.get(webhook=old, attempts__lte=1, event__id=first).status == "pending":
            next(left)
            log_in()
        return 200

    first = Delivery.objects.filter(webhook=old).earliest("pk").event_id
    receiver.answer(answer)
    engine.drain()
    assert Delivery.objects.get(webhook=old, event_id=first).status == "delivered"


def test_what_is_parked_keeps_nobody_from_peeking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole turn cannot tell for all that is parked; a recent one still can."""
    monkeypatch.setattr(due, "PEEK", 5)
    paused, live = webhooks(2)
    for number in range(6):
        log_in(number)
    WebhookHealth.objects.create(webhook_id=paused, paused_at=timezone.now())
    long_ago()
    log_in()
    looker, walk = Looker(connection), Walk()
    for recent in (False, True, False, True):
        walk.begin(recent=recent)
        looker.next_slice(walk)
        assert walk.among == (frozenset({paused, live}) if recent else None)
