"""The configuration while the database is away: nothing is taken for unconfigured, and nothing is remembered of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection

from openedx_webhooks import subscriptions
from openedx_webhooks.models import Event, Webhook
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


def away(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    configuration = "openedx_webhooks_web", "sqlite_master", "information_schema"
    if any(table in sql for table in configuration):
        raise OperationalError(2006, "Server has gone away")
    return execute(sql, params, many, context)


@pytest.mark.parametrize("known", [True, False], ids=["in a process that knew its webhooks", "in a new process"])
def test_a_configuration_that_could_not_be_read_is_read_at_the_next_event(known: bool) -> None:
    Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/")
    if known:
        log_in()
    before = Event.objects.count()
    subscriptions.invalidate()
    with connection.execute_wrapper(away):
        log_in()
    assert Event.objects.count() == before + known, "what is known stays live"
    log_in()
    assert Event.objects.count() == before + known + 1
