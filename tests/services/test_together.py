"""The savepoint and the INSERTs as one text: what a server, a proxy, a lock or an interrupt may make of it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import Error, OperationalError, ProgrammingError, connection, transaction

from openedx_webhooks.deliveries.together import all_or_none
from openedx_webhooks.models import Delivery, Event, Webhook
from tests.deliveries.events import log_in
from tests.services.conftest import wait_until
from tests.services.test_mariadb import in_thread

URL = "http://127.0.0.1:9/"
SET_MULTI_STATEMENTS_OFF = 1
"""MYSQL_OPTION_MULTI_STATEMENTS_OFF of MySQL's protocol."""


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


class Interrupt(BaseException):
    """As a signal handler raises one: an operator's Ctrl-C, a worker that is stopped."""


def name_a_webhook(name: str) -> None:
    """Do some work of the platform's."""
    Webhook.objects.create(event="x", webhook_url=URL, description=name)


def named() -> set[str]:
    """Return what of ``name_a_webhook`` was committed."""
    return set(Webhook.objects.exclude(description="").values_list("description", flat=True))


@contextmanager
def deliveries_locked(act: Callable[[int], object]) -> Iterator[None]:
    """Keep the INSERT of the deliveries waiting until ``act``, given the id of this thread's connection, returns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (ident,) = cursor.fetchone()
    locked = threading.Event()

    def hold() -> None:
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLES openedx_webhooks_delivery WRITE")
            locked.set()
            act(ident)
            cursor.execute("UNLOCK TABLES")

    holder = in_thread(hold)
    try:
        assert locked.wait(30)
        yield
    finally:
        holder.join(60)
        assert not holder.is_alive()


def insert_waits(ident: int) -> None:
    """Wait until the server has the INSERT of the deliveries wait, and the main thread waits for its answer."""

    def waits() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM information_schema.processlist WHERE id = %s AND info LIKE %s AND state LIKE %s",
                [ident, "INSERT INTO openedx_webhooks_delivery%", "Waiting for table%"],
            )
            there = cursor.fetchone() is not None
        frame = sys._current_frames()[threading.main_thread().ident or 0]
        return there and any(entry.name == "nextset" for entry in traceback.extract_stack(frame))

    wait_until(waits)


def test_one_text_where_there_is_no_transaction_too() -> None:
    with statements() as run:
        log_in()
    assert kinds(run) == ["SAVEPOINT"]
    assert recorded() == [2]


def test_an_error_in_the_second_insert_undoes_the_first_alone(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        name_a_webhook("before")
        with statements(lambda sql: sql.replace("INTO openedx_webhooks_delivery", "INTO no_such_table")):
            log_in()
        assert recorded() == []
        name_a_webhook("after")
        log_in()
    assert "ProgrammingError: 1146" in caplog.text
    assert named() == {"before", "after"}
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


@pytest.mark.parametrize("within", [True, False], ids=["in a transaction", "in none"])
@pytest.mark.parametrize(
    "proxy",
    [ProgrammingError(1064, "syntax"), OperationalError(1141, "not allowed"), OperationalError(4501, "sharing"), 1, 2],
    ids=str,
)
def test_behind_a_proxy_that_refuses_or_runs_the_first_ones_alone_nothing_is_lost(
    proxy: Error | int, within: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def change(sql: str) -> str:
        texts = sql.split("; ")
        if len(texts) == 1:
            return sql
        if isinstance(proxy, Error):
            raise proxy
        return "; ".join(texts[:proxy])

    _record_one(change, within=within)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("within", [True, False], ids=["in a transaction", "in none"])
def test_where_the_server_refuses_several_nothing_is_lost(within: bool) -> None:
    connection.ensure_connection()
    connection.connection.set_server_option(SET_MULTI_STATEMENTS_OFF)
    try:
        _record_one(within=within)
    finally:
        connection.close()


@pytest.mark.parametrize("at", ["INSERT INTO openedx_webhooks_event", "INSERT INTO openedx_webhooks_delivery"])
def test_what_refuses_in_the_midst_loses_nothing(at: str) -> None:
    _record_one(lambda sql: sql.replace(at, "NONSENSE") if "; " in sql else sql, within=True)


def _record_one(change: Callable[[str], str] = str, *, within: bool) -> None:
    """Emit one event; it is recorded once, one by one, and what the platform does around it is committed."""
    if within:
        with transaction.atomic():
            name_a_webhook("before")
            with statements(change) as run:
                log_in()
            name_a_webhook("after")
        assert named() == {"before", "after"}
    else:
        with statements(change) as run:
            log_in()
    assert kinds([sql for sql in run if "; " not in sql]).count("INSERT") == 2
    assert recorded() == [2]


def test_a_lock_that_is_waited_for_too_long_costs_the_event_alone() -> None:
    with transaction.atomic():
        name_a_webhook("before")
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 1")
        gone = threading.Event()
        try:
            with deliveries_locked(lambda _: gone.wait(30)):
                log_in()
                gone.set()
        finally:
            gone.set()
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION lock_wait_timeout = DEFAULT")
        name_a_webhook("after")
        log_in()
    assert named() == {"before", "after"}
    assert recorded() == [2]


def test_an_interrupt_costs_the_event_alone() -> None:
    """It comes while the text runs to its end: what is undone afterwards must still be there to be undone."""

    def interrupt(*_: object) -> None:
        raise Interrupt

    def act(ident: int) -> None:
        insert_waits(ident)
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with transaction.atomic():
            name_a_webhook("before")
            with pytest.raises(Interrupt), deliveries_locked(act):
                log_in()
            name_a_webhook("after")
            assert recorded() == []
            log_in()
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert named() == {"before", "after"}
    assert recorded() == [2]


def test_savepoints_of_the_platform_before_and_around_events() -> None:
    with transaction.atomic():
        log_in()
        with transaction.atomic():
            log_in()
            name_a_webhook("released")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            log_in()
            name_a_webhook("rolled back")
            raise ZeroDivisionError
        with statements(lambda sql: sql.replace("INTO openedx_webhooks_delivery", "INTO no_such_table")):
            log_in()
        log_in()
        name_a_webhook("after")
    assert named() == {"released", "after"}
    assert recorded() == [2, 2, 2]


def test_in_a_transaction_that_is_to_be_rolled_back_nothing_is_written() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        log_in()
        assert transaction.get_rollback()
    assert recorded() == []


def test_what_cannot_be_written_at_all_costs_the_event_alone() -> None:
    with transaction.atomic():
        name_a_webhook("before")
        with pytest.raises(UnicodeEncodeError):
            all_or_none(connection, [("UPDATE openedx_webhooks_webhook SET description = %s", ["\ud800"])])
        name_a_webhook("after")
    assert named() == {"before", "after"}


@pytest.mark.parametrize("error", [Interrupt(), OperationalError(1213, "Deadlock")], ids=["interrupt", "deadlock"])
def test_where_nobody_can_tell_what_was_done_the_transaction_is_rolled_back(error: BaseException) -> None:
    """Before the first answer is known, what the server has undone or done cannot be told apart."""

    def fail(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        execute(sql, params, many, context)
        raise error

    with transaction.atomic():
        name_a_webhook("before")
        with connection.execute_wrapper(fail), pytest.raises(type(error)):
            all_or_none(connection, [("UPDATE openedx_webhooks_webhook SET description = %s", ["ours"])])
        assert transaction.get_rollback()
    assert named() == set()


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
        try:
            Webhook.objects.filter(pk=second.pk).update(description="ours")
        finally:
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
    def kill(ident: int) -> None:
        insert_waits(ident)
        with connection.cursor() as cursor:
            cursor.execute(f"KILL CONNECTION {ident:d}")

    with pytest.raises(Error), transaction.atomic():
        name_a_webhook("before")
        with deliveries_locked(kill):
            log_in()
        assert transaction.get_rollback()
        name_a_webhook("after")
    connection.close()
    assert named() == set()
    assert recorded() == []
