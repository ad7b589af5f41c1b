"""What is deleted after the retention, what is kept, and in which pieces."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from openedx_webhooks.deliveries import engine, purge
from openedx_webhooks.models import Attempt, Delivery, Event, FilterCall, LernitoOrder, Webhook
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not purged yet."""
    monkeypatch.setattr(purge, "_next_look", 0.0)
    monkeypatch.setattr(purge, "_cursors", {})


@pytest.fixture
def delivered(receiver: Receiver) -> Webhook:
    """Two webhooks, and six events that both of them received."""
    webhook = Webhook.objects.create(event="*", webhook_url=receiver.url("/a"))
    Webhook.objects.create(event="*", webhook_url=receiver.url("/b"))
    for number in range(6):
        log_in(number)
    engine.drain()
    assert Delivery.objects.filter(status="delivered").count() == 12
    return webhook


def age(days: int, **conditions: Any) -> None:
    """Let deliveries, and their events, have been created and finished some days ago."""
    before = timezone.now() - days * DAY
    deliveries = Delivery.objects.filter(**conditions)
    Event.objects.filter(deliveries__in=list(deliveries)).update(created=before)
    deliveries.filter(finished_at__isnull=False).update(finished_at=before)
    deliveries.update(created=before)


def run(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("webhooks_purge", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_what_is_older_than_the_retention_goes_with_its_log(delivered: Webhook) -> None:
    ids = list(Event.objects.order_by("id").values_list("id", flat=True))
    age(31, event_id__in=ids[:4])
    age(29, event_id__in=ids[4:])
    expected = ["8 deliveries", "4 events", "0 webfilter calls", "0 Lernito orders"]
    assert run("--dry-run") == [f"{line} would be deleted" for line in expected]
    assert Delivery.objects.count() == 12
    assert run() == [f"{line} deleted" for line in expected]
    assert set(Delivery.objects.values_list("event_id", flat=True)) == set(ids[4:])
    assert list(Event.objects.order_by("id").values_list("id", flat=True)) == ids[4:]
    assert Attempt.objects.count() == 4
    assert run() == [
        "0 deliveries deleted",
        "0 events deleted",
        "0 webfilter calls deleted",
        "0 Lernito orders deleted",
    ]


def test_what_is_on_its_way_stays_and_keeps_its_event(delivered: Webhook) -> None:
    Delivery.objects.filter(webhook=delivered).update(status="pending", finished_at=None)
    age(400)
    assert run()[:2] == ["6 deliveries deleted", "0 events deleted"]
    assert Event.objects.count() == Delivery.objects.filter(status="pending").count() == 6


def test_what_was_sent_again_lately_stays(delivered: Webhook) -> None:
    age(400)
    Delivery.objects.filter(webhook=delivered).update(finished_at=timezone.now())
    assert run("--dry-run")[:2] == ["6 deliveries would be deleted", "0 events would be deleted"]
    assert run()[:2] == ["6 deliveries deleted", "0 events deleted"]
    assert Attempt.objects.count() == 6


def test_an_event_that_is_to_fan_out_stays(delivered: Webhook) -> None:
    age(400)
    Event.objects.update(to_fan_out=True)
    assert run()[1] == "0 events deleted"


def test_the_age_may_be_given(delivered: Webhook) -> None:
    age(3)
    assert run("--days", "5")[0] == "0 deliveries deleted"
    assert run("--days", "2")[0] == "12 deliveries deleted"
    for wrong in ("0", "-1", "x", "1.5"):
        with pytest.raises((CommandError, SystemExit)):
            run("--days", wrong)


def test_the_setting_is_the_age_where_none_is_given(delivered: Webhook, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_RETENTION_DAYS = 2
    age(3)
    assert run()[0] == "12 deliveries deleted"


def test_records_of_the_other_rooms_go_as_well() -> None:
    for days in (1, 40):
        created = timezone.now() - days * DAY
        FilterCall.objects.create(webfilter_id=1, created=created, duration=1, outcome="changed")
        LernitoOrder.objects.create(created=created, scheme="lernito", email_hmac="x", message="ok", results="")
    assert run("--dry-run")[2:] == ["1 webfilter calls would be deleted", "1 Lernito orders would be deleted"]
    assert run()[2:] == ["1 webfilter calls deleted", "1 Lernito orders deleted"]
    assert FilterCall.objects.count() == LernitoOrder.objects.count() == 1


def test_a_drain_does_some_of_it_once_in_a_while(delivered: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    age(40)
    monkeypatch.setattr(purge, "_next_look", 0.0)
    engine.drain()
    assert Delivery.objects.count() == Event.objects.count() == 0
    log_in()
    engine.drain()
    age(40)
    engine.drain()
    assert Delivery.objects.count() == 2, "not before ten minutes have passed"


def test_a_look_that_ran_out_of_time_goes_on_where_it_was(delivered: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept at the beginning of the table must not keep the looks from ever coming to what is behind it."""
    monkeypatch.setattr(purge, "CHUNK", 2)
    monkeypatch.setattr(purge, "PATIENCE", -1.0)
    age(40)
    kept = list(Delivery.objects.order_by("id").values_list("id", flat=True)[:4])
    Delivery.objects.filter(pk__in=kept).update(finished_at=timezone.now())
    removed = [purge.purge_some(connection, now=10.0**6 + look * 1000) for look in range(6)]
    assert removed == [0, 0, 2, 2, 2, 2]


def test_a_purge_that_fails_is_logged_and_harms_nothing(delivered: Webhook, caplog: pytest.LogCaptureFixture) -> None:
    age(40)

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("DELETE"):
            raise OperationalError(1290, "read only")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert purge.purge_some(connection, now=10.0**6) == 0
    assert "could not be deleted now" in caplog.text
    assert Delivery.objects.count() == 12
