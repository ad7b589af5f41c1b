"""The engine against receivers of every kind: where a delivery ends, what is logged, and what stays as it was."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from openedx_webhooks import signals, signing
from openedx_webhooks.deliveries import claim, due, engine, expiry, record, slot
from openedx_webhooks.models import Attempt, Delivery, Event, Webhook, WebhookHealth
from openedx_webhooks.testing import CLOSE, GARBAGE, HANG, Answer, Receiver
from tests.deliveries.events import enroll, log_in

pytestmark = pytest.mark.django_db(transaction=True)


def webhook_for(receiver: Receiver, **fields: Any) -> Webhook:
    return Webhook.objects.create(**{"event": "*", "webhook_url": receiver.url("/hook"), **fields})


def make_due() -> None:
    """Let the time pass until every retry is due and every hold is over."""
    past = timezone.now() - timedelta(minutes=1)
    Delivery.objects.filter(status="pending").update(due_at=past)
    WebhookHealth.objects.update(hold_until=None)


def drain() -> engine.Tally:
    tally = engine.drain()
    assert tally is not None
    return tally


def test_a_delivery_is_signed_and_logged(receiver: Receiver) -> None:
    webhook = webhook_for(receiver, headers="X-Api-Key: hush\nX-Site: campus")
    receiver.trust(webhook.secret)
    receiver.answer(Answer(status=202, headers={"X-Trace": "t1"}, body=b'{"ok": true}'))
    log_in()
    tally = drain()
    (got,) = receiver.requests
    assert got.verified
    assert (got.path, got.headers["content-type"], got.headers["x-api-key"]) == ("/hook", "application/json", "hush")
    assert got.headers["user-agent"].startswith("openedx-webhooks/")
    assert got.body == Event.objects.get().body.encode()
    delivery, attempt = Delivery.objects.get(), Attempt.objects.get()
    assert (delivery.status, delivery.attempts, delivery.last_status, delivery.token) == ("delivered", 1, 202, None)
    assert (attempt.number, attempt.status, attempt.response_body, attempt.error) == (1, 202, '{"ok": true}', "")
    assert "x-trace: t1" in attempt.response_headers
    assert "X-Site" in attempt.request_headers
    assert "hush" not in attempt.request_headers
    assert (tally.delivered, tally.failed, tally.postponed) == (1, 0, 0)


def test_while_a_secret_rotates_both_keys_sign(receiver: Receiver) -> None:
    old = signing.generate_secret()
    webhook_for(receiver, previous_secret=old, previous_secret_until=timezone.now() + timedelta(hours=1))
    receiver.trust(old)
    log_in()
    drain()
    assert receiver.requests[0].verified
    Webhook.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
    log_in()
    drain()
    assert not receiver.requests[1].verified


def test_a_row_that_the_published_package_wrote_gets_a_secret(receiver: Receiver) -> None:
    webhook = webhook_for(receiver, secret=None, format=None)
    log_in()
    drain()
    webhook.refresh_from_db()
    receiver.trust(webhook.secret)
    log_in()
    drain()
    assert receiver.requests[1].verified


@pytest.mark.parametrize(
    ("answer", "status", "error"),
    [
        (500, 500, "Answered 500."),
        (404, 404, "Answered 404."),
        (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), 302,
         "Answered 302, a redirect to http://169.254.169.254; redirects are not followed."),
        (GARBAGE, None, "The answer is not HTTP."),
        (CLOSE, None, "The connection was closed without an answer."),
        (HANG, None, "No whole answer within 0.5 s."),
    ],
    ids=["500", "404", "302", "garbage", "nothing", "silence"],
)  # fmt: skip
def test_a_failure_is_retried_with_the_same_id_and_bytes(
    receiver: Receiver, answer: Any, status: int | None, error: str
) -> None:
    webhook_for(receiver, timeout=0.5)
    receiver.answer(answer, answer, 200)
    log_in()
    for attempt in (1, 2):
        assert drain().postponed == 1
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.attempts, delivery.last_status) == ("pending", attempt, status)
        assert delivery.last_error == error
        make_due()
    assert drain().delivered == 1
    first, second, third = receiver.requests
    assert first.message_id == second.message_id == third.message_id
    assert first.body == second.body == third.body
    assert list(Attempt.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]
    assert Attempt.objects.get(number=1).error == error
    health = WebhookHealth.objects.get()
    assert (health.failures, health.failing_since) == (0, None)
    assert health.last_error


def test_a_refused_connection_is_a_failure_with_a_readable_line() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        Webhook.objects.create(event="*", webhook_url=f"http://127.0.0.1:{unused.getsockname()[1]}/")
    log_in()
    assert drain().postponed == 1
    assert Delivery.objects.get().last_error.startswith("Cannot connect to 127.0.0.1")


def test_the_schedule_says_when_and_ends(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_RETRY_SCHEDULE = [0, 100, 1000]
    webhook_for(receiver)
    receiver.answer(500)
    failed: list[Any] = []

    def on_failed(**kwargs: Any) -> None:
        failed.append((kwargs["delivery_id"], kwargs["reason"]))

    signals.delivery_failed.connect(on_failed)
    log_in()
    for delay in (100, 1000):
        drain()
        seconds = (Delivery.objects.get().due_at - timezone.now()).total_seconds()
        assert delay - 60 < seconds < delay * 1.1 + 60
        make_due()
    assert drain().failed == 1
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.reason, delivery.attempts) == ("failed", "exhausted", 3)
    assert delivery.finished_at is not None
    assert failed == [(delivery.pk, "exhausted")]


def test_retry_after_is_honoured_and_holds_the_webhook(receiver: Receiver) -> None:
    webhook_for(receiver)
    receiver.answer(Answer(status=429, headers={"Retry-After": "1200"}), 200)
    log_in()
    drain()
    assert (Delivery.objects.get().due_at - timezone.now()).total_seconds() > 1100
    enroll()
    assert drain().delivered == 0
    assert due.seconds_to_next(connection, within=1100) is None
    assert due.seconds_to_next(connection, within=1300) > 1100  # type: ignore[operator]
    make_due()
    assert drain().delivered == 2


def test_410_switches_the_webhook_off_and_parks_what_waits(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_CONFIG_TTL = 0.1
    webhook = webhook_for(receiver)
    told: list[int] = []

    def on_paused(**kwargs: Any) -> None:
        told.append(kwargs["webhook_id"])

    signals.webhook_paused.connect(on_paused)
    receiver.answer(500)
    log_in(1)
    drain()
    receiver.answer(410)
    log_in(2)
    WebhookHealth.objects.update(hold_until=None)
    drain()
    webhook.refresh_from_db()
    assert not webhook.enabled
    assert told == [webhook.pk]
    assert sorted(Delivery.objects.values_list("status", "reason")) == [("failed", "gone"), ("pending", "")]
    make_due()
    receiver.clear()
    drain()
    assert receiver.requests == []
    webhook.enabled = True
    webhook.save()
    receiver.answer(200)
    assert drain().delivered == 1


def test_a_refused_address_parks_with_the_entry_that_would_allow_it(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = []
    webhook_for(receiver)
    log_in()
    drain()
    delivery, health = Delivery.objects.get(), WebhookHealth.objects.get()
    assert (delivery.status, delivery.attempts) == ("pending", 0)
    assert "'127.0.0.1" in delivery.last_error
    assert "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS" in health.refusal
    assert health.refused_at is not None
    assert (health.failures, health.failing_since) == (0, None)
    assert receiver.requests == []
    make_due()
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1"]
    assert drain().delivered == 1
    assert WebhookHealth.objects.get().refused_at is None


def test_a_webhook_that_cannot_be_called_parks_and_says_why(receiver: Receiver) -> None:
    webhook_for(receiver, headers="no colon here")
    webhook_for(receiver, webhook_url="ftp://example.com/")
    webhook_for(receiver, secret="whsec_short")
    webhook_for(receiver)
    log_in()
    assert drain().delivered == 1
    assert Delivery.objects.filter(status="pending", attempts=0).exclude(last_error="").count() == 3


def test_a_paused_webhook_goes_on_recording_and_resumes_in_order(receiver: Receiver) -> None:
    webhook = webhook_for(receiver)
    health = WebhookHealth.objects.create(webhook=webhook, paused_at=timezone.now(), failing_since=timezone.now())
    for number in range(5):
        log_in(number)
    assert drain().delivered == 0
    health.paused_at = None
    health.save()
    assert drain().delivered == 5
    assert [request.json()["user"]["id"] for request in receiver.requests] == [0, 1, 2, 3, 4]


def test_nothing_but_failure_pauses(receiver: Receiver) -> None:
    webhook = webhook_for(receiver)
    WebhookHealth.objects.create(webhook=webhook, failures=9, failing_since=timezone.now() - timedelta(days=6))
    receiver.answer(500)
    log_in()
    drain()
    health = WebhookHealth.objects.get()
    assert health.paused_at is not None
    assert "resume" in health.pause_reason
    log_in()
    make_due()
    receiver.answer(200)
    assert drain().delivered == 0
    assert Delivery.objects.filter(status="pending").count() == 2


def test_what_is_parked_longer_than_the_retention_expires(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = webhook_for(receiver)
    log_in()
    log_in()
    WebhookHealth.objects.create(webhook=webhook, paused_at=timezone.now())
    old = Delivery.objects.earliest("id")
    Delivery.objects.filter(pk=old.pk).update(due_at=timezone.now() - timedelta(days=31))
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    Webhook.objects.update(enabled=False)
    assert expiry.expire(connection) == 0, "what waits for a webhook that is switched off waits on"
    Webhook.objects.update(enabled=True)
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    assert expiry.expire(connection) == 1
    assert expiry.expire(connection) == 0
    old.refresh_from_db()
    assert (old.status, old.reason) == ("failed", "expired")
    assert Delivery.objects.filter(webhook=webhook, status="pending").count() == 1


def test_what_was_recorded_for_a_webhook_deleted_meanwhile_ends(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook_for(receiver)
    log_in()
    Delivery.objects.update(webhook_id=999_999)
    monkeypatch.setattr(expiry, "_next_look", 0.0)
    assert expiry.expire(connection) == 1
    assert (Delivery.objects.get().status, Delivery.objects.get().reason) == ("failed", "deleted")


def test_the_lease_of_a_dead_worker_ends(receiver: Receiver) -> None:
    webhook_for(receiver)
    log_in()
    now = timezone.now()
    for ends in (now - timedelta(seconds=1), now + timedelta(hours=1)):
        Delivery.objects.update(status="leased", token="dead", due_at=ends)
        assert claim.sweep(connection) == 1
        assert Delivery.objects.get().status == "pending"
    Delivery.objects.update(status="leased", token="alive", due_at=now + timedelta(seconds=45))
    assert claim.sweep(connection) == 0


@pytest.mark.parametrize("late", [500, 410])
def test_what_a_late_worker_brings_is_logged_and_changes_nothing(
    receiver: Receiver, late: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The lease ends while the request is under way, and another worker delivers first."""
    webhook_for(receiver)
    log_in()
    receiver.answer(Answer(status=late, delay=0.3))
    received = threading.Event()

    def overtake() -> None:
        receiver.wait_for(1)
        Delivery.objects.update(status="delivered", token=None, attempts=7)
        received.set()
        connection.close()

    thread = threading.Thread(target=overtake)
    thread.start()
    drain()
    thread.join()
    assert received.is_set()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts) == ("delivered", 7)
    assert Webhook.objects.get().enabled
    assert not WebhookHealth.objects.exists()
    assert f"({late}) changes nothing" in caplog.text


