"""The savepoint and the INSERTs in one round trip: what a server, a proxy or a lost connection may make of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import Error, OperationalError, ProgrammingError, connection, transaction

from openedx_webhooks.deliveries.together import all_or_none
from openedx_webhooks.models import Delivery, Event, Webhook
from tests.deliveries.events import log_in
from tests.services.test_mariadb import in_thread

URL = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def _webhooks() -> None:
    for _ in range(2):
        Webhook.objects.create(event="*", webhook_url=URL)
    log_in()  # reads the configuration
    Event.objects.all().delete()
    Delivery.objects.all().delete()


@contextmanager
def statements(change: Callable[[str], str] = str) -> Iterator[list[str]]:
    """Note what is run, and run what ``change`` makes of it."""
    run: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        run.append(sql)
        changed = change(sql)
        return execute(changed, params if changed.count("%s") == sql.count("%s") else None, many, context)

    with connection.execute_wrapper(wrapper):
        yield run


def recorded() -> list[int]:
    """Return how many deliveries each event has."""
    return [Delivery.objects.filter(event=event).count() for event in Event.objects.all()]


def kinds(run: list[str]) -> list[str]:
    return [sql.split()[0] for sql in run]


def test_one_round_trip_where_there_is_no_transaction_too() -> None:
    with statements() as run:
        log_in()
    assert kinds(run) == ["SAVEPOINT"]
    assert recorded() == [2]


def test_an_error_in_the_second_insert_undoes_the_first_alone(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        Webhook.objects.create(event="x", webhook_url=URL, description="before")
        with statements(lambda sql: sql.replace("INTO openedx_webhooks_delivery", "INTO no_such_table")):
            log_in()
        assert recorded() == []
        Webhook.objects.create(event="x", webhook_url=URL, description="after")
        log_in()
    assert "ProgrammingError: 1146" in caplog.text
    assert Webhook.objects.filter(description__in=["before", "after"]).count() == 2
    assert recorded() == [2]


def test_a_site_that_sends_one_statement_at_a_time() -> None:
    options = connection.settings_dict["OPTIONS"]
    connection.close()
    try:
        connection.settings_dict["OPTIONS"] = {**options, "multi_statements": False}
        with transaction.atomic(), statements() as run:
            log_in()
    finally:
        connection.settings_dict["OPTIONS"] = options
        connection.close()
    assert kinds(run) == ["SAVEPOINT", "INSERT", "INSERT", "RELEASE"]
    assert recorded() == [2]


def _refuse_several(sql: str) -> str:
    if "; " in sql:
        raise ProgrammingError(1064, "one statement at a time")
    return sql


@pytest.mark.parametrize(
    "proxy", [_refuse_several, lambda sql: sql.split("; ")[0]], ids=["refuses", "runs the first alone"]
)
@pytest.mark.parametrize("within", [True, False], ids=["in a transaction", "in none"])
def test_behind_a_proxy_that_does_not_take_several_nothing_is_lost(
    proxy: Callable[[str], str], within: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        with statements(proxy) as run:
            log_in()
        assert kinds(run)[0] == "SAVEPOINT"
        assert kinds(run).count("INSERT") == 2

    if within:
        with transaction.atomic():
            work()
            Webhook.objects.create(event="x", webhook_url=URL, description="after")
        assert Webhook.objects.filter(description="after").exists()
    else:
        work()
    assert recorded() == [2]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_deadlock_ends_the_whole_transaction_and_says_so() -> None:
    """The server has rolled all of it back: what would come after it, were it not marked, would be committed alone."""
    first, second = Webhook.objects.order_by("pk")
    for _ in range(50):
        Webhook.objects.create(event="x", webhook_url=URL)
    locked, go_on = threading.Event(), threading.Event()

    def other() -> None:  # has changed more, so the server picks the other one
        with transaction.atomic():
            Webhook.objects.filter(event="x").update(description="many")
            Webhook.objects.filter(pk=first.pk).update(description="other")
            locked.set()
            assert go_on.wait(30)
            Webhook.objects.filter(pk=second.pk).update(description="other")

    holder = in_thread(other)
    assert locked.wait(30)
    with transaction.atomic():
        Webhook.objects.filter(pk=second.pk).update(description="ours")
        go_on.set()
        with pytest.raises(OperationalError) as caught:
            all_or_none(
                connection,
                [("UPDATE openedx_webhooks_webhook SET description = %s WHERE id = %s", ["ours", first.pk])],
            )
        assert caught.value.args[0] == 1213
        assert transaction.get_rollback()
    holder.join(30)
    assert set(Webhook.objects.values_list("description", flat=True)) == {"many", "other"}


def test_a_lost_connection_ends_the_transaction() -> None:
    with pytest.raises(Error), transaction.atomic():
        Webhook.objects.create(event="x", webhook_url=URL, description="before")
        with connection.cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            (ident,) = cursor.fetchone()
        in_thread(lambda: connection.cursor().execute(f"KILL CONNECTION {ident:d}")).join(30)
        log_in()
        Webhook.objects.create(event="x", webhook_url=URL, description="after")
    connection.close()
    assert not Webhook.objects.filter(description__in=["before", "after"]).exists()
    assert recorded() == []
