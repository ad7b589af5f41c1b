"""The Python API: switches, pauses, secrets and replays, seen in the rows that the engine reads."""

import json
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.utils import timezone

from openedx_webhooks import api, signing, wakeup
from openedx_webhooks.models import Attempt, Delivery, Event, Webhook, WebhookHealth

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=30)


@pytest.fixture
def webhook():
    return Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url="https://receiver.example.com/")


def make_delivery(webhook, status, **values):
    now = timezone.now()
    event = Event.objects.create(message_id="m-1", name="N", event_type="t", created=now, body='{"a": 1}')
    values = {"due_at": LONG_AGO, "created": now, "encoding": "default", **values}
    return Delivery.objects.create(event=event, webhook=webhook, status=status, **values)


def state(webhook):
    return api.state_of(Webhook.objects.select_related("health").get(pk=webhook.pk))


@pytest.mark.parametrize(
    ("enabled", "health", "expected", "parks"),
    [
        (True, None, api.State.LIVE, False),
        (True, {}, api.State.LIVE, False),
        (True, {"failing_since": LONG_AGO, "failures": 3}, api.State.FAILING, False),
        (True, {"refused_at": LONG_AGO, "failing_since": LONG_AGO}, api.State.REFUSED, True),
        (True, {"paused_at": LONG_AGO, "refused_at": LONG_AGO}, api.State.PAUSED, True),
        (False, None, api.State.OFF, True),
        (False, {"paused_at": LONG_AGO}, api.State.OFF, True),
    ],
)
def test_state_and_query_agree_on_what_parks(webhook, enabled, health, expected, parks):
    Webhook.objects.update(enabled=enabled)
    if health is not None:
        WebhookHealth.objects.create(webhook=webhook, **health)

    assert state(webhook) is expected
    assert state(webhook).parks is parks
    assert Webhook.objects.filter(api.NOT_LIVE).exists() is parks


def test_pause_keeps_its_time_and_takes_the_last_reason(webhook):
    api.pause_webhook(webhook.pk, "The CRM is being moved.")
    first = WebhookHealth.objects.get()
    api.pause_webhook(webhook.pk, "x" * 300)
    second = WebhookHealth.objects.get()

    assert first.pause_reason == "The CRM is being moved."
    assert second.paused_at == first.paused_at
    assert second.pause_reason == "x" * 255
    assert state(webhook) is api.State.PAUSED


def test_resume_gives_a_failing_receiver_its_time_again(webhook, django_capture_on_commit_callbacks):
    WebhookHealth.objects.create(
        webhook=webhook,
        failures=40,
        failing_since=LONG_AGO,
        paused_at=LONG_AGO,
        pause_reason="Paused after nothing but failure.",
        hold_until=timezone.now() + timedelta(hours=1),
    )

    with django_capture_on_commit_callbacks() as callbacks:
        api.resume_webhook(webhook.pk)

    health = WebhookHealth.objects.get()
    assert (health.paused_at, health.pause_reason, health.hold_until) == (None, "", None)
    assert health.failures == 40
    assert health.failing_since > LONG_AGO
    assert state(webhook) is api.State.FAILING
    assert wakeup.notify in callbacks


def test_resume_of_one_that_was_never_tried(webhook):
    api.resume_webhook(webhook.pk)

    assert state(webhook) is api.State.LIVE


def test_switching_on_wakes_a_worker_after_the_commit_alone(webhook, django_capture_on_commit_callbacks):
    Webhook.objects.update(enabled=False)
    WebhookHealth.objects.create(webhook=webhook, failures=1, failing_since=LONG_AGO)

    with django_capture_on_commit_callbacks() as callbacks:
        api.set_enabled(webhook.pk, enabled=True)

    assert wakeup.notify in callbacks
    webhook.refresh_from_db()
    assert webhook.enabled
    assert WebhookHealth.objects.get().failing_since > LONG_AGO