NASTY = [
    Answer(body=b"\xff\xfe\x00 not text"),
    Answer(body="\N{PILE OF POO}".encode() * 1000),
    Answer(body=b"x" * 100_000),
    Answer(headers={"X-Long": "y" * 5000}),
    Answer(status=500, headers={"Location": "z" * 4000}),
    Answer(status=301, headers={"Location": "\udcff".encode("utf-8", "surrogatepass").decode("latin-1") * 300}),
    Answer(status=999),
]


def test_recording_is_total(receiver: Receiver) -> None:
    webhook_for(receiver)
    for _ in range(2 * len(NASTY)):
        log_in()
    answers = [answer for nasty in NASTY for answer in (nasty, Answer())]
    receiver.answer(*answers)
    while Delivery.objects.filter(attempts=0).exists():
        drain()
        WebhookHealth.objects.update(hold_until=None)
    assert Delivery.objects.filter(status="leased").count() == 0
    assert Attempt.objects.count() == 2 * len(NASTY)
    assert max(len(a.response_body) for a in Attempt.objects.all()) <= 16 * 1024


def test_one_row_that_cannot_be_written_does_not_take_its_neighbours_along(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    webhook_for(receiver)
    receiver.answer(Answer(body=b"fine"), Answer(body=b"POISON"), Answer(body=b"fine"))
    for _ in range(3):
        log_in()

    def refuse(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        if sql.startswith("INSERT INTO openedx_webhooks_attempt") and "POISON" in params.values():
            from django.db import DataError

            raise DataError(1366, "Incorrect string value")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        assert drain().delivered == 3
    assert Delivery.objects.filter(status="delivered").count() == 3
    bodies = sorted(Attempt.objects.values_list("response_body", flat=True))
    assert bodies == [record.UNWRITABLE, "fine", "fine"]


def test_a_second_drain_returns_and_leaves_its_mark(receiver: Receiver) -> None:
    webhook_for(receiver)
    held = slot.take(connection)
    assert held is not None
    log_in()
    assert engine.drain() is None
    assert held.marked()
    assert held.clear_mark()
    assert engine.drain() is None
    assert held.release(), "a holder that releases learns of the wake-ups it did not see"
    assert drain().delivered == 1


def test_a_slot_whose_holder_died_is_taken_over() -> None:
    dead = slot.take(connection)
    assert dead is not None
    assert slot.take(connection) is None
    from openedx_webhooks.models import DrainSlot

    DrainSlot.objects.update(until=timezone.now() - timedelta(seconds=1))
    alive = slot.take(connection)
    assert alive is not None
    assert not dead.renew()
    assert not dead.release()
    assert alive.renew()
    DrainSlot.objects.update(until=timezone.now() + timedelta(hours=1))
    assert slot.take(connection) is not None, "the clock stepped back"


def test_one_planned_wake_up_is_enough() -> None:
    held = slot.take(connection)
    assert held is not None
    assert slot.plan_wake_up(connection, 30)
    assert not slot.plan_wake_up(connection, 40)
    assert slot.plan_wake_up(connection, 5)


def test_a_receiver_that_hangs_costs_sockets_and_nobody_else(receiver: Receiver) -> None:
    """All of a healthy webhook's deliveries are recorded while the hanging one's are still under way."""
    with Receiver() as hanging:
        hanging.answer(HANG)
        webhook_for(hanging, timeout=30)
        healthy = webhook_for(receiver)
        for number in range(200):
            log_in(number)
        stop = threading.Event()
        worker = threading.Thread(target=lambda: (engine.drain(stop=stop.is_set), connection.close()))
        worker.start()
        receiver.wait_for(200)
        deadline = threading.Event()
        for _ in range(200):
            if Delivery.objects.filter(webhook=healthy, status="delivered").count() == 200:
                break
            deadline.wait(0.05)
        assert Delivery.objects.filter(webhook=healthy, status="delivered").count() == 200
        assert len(hanging.requests) <= 4
        stop.set()
        hanging.stop()
        worker.join(timeout=20)
        assert not worker.is_alive()


def test_a_failing_webhook_is_probed_one_at_a_time(receiver: Receiver) -> None:
    webhook = webhook_for(receiver)
    WebhookHealth.objects.create(webhook=webhook, failures=3, failing_since=timezone.now())
    for number in range(20):
        log_in(number)
    receiver.answer(Answer(status=500, delay=0.05))
    drain()
    assert len(receiver.requests) == 1
    assert WebhookHealth.objects.get().hold_until is not None


def test_a_deleted_event_ends_its_deliveries(receiver: Receiver) -> None:
    webhook_for(receiver)
    log_in()
    Event.objects.all().delete()
    drain()
    assert (Delivery.objects.get().status, Delivery.objects.get().reason) == ("failed", "unreadable")
    assert receiver.requests == []


def test_many_webhooks_each_get_their_turn(receiver: Receiver) -> None:
    Webhook.objects.bulk_create(
        Webhook(event="*" if number % 60 == 0 else "SESSION_LOGIN_COMPLETED", webhook_url=receiver.url(f"/{number}"))
        for number in range(1200)
    )
    enroll()
    log_in()
    total = 20 + 1200
    assert drain().delivered == total
    assert len({request.path for request in receiver.requests}) == 1200
