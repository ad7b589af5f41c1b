"""Webhook: what is enough from code, what ``clean`` refuses, and what deleting it leaves."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from openedx_webhooks.data import Encoding
from openedx_webhooks.deliveries import expiry
from openedx_webhooks.models import Delivery, Event, Webhook, WebhookHealth
from openedx_webhooks.models import webhook as webhooks

pytestmark = pytest.mark.django_db

URL = "https://receiver.example.com/hook"


def test_event_and_url_are_enough_from_code():
    webhook = Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=URL)

    webhook.refresh_from_db()
    assert webhook.enabled
    assert webhook.encoding is Encoding.DEFAULT
    assert webhook.secret.startswith("whsec_")
    assert webhook.secret != Webhook.objects.create(event="*", webhook_url=URL).secret
    webhook.full_clean()


@pytest.mark.parametrize(
    ("field", "values", "sentence"),
    [
        ("webhook_url", {"webhook_url": "ftp://example.com"}, "must be http or https"),
        ("webhook_url", {"webhook_url": "https://"}, "host is empty"),
        ("webhook_url", {"webhook_url": "http://user:pw@example.com"}, "Authorization header"),
        ("webhook_url", {"webhook_url": "example.com/hook"}, "must be http or https"),
        ("event", {"event": "SESION_LOGIN_COMPLETED"}, "Did you mean SESSION_LOGIN_COMPLETED"),
        ("event", {"event": "session_login_completed"}, "Did you mean SESSION_LOGIN_COMPLETED"),
        ("event", {"event": "zzz"}, "No event of this platform"),
        ("event", {"event": "ZZZ_*"}, "No event of this platform"),
        ("use_www_form_encoding", {"format": "cloudevents", "use_www_form_encoding": True}, "CloudEvents are JSON"),
        ("headers", {"headers": "Host: evil"}, "set by the delivery itself"),
        ("timeout", {"timeout": 0}, "between 0.1 and 60.0"),
        ("timeout", {"timeout": 61}, "between 0.1 and 60.0"),
        ("timeout", {"timeout": float("nan")}, "between 0.1 and 60.0"),
        ("__all__", {"secret": "whsec_short"}, "secret"),
    ],
)
def test_what_could_never_be_delivered_is_refused_in_a_sentence(field, values, sentence):
    webhook = Webhook(**{"event": "SESSION_LOGIN_COMPLETED", "webhook_url": URL, **values})

    with pytest.raises(ValidationError) as refusal:
        webhook.full_clean()

    assert list(refusal.value.message_dict) == [field]
    assert sentence in " ".join(refusal.value.message_dict[field])


@pytest.mark.parametrize(
    "values",
    [
        {"event": "org.openedx.learning.auth.session.login.completed.v1"},
        {"event": "COURSE_ENROLLMENT_*"},
        {"event": "*"},
        {"event": "TRACKING_EVENT_EMITTED"},
        {"webhook_url": "http://127.0.0.1:8000/hook"},
        {"webhook_url": "http://10.0.0.1/"},
        {"use_www_form_encoding": True},
        {"format": "legacy", "use_www_form_encoding": True},
        {"format": "cloudevents"},
        {"headers": "Authorization: Bearer x", "timeout": 0.5},
    ],
)
def test_what_can_be_delivered_passes(values):
    Webhook(**{"event": "SESSION_LOGIN_COMPLETED", "webhook_url": URL, **values}).full_clean()


def test_blanks_around_what_was_pasted_are_taken_off():
    webhook = Webhook(event=" SESSION_LOGIN_COMPLETED ", webhook_url=f"\t{URL}\n")

    webhook.full_clean()

    assert (webhook.event, webhook.webhook_url) == ("SESSION_LOGIN_COMPLETED", URL)


def test_an_event_that_this_release_does_not_have_can_stay_but_not_come():
    webhook = Webhook.objects.create(event="EVENT_OF_ANOTHER_RELEASE", webhook_url=URL)
    webhook.enabled = False

    webhook.full_clean()

    webhook.event = "EVENT_OF_YET_ANOTHER"
    with pytest.raises(ValidationError):
        webhook.full_clean()


def test_a_row_of_the_published_package_stays_legacy_when_saved_and_gets_a_secret():
    webhook = Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=URL)
    Webhook.objects.update(format=None, secret=None)
    webhook.refresh_from_db()

    assert webhook.encoding is Encoding.LEGACY
    webhook.full_clean()
    assert (webhook.format, webhook.encoding) == ("legacy", Encoding.LEGACY)
    assert webhook.secret.startswith("whsec_")


def deliveries(webhook, *statuses):
    now = timezone.now()
    event = Event.objects.create(message_id="m", name="N", event_type="t", created=now, body="{}")
    return [
        Delivery.objects.create(
            event=event, webhook=webhook, encoding="default", status=status, due_at=now, created=now, token="t" * 32
        ).pk
        for status in statuses
    ]


@pytest.mark.parametrize("how", ["row", "queryset"])
def test_deleting_ends_what_waits_and_leaves_the_log(how, django_capture_on_commit_callbacks):
    gone = Webhook.objects.create(event="*", webhook_url=URL)
    other = Webhook.objects.create(event="*", webhook_url=URL)
    WebhookHealth.objects.create(webhook=gone)
    ended = deliveries(gone, "pending", "pending", "leased")
    finished = deliveries(gone, "delivered", "failed")
    others = deliveries(other, "pending")

    with django_capture_on_commit_callbacks(execute=True):
        if how == "row":
            gone.delete()
        else:
            Webhook.objects.filter(pk=gone.pk).delete()

    rows = Delivery.objects.in_bulk()
    assert {(rows[pk].status, rows[pk].reason, rows[pk].token) for pk in ended} == {("failed", "deleted", None)}
    assert all(rows[pk].finished_at for pk in ended)
    assert [rows[pk].status for pk in finished] == ["delivered", "failed"]
    assert [rows[pk].reason for pk in finished] == ["", ""]
    assert rows[others[0]].status == "pending"
    assert not WebhookHealth.objects.exists()


def test_a_deletion_itself_touches_no_delivery(django_assert_max_num_queries, django_capture_on_commit_callbacks):
    """What it locked would be locked until the commit of whoever deletes, and events are written meanwhile."""
    webhook = Webhook.objects.create(event="*", webhook_url=URL)
    deliveries(webhook, *["pending"] * 30)

    with django_capture_on_commit_callbacks() as callbacks, django_assert_max_num_queries(4) as deletion:
        webhook.delete()
    with django_assert_max_num_queries(2) as after:
        for callback in callbacks:
            callback()

    assert not any("openedx_webhooks_delivery" in query["sql"] for query in deletion.captured_queries)
    assert [query["sql"].split()[0] for query in after.captured_queries] == ["SELECT", "UPDATE"]


def test_deleting_ends_a_piece_and_leaves_the_rest_to_the_drains(monkeypatch, django_capture_on_commit_callbacks):
    """Who deletes a webhook that was paused for a month waits for one piece, not for a million rows."""
    monkeypatch.setattr(webhooks, "ENDED_AT_ONCE", 3)
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    webhook = Webhook.objects.create(event="*", webhook_url=URL)
    *waiting, leased = deliveries(webhook, *["pending"] * 4, "leased")

    with django_capture_on_commit_callbacks(execute=True):
        webhook.delete()

    rows = Delivery.objects.in_bulk()
    assert rows[leased].status == "failed"
    assert sorted(rows[pk].status for pk in waiting) == ["failed", "failed", "pending", "pending"]
    assert expiry.expire(connection, now=1.0) == 2
    assert {row.reason for row in Delivery.objects.all()} == {"deleted"}