def test_switching_off(webhook):
    before = webhook.modified

    api.set_enabled(webhook.pk, enabled=False)

    webhook.refresh_from_db()
    assert not webhook.enabled
    assert webhook.modified > before
    assert state(webhook) is api.State.OFF


def test_a_new_address_starts_without_the_failures_of_the_old_one(webhook):
    WebhookHealth.objects.create(
        webhook=webhook,
        failures=9,
        failing_since=LONG_AGO,
        last_error="Answered 500.",
        refused_at=LONG_AGO,
        refusal="refused",
        hold_until=LONG_AGO,
        paused_at=LONG_AGO,
    )

    api.forget_failures(webhook.pk)

    health = WebhookHealth.objects.get()
    assert (health.failures, health.failing_since, health.last_error) == (0, None, "")
    assert (health.refused_at, health.refusal, health.hold_until) == (None, "", None)
    assert health.paused_at == LONG_AGO


def test_rotation_lets_the_previous_secret_sign_along_for_a_day(webhook):
    first = webhook.secret

    second = api.rotate_secret(webhook.pk)

    webhook.refresh_from_db()
    assert (webhook.secret, webhook.previous_secret) == (second, first)
    assert len(signing.decode_secret(second)) == 32
    left = webhook.previous_secret_until - timezone.now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)

    third = api.rotate_secret(webhook.pk)
    webhook.refresh_from_db()
    assert (webhook.secret, webhook.previous_secret) == (third, second)


def test_rotation_of_a_row_without_secret_has_no_previous_one(webhook):
    Webhook.objects.update(secret=None)

    api.rotate_secret(webhook.pk)

    webhook.refresh_from_db()
    assert webhook.secret
    assert (webhook.previous_secret, webhook.previous_secret_until) == (None, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "call",
    [
        lambda pk: api.pause_webhook(pk, "why"),
        api.resume_webhook,
        api.rotate_secret,
        lambda pk: api.set_enabled(pk, enabled=True),
    ],
)
def test_a_change_is_whole_where_our_tables_are_not_in_the_default_database(call, webhook, outbox_elsewhere):
    connection, statements = connections[outbox_elsewhere], []
    connection.connect()  # Django's tests know the aliases of the settings alone
    WebhookHealth.objects.create(webhook_id=webhook.pk, failing_since=LONG_AGO)

    def note(execute, sql, params, many, context):
        statements.append((sql.split()[0], connection.in_atomic_block))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        call(webhook.pk)

    assert "UPDATE" in dict(statements)
    assert all(whole for kind, whole in statements if kind in ("SELECT", "UPDATE"))


@pytest.mark.parametrize(
    "call",
    [
        lambda pk: api.pause_webhook(pk, "why"),
        api.resume_webhook,
        api.rotate_secret,
        api.send_test_event,
        lambda pk: api.set_enabled(pk, enabled=True),
    ],
)
def test_a_webhook_that_is_not_there_is_an_error(call):
    with pytest.raises(Webhook.DoesNotExist):
        call(12345)
    assert not WebhookHealth.objects.exists()


def test_a_webhook_that_is_not_there_has_nothing_waiting_and_nothing_to_forget():
    api.forget_failures(12345)
    assert api.waiting([12345]) == {12345: 0}
    assert not WebhookHealth.objects.exists()


@pytest.mark.parametrize("status", ["delivered", "failed"])
def test_replay_makes_a_finished_delivery_due_now_with_its_whole_schedule(
    webhook, status, django_capture_on_commit_callbacks
):
    delivery = make_delivery(
        webhook,
        status,
        attempts=10,
        finished_at=LONG_AGO,
        reason="exhausted",
        last_status=500,
        last_error="Answered 500.",
    )
    Attempt.objects.create(delivery=delivery, number=10, started_at=LONG_AGO, duration=1, url="https://x", status=500)
    event_id = delivery.event_id

    with django_capture_on_commit_callbacks() as callbacks:
        assert api.replay([delivery.pk]) == 1

    delivery.refresh_from_db()
    assert (delivery.status, delivery.attempts, delivery.token) == ("pending", 0, None)
    assert (delivery.reason, delivery.finished_at) == ("", None)
    assert abs(timezone.now() - delivery.due_at) < timedelta(minutes=1)
    assert delivery.event_id == event_id
    assert Attempt.objects.count() == 1
    assert wakeup.notify in callbacks


