"""What waits for a webhook that is no longer there, wherever its id lies among the others."""

from __future__ import annotations

import pytest
from django.db import connection

from openedx_webhooks.deliveries import expiry
from openedx_webhooks.models import Delivery, Webhook
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_what_has_no_webhook_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "GAPS", 2)
    for pk in (5, 6, 9, 14, 30, 31, 50):
        Webhook.objects.create(pk=pk, event="*", webhook_url="http://127.0.0.1:9/")
    log_in()
    gone = {1: 5, 7: 6, 10: 9, 49: 14, 2_000_000_000: 30}
    for orphan, webhook in gone.items():
        Delivery.objects.filter(webhook_id=webhook).update(webhook_id=orphan)
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    assert expiry.expire(connection) == len(gone)
    failed = Delivery.objects.filter(status="failed", reason="deleted")
    assert set(failed.values_list("webhook_id", flat=True)) == set(gone)
    assert Delivery.objects.filter(status="pending").count() == 2
