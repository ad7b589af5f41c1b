"""The e-mail to administrators: when, to whom, what it says and what it never does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Delivery, Webhook, WebhookHealth
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _admins(settings: Any) -> None:
    # Pairs until Django 5.2, plain addresses from 6.0 on.
    settings.ADMINS = [("Operator", "ops@example.com")]


class BrokenBackend(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        raise OSError("no mail server")


class OldBackend(EmailBackend):
    """One that was written before backends took further arguments."""

    def __init__(self, fail_silently: bool = False) -> None:
        super().__init__(fail_silently=fail_silently)


def failing_for_days(receiver: Receiver, path: str = "/hook?token=hush") -> Webhook:
    webhook = Webhook.objects.create(event="*", webhook_url=receiver.url(path))
    WebhookHealth.objects.create(webhook=webhook, failures=9, failing_since=timezone.now() - timedelta(days=6))
    return webhook


def test_a_webhook_that_is_paused_is_reported(receiver: Receiver) -> None:
    webhook = failing_for_days(receiver)
    receiver.answer(500)
    log_in()
    engine.drain()
    (message,) = mail.outbox
    assert message.to == ["ops@example.com"]
    assert f"Webhook {webhook.pk} to 127.0.0.1" in message.subject
    assert WebhookHealth.objects.get().pause_reason in message.body
    assert "resume the webhook" in message.body
    assert "30 days" in message.body
    assert "hush" not in message.body + message.subject
    assert "/hook" not in message.body + message.subject
    engine.drain()
    assert len(mail.outbox) == 1


def test_a_webhook_that_is_switched_off_by_its_receiver_is_reported(receiver: Receiver) -> None:
    Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url())
    receiver.answer(410)
    log_in()
    engine.drain()
    (message,) = mail.outbox
    assert "SESSION_LOGIN_COMPLETED to 127.0.0.1" in message.body
    assert "410" in message.body
    assert "enable the webhook" in message.body


def test_webhooks_that_are_paused_together_make_one_e_mail(receiver: Receiver) -> None:
    webhooks = [failing_for_days(receiver, f"/{number}") for number in range(3)]
    receiver.answer(500)
    log_in()
    engine.drain()
    (message,) = mail.outbox
    assert "3 webhooks" in message.subject
    assert all(f"Webhook {webhook.pk}:" in message.body for webhook in webhooks)


def test_it_can_be_switched_off(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_NOTIFY_ADMINS = False
    failing_for_days(receiver)
    receiver.answer(500)
    log_in()
    engine.drain()
    assert WebhookHealth.objects.get().paused_at is not None
    assert mail.outbox == []


def test_a_person_who_pauses_is_not_told(receiver: Receiver) -> None:
    webhook = Webhook.objects.create(event="*", webhook_url=receiver.url())
    WebhookHealth.objects.create(webhook=webhook, paused_at=timezone.now())
    log_in()
    engine.drain()
    assert mail.outbox == []


def test_a_mail_server_that_fails_is_logged_and_harms_nothing(
    receiver: Receiver, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.BrokenBackend"
    failing_for_days(receiver)
    receiver.answer(500)
    log_in()
    tally = engine.drain()
    assert tally is not None
    assert tally.postponed == 1
    assert Delivery.objects.get().status == "pending"
    assert "the administrators were not told: OSError" in caplog.text


def test_a_mail_backend_that_knows_no_timeout_is_served(receiver: Receiver, settings: Any) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.OldBackend"
    failing_for_days(receiver)
    receiver.answer(500)
    log_in()
    engine.drain()
    assert len(mail.outbox) == 1
