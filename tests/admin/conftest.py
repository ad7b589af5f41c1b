"""People who look at the admin, and rows for them to look at."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from openedx_webhooks.models import Attempt, Delivery, Event, Webhook


@pytest.fixture
def browser(admin_user):
    """Log a superuser in; nothing is raised into the test, as in a browser."""
    client = Client(enforce_csrf_checks=False)
    client.force_login(admin_user)
    return client


@pytest.fixture
def browser_with(db):
    """Return a function that logs in a member of staff with these permissions alone."""

    def log_in(*codenames):
        person = User.objects.create_user("staff", is_staff=True)
        person.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        client = Client()
        client.force_login(person)
        return client

    return log_in


@pytest.fixture
def webhook(db):
    return Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url="https://receiver.example.com/hook")


@pytest.fixture
def make_delivery(webhook):
    """Return a function that writes one event and its delivery."""

    def make(
        status="pending", *, to=webhook, event="SESSION_LOGIN_COMPLETED", message_id="m-1", age=timedelta(), **values
    ):
        created = timezone.now() - age
        row = Event.objects.create(
            message_id=message_id,
            name=event,
            event_type=f"org.{event.lower()}.v1",
            created=created,
            body='{"user": {"name": "Ada \\u00e9"}}',
            other_bodies='{"form": "user_name=Ada+%C3%A9&user_id=3"}',
        )
        return Delivery.objects.create(
            **{"event": row, "webhook": to, "encoding": "default", "status": status, "due_at": created, **values},
            created=created,
        )

    return make


@pytest.fixture
def make_attempt():
    """Return a function that writes one attempt."""

    def make(delivery, **values):
        defaults = {
            "number": 1,
            "started_at": timezone.now(),
            "duration": 321,
            "url": delivery.webhook.webhook_url,
            "status": 500,
            "request_headers": "Content-Type: application/json\nwebhook-id: m-1\nX-Tenant-Key: hunter2",
            "response_headers": "content-type: application/json\nset-cookie: session=hunter3",
            "response_body": '{"message": "<b>later</b>"}',
            "error": "Answered 500.",
        }
        return Attempt.objects.create(delivery=delivery, **{**defaults, **values})

    return make
