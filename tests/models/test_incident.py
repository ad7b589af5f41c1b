"""What went wrong is counted once, also where the database fails in between."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection

from openedx_webhooks import wakeup
from openedx_webhooks.models import Incident, incident
from tests.services.processes import free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_noted_before() -> None:
    incident.flush()
    Incident.objects.all().delete()


def test_incidents_are_counted_by_kind_with_the_last_detail() -> None:
    for number in range(3):
        incident.note("outbox", f"detail {number}")
    incident.note("wake-up", "no broker")
    incident.flush()
    incident.note("outbox", "\N{PILE OF POO}" * 300)
    incident.flush()
    counts = dict(Incident.objects.values_list("kind", "count"))
    assert counts == {"outbox": 4, "wake-up": 1}
    assert Incident.objects.get(kind="outbox").detail.isascii()
    assert len(Incident.objects.get(kind="outbox").detail) <= 255


def test_what_could_not_be_written_is_written_later_and_once() -> None:
    incident.note("first", "a")
    incident.note("second", "b")

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "second" in str(params):
            raise OperationalError(2006, "gone")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        incident.flush()
    incident.flush()
    incident.flush()
    assert dict(Incident.objects.values_list("kind", "count")) == {"first": 1, "second": 1}


def test_a_wake_up_that_no_broker_took_is_counted_where_nobody_reads_or_drains(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a Celery worker's first process, which does nothing but send the minute's wake-ups."""
    settings.OPENEDX_WEBHOOKS_DISPATCH = "celery"
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", f"amqp://guest:guest@127.0.0.1:{free_port()}//")
    wakeup.notify()
    wait_until(lambda: Incident.objects.filter(kind="wake-up").exists(), 20)


def test_a_database_that_does_not_take_incidents_is_said_and_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    incident.note("outbox", "a")

    def refuse(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raise OperationalError(2006, "gone")

    with connection.execute_wrapper(refuse):
        incident.flush_or_log()
    assert "incidents cannot be written now: OperationalError" in caplog.text
    incident.flush_or_log()
    assert Incident.objects.get().count == 1