@pytest.mark.parametrize("status", ["pending", "leased"])
def test_replay_leaves_what_is_on_its_way(webhook, status, django_capture_on_commit_callbacks):
    delivery = make_delivery(webhook, status, token="t" * 32, attempts=2)

    with django_capture_on_commit_callbacks() as callbacks:
        assert api.replay([delivery.pk]) == 0

    delivery.refresh_from_db()
    assert (delivery.status, delivery.token, delivery.attempts, delivery.due_at) == (status, "t" * 32, 2, LONG_AGO)
    assert wakeup.notify not in callbacks


def test_replay_leaves_what_has_lost_its_webhook_or_its_event(webhook):
    other = Webhook.objects.create(event="*", webhook_url="https://other.example.com/")
    without_webhook = make_delivery(other, "failed")
    other.delete()
    without_event = make_delivery(webhook, "failed")
    Event.objects.filter(pk=without_event.event_id).delete()

    assert api.replay([without_webhook.pk, without_event.pk, 10**9]) == 0


def test_replay_of_more_than_one_statement_holds(webhook):
    event = make_delivery(webhook, "failed").event
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(event=event, webhook=webhook, encoding="default", status="failed", due_at=now, created=now)
        for _ in range(1200)
    )

    ids = list(Delivery.objects.values_list("pk", flat=True))
    assert api.replay(ids + ids) == 1201
    assert api.replay([]) == 0


def test_replay_that_is_rolled_back_wakes_nobody(webhook, django_capture_on_commit_callbacks):
    delivery = make_delivery(webhook, "failed")

    with django_capture_on_commit_callbacks() as callbacks, transaction.atomic():
        api.replay([delivery.pk])
        transaction.set_rollback(True)

    assert wakeup.notify not in callbacks


def test_waiting_counts_up_to_the_limit_in_one_query(webhook, django_assert_num_queries):
    other = Webhook.objects.create(event="*", webhook_url="https://other.example.com/")
    for status in ["pending"] * 5 + ["leased", "delivered", "failed"]:
        make_delivery(webhook, status)

    with django_assert_num_queries(1):
        assert api.waiting([webhook.pk, other.pk]) == {webhook.pk: 5, other.pk: 0}
    assert api.waiting([webhook.pk], limit=3) == {webhook.pk: 3}
    assert api.waiting([]) == {}


@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        ({}, "default"),
        ({"format": "legacy", "use_www_form_encoding": True}, "legacy_form"),
        ({"courses": "x"}, "default"),
    ],
)
def test_a_test_event_is_a_marked_delivery_to_one_webhook(
    webhook, values, encoding, django_capture_on_commit_callbacks
):
    Webhook.objects.create(event="*", webhook_url="https://other.example.com/")
    Webhook.objects.filter(pk=webhook.pk).update(**values)

    with django_capture_on_commit_callbacks() as callbacks:
        assert api.send_test_event(webhook.pk) == "SESSION_LOGIN_COMPLETED"

    delivery = Delivery.objects.select_related("event").get()
    assert (delivery.webhook_id, delivery.status, delivery.encoding) == (webhook.pk, "pending", encoding)
    body = json.loads(delivery.event.body)
    assert body["event_metadata"]["source"] == api.TEST_SOURCE
    assert body["user"]["pii"]["username"]
    assert wakeup.notify in callbacks


def test_no_test_event_where_the_pattern_means_none(webhook):
    Webhook.objects.update(event="EVENT_OF_ANOTHER_RELEASE")

    assert api.send_test_event(webhook.pk) is None
    assert not Event.objects.exists()
