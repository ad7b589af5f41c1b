"""Installed and not migrated: the plugin does nothing, and says once per process which command to run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core import management
from django.core.management import CommandError
from django.db import connection, transaction

from openedx_webhooks import subscriptions, tasks
from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Webhook, tables
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def not_migrated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our tables as an installed package that was never migrated finds them: not there."""
    names = [model._meta.db_table for model in apps.get_app_config("openedx_webhooks").get_models()]
    monkeypatch.setattr(tables, "_told", False)
    _rename({name: f"away_{name}" for name in names})
    yield
    _rename({f"away_{name}": name for name in names})


def _rename(names: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        for name, other in names.items():
            cursor.execute(f"ALTER TABLE {name} RENAME TO {other}")


def test_an_event_is_let_go(not_migrated: None, caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        log_in()
        subscriptions.invalidate()
        log_in()
    assert [record.getMessage() for record in caplog.records] == [tables.MIGRATE]


def look_three_times() -> None:
    stop = threading.Event()

    class Wake(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            if self.looks == 3:
                stop.set()
            return True

    engine.run_for_ever(Wake(), stop)


def three_tasks() -> None:
    for _ in range(3):
        tasks.deliver()


@pytest.mark.parametrize("drains", [look_three_times, three_tasks])
def test_whoever_drains_says_once_what_to_do(
    drains: Callable[[], None], not_migrated: None, caplog: pytest.LogCaptureFixture
) -> None:
    drains()
    assert [record.getMessage() for record in caplog.records] == [tables.MIGRATE]


def test_the_thread_that_renews_the_configuration_says_nothing_else(
    not_migrated: None, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.OPENEDX_WEBHOOKS_CONFIG_TTL = 0.1
    subscriptions.webhooks("any")
    renewed = threading.Event()
    renewed.wait(0.5)
    subscriptions.stop()
    assert [record.getMessage() for record in caplog.records] == [tables.MIGRATE]


@pytest.mark.parametrize("command", [["webhooks_deliver", "--once"], ["webhooks_purge"]], ids=" ".join)
def test_a_command_ends_with_what_to_do(command: list[str], not_migrated: None) -> None:
    with pytest.raises(CommandError, match=r"not migrated.*Run: \./manage\.py lms migrate"):
        management.call_command(*command)


def test_a_column_of_ours_that_the_published_table_lacks_is_missing() -> None:
    assert not tables.missing(Webhook)
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE openedx_webhooks_webhook RENAME COLUMN organizations TO away")
    try:
        assert tables.missing(Webhook)
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE openedx_webhooks_webhook RENAME COLUMN away TO organizations")
