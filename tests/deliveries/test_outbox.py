"""What the request writes: all of an event or nothing, for whom it is meant, and at what price."""

from __future__ import annotations

import json

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from openedx_webhooks import subscriptions
from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Delivery, Event, Webhook
from openedx_webhooks.testing import Receiver
from tests.deliveries.events import enroll, log_in

pytestmark = pytest.mark.django_db(transaction=True)

URL = "http://127.0.0.1:9/hook"
LOGIN = "org.openedx.learning.auth.session.login.completed.v1"


def test_an_event_without_webhook_costs_no_query() -> None:
    Webhook.objects.create(event="COURSE_ENROLLMENT_CREATED", webhook_url=URL)
    log_in()  # Reads the configuration once.
    with CaptureQueriesContext(connection) as queries:
        for _ in range(10):
            log_in()
    assert len(queries) == 0


def test_two_inserts_in_one_savepoint() -> None:
    for _ in range(3):
        Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=URL)
    log_in()
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        log_in()
    kinds = [statement.split()[0] for query in queries for statement in query["sql"].split("; ")]
    if connection.vendor == "mysql":
        assert (len(queries), kinds) == (1, ["SAVEPOINT", "INSERT", "INSERT"])
    else:
        assert (len(queries), kinds) == (4, ["SAVEPOINT", "INSERT", "INSERT", "RELEASE"])
    assert [event.deliveries.count() for event in Event.objects.all()] == [3, 3]


def test_what_is_rolled_back_is_never_sent(receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enroll()
        raise ZeroDivisionError
    with transaction.atomic():
        log_in()
        point = transaction.savepoint()
        enroll()
        transaction.savepoint_rollback(point)
    engine.drain()
    (only,) = receiver.requests
    assert only.json()["event_metadata"]["event_type"] == LOGIN
    assert Event.objects.count() == 1


def test_without_a_transaction_an_event_is_never_there_without_its_deliveries(monkeypatch: pytest.MonkeyPatch) -> None:
    Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=URL)
    log_in()

    def refuse(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        return execute(sql.replace("INTO openedx_webhooks_delivery", "INTO no_such_table"), params, many, context)

    with connection.execute_wrapper(refuse):
        log_in()
    assert Event.objects.count() == Delivery.objects.count() == 1


def test_an_error_of_ours_leaves_the_request_whole(caplog: pytest.LogCaptureFixture) -> None:
    Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=URL)
    log_in()

    def refuse(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        return execute(sql.replace("INTO openedx_webhooks_event", "INTO no_such_table"), params, many, context)

    with transaction.atomic():
        with connection.execute_wrapper(refuse):
            log_in()
        Webhook.objects.create(event="*", webhook_url=URL, description="written after the error")
    assert Webhook.objects.filter(description="written after the error").exists()
    assert "was not recorded: " in caplog.text
    assert "learner1" not in caplog.text


@pytest.mark.parametrize("debug", [False, True])
def test_nothing_is_raised_into_the_platform(debug: bool, settings, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    settings.DEBUG = debug
    monkeypatch.setattr(subscriptions, "webhooks", lambda event_type: 1 / 0)
    log_in()


def test_every_webhook_of_an_event_gets_a_delivery_in_its_own_encoding(receiver: Receiver) -> None:
    for fields in (
        {"event": "SESSION_LOGIN_COMPLETED"},
        {"event": LOGIN, "use_www_form_encoding": True},
        {"event": "SESSION_*", "format": "cloudevents"},
        {"event": "*", "format": "legacy"},
        {"event": "*", "format": None},
        {"event": "*", "enabled": False},
        {"event": "COURSE_ENROLLMENT_CREATED"},
    ):
        Webhook.objects.create(webhook_url=receiver.url(), **fields)
    log_in()
    assert list(Delivery.objects.order_by("webhook_id").values_list("encoding", flat=True)) == [
        "default", "form", "cloudevents", "legacy", "legacy",
    ]  # fmt: skip
    engine.drain()
    got = receiver.wait_for(5)
    assert len({request.message_id for request in got}) == 1
    types = sorted(request.headers["content-type"].split(";")[0] for request in got)
    assert types == ["application/cloudevents+json", *["application/json"] * 3, "application/x-www-form-urlencoded"]


def test_a_webhook_is_limited_to_its_courses_and_organizations() -> None:
    def limited(**fields: str) -> Webhook:
        return Webhook.objects.create(event="*", webhook_url=URL, **fields)

    here = [limited(courses="course-v1:edX+*"), limited(organizations="MITx\nedX"), limited()]
    limited(courses="course-v1:MITx+*")
    limited(courses="course-v1:edX+*", organizations="MITx")
    enroll("course-v1:edX+DemoX+2026")
    assert set(Delivery.objects.values_list("webhook_id", flat=True)) == {webhook.pk for webhook in here}
    Delivery.objects.all().delete()
    log_in()
    assert list(Delivery.objects.values_list("webhook_id", flat=True)) == [here[2].pk]


def test_above_fifty_webhooks_the_drain_fans_out(receiver: Receiver) -> None:
    webhooks = [Webhook(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url()) for _ in range(51)]
    for webhook in webhooks:
        webhook.save()
    Webhook.objects.filter(pk=webhooks[0].pk).update(use_www_form_encoding=True)
    with CaptureQueriesContext(connection) as queries:
        log_in()
    assert sum("INSERT" in query["sql"] for query in queries) == 1
    assert Delivery.objects.count() == 0
    late = Webhook.objects.create(event="*", webhook_url=receiver.url())
    engine.drain()
    assert len(receiver.requests) == 51
    assert Delivery.objects.filter(status="delivered").count() == 51
    assert not Delivery.objects.filter(webhook=late).exists()
    assert Delivery.objects.get(webhook=webhooks[0]).encoding == "form"


def test_a_body_above_the_limit_is_cut_and_arrives(receiver: Receiver, settings) -> None:  # type: ignore[no-untyped-def]
    settings.OPENEDX_WEBHOOKS_MAX_BODY = 4096
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    enroll(name="x" * 10_000)
    engine.drain()
    (got,) = receiver.requests
    assert len(got.body) <= 4096
    assert got.json()["enrollment"]["user"]["pii"]["username"] == "learner1"
    assert json.loads(Event.objects.get().body) == got.json()


def test_what_comes_from_the_event_bus_is_left_out_unless_asked_for(settings) -> None:  # type: ignore[no-untyped-def]
    from openedx_events.learning.signals import SESSION_LOGIN_COMPLETED

    from tests.deliveries.events import a_user

    Webhook.objects.create(event="*", webhook_url=URL)
    metadata = SESSION_LOGIN_COMPLETED.generate_signal_metadata()
    for wanted in (False, True):
        settings.OPENEDX_WEBHOOKS_FROM_EVENT_BUS = wanted
        SESSION_LOGIN_COMPLETED.send_event_with_custom_metadata(metadata, user=a_user())
        assert Event.objects.count() == wanted
    assert Event.objects.get().message_id == str(metadata.id)
