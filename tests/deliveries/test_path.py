"""The whole path: an event is sent, a drain delivers it, a receiver has it, signed."""

from __future__ import annotations

import pytest

from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Attempt, Delivery, Event, Webhook
from openedx_webhooks.testing import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_arrives_signed(receiver: Receiver) -> None:
    from openedx_webhooks.catalog import events
    from openedx_webhooks.payloads import schema

    webhook = Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url("/hook"))
    from openedx_events.learning.signals import SESSION_LOGIN_COMPLETED
    from openedx_events.learning.data import UserData, UserPersonalData

    SESSION_LOGIN_COMPLETED.send_event(
        user=UserData(id=1, is_active=True, pii=UserPersonalData(username="a", email="a@b", name="A"))
    )
    assert Event.objects.count() == 1 and Delivery.objects.count() == 1
    tally = engine.drain()
    (got,) = receiver.wait_for(1)
    print(got.headers, got.body, tally, Attempt.objects.values())
    assert Delivery.objects.get().status == "delivered"
    assert tally.delivered == 1
