"""``webhooks_deliver --once`` beside another drain of the site."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.core import management
from django.db import connection

from openedx_webhooks.deliveries import slot
from openedx_webhooks.management.commands import webhooks_deliver
from openedx_webhooks.models import Delivery, Webhook
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.timeout(30)
def test_once_leaves_it_to_whoever_has_been_delivering_for_long(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """From cron, one process more would wait each minute."""
    monkeypatch.setattr(webhooks_deliver, "PATIENCE", 1.0)
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    log_in()
    held = slot.take(connection)
    assert held is not None
    held.clear_mark()
    began = time.monotonic()
    management.call_command("webhooks_deliver", "--once")
    assert time.monotonic() - began >= 1.0
    sentence, last = capsys.readouterr().out.splitlines()
    assert sentence == "Another process is delivering; it has been told to look again."
    assert last == "0 delivered, 0 failed, 1 pending"
    assert held.release(), "the mark was left"
    management.call_command("webhooks_deliver", "--once")
    assert Delivery.objects.get().status == "delivered"
