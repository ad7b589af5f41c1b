"""Deliveries in the admin: what is listed, how it is found, what a page shows, and sending again."""

import html
import re
import uuid
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from openedx_webhooks import api
from openedx_webhooks.admin.readonly import BoundedPaginator
from openedx_webhooks.models import Delivery, Event, Incident, Webhook, WebhookHealth

LIST = "admin:openedx_webhooks_delivery_changelist"


def page_of(browser, **params):
    return browser.get(reverse(LIST), params)


def listed(browser, **params):
    return [row.pk for row in page_of(browser, **params).context["cl"].result_list]


def detail(browser, delivery):
    return browser.get(reverse("admin:openedx_webhooks_delivery_change", args=[delivery.pk]))


def text(response):
    return re.sub(r"\s+", " ", response.content.decode())


def test_the_newest_come_first_with_their_facts(browser, webhook, make_delivery):
    old = make_delivery("failed", attempts=10, last_status=503, last_error="Answered 503.", reason="exhausted")
    new = make_delivery("delivered", attempts=1, last_status=200)

    response = page_of(browser)

    assert [row.pk for row in response.context["cl"].result_list] == [new.pk, old.pk]
    page = text(response)
    assert "503 · Answered 503. · Every scheduled attempt failed" in page
    assert "receiver.example.com" in page
    assert "SESSION_<wbr>LOGIN_<wbr>COMPLETED" in page


def test_nobody_adds_changes_or_deletes(browser, make_delivery):
    delivery = make_delivery("failed")

    assert browser.get(reverse("admin:openedx_webhooks_delivery_add")).status_code == 403
    assert browser.post(reverse("admin:openedx_webhooks_delivery_delete", args=[delivery.pk])).status_code == 403
    url = reverse("admin:openedx_webhooks_delivery_change", args=[delivery.pk])
    assert browser.post(url, {"status": "delivered"}).status_code == 403
    browser.post(reverse(LIST), {"action": "delete_selected", "_selected_action": [delivery.pk], "post": "yes"})
    assert Delivery.objects.get().status == "failed"


def test_it_takes_a_permission_to_look(browser_with, make_delivery):
    make_delivery()
    assert browser_with("view_webhook").get(reverse(LIST)).status_code == 403


@pytest.mark.parametrize("why", ["off", "paused", "refused"])
def test_parked_is_shown_and_found_where_the_webhook_does_not_take_deliveries(browser, webhook, make_delivery, why):
    other = Webhook.objects.create(event="*", webhook_url="https://other.example.com/", enabled=why != "off")
    health = {"off": {}, "paused": {"paused_at": timezone.now()}, "refused": {"refused_at": timezone.now()}}[why]
    WebhookHealth.objects.create(webhook=other, pause_reason="Paused by ada.", refusal="Refused as private.", **health)
    parked, done = make_delivery(to=other), make_delivery("delivered", to=other)
    pending = make_delivery()

    assert listed(browser, status="parked") == [parked.pk]
    assert listed(browser, status="pending") == [pending.pk]
    assert listed(browser, status="delivered") == [done.pk]
    sentence = {"off": "switched off", "paused": "Paused by ada.", "refused": "Refused as private."}[why]
    page = text(detail(browser, parked))
    assert ">Parked<" in page
    assert sentence in page
    assert ">Parked<" not in text(detail(browser, done))


@pytest.mark.parametrize("status", ["leased", "failed"])
def test_filter_by_status(browser, make_delivery, status):
    make_delivery("delivered")
    found = make_delivery(status)

    assert listed(browser, status=status) == [found.pk]


def test_filters_by_event_webhook_and_age_together(browser, webhook, make_delivery):
    other = Webhook.objects.create(event="*", webhook_url="https://other.example.com/")
    ancient = make_delivery(age=timedelta(days=30))
    yesterday = make_delivery(age=timedelta(hours=20), event="COURSE_ENROLLMENT_CREATED")
    now = make_delivery(to=other)

    assert listed(browser, event="COURSE_ENROLLMENT_CREATED") == [yesterday.pk]
    assert listed(browser, webhook=other.pk) == [now.pk]
    assert listed(browser, created="hour") == [now.pk]
    assert listed(browser, created="day") == [now.pk, yesterday.pk]
    assert listed(browser, created="week", webhook=webhook.pk, event="COURSE_ENROLLMENT_CREATED") == [yesterday.pk]
    assert listed(browser, webhook="x", created="x", status="x", event="") == [now.pk, yesterday.pk, ancient.pk]


def test_the_selects_keep_the_other_filters(browser, webhook, make_delivery):
    make_delivery()

    page = text(page_of(browser, status="pending", event="SESSION_LOGIN_COMPLETED", webhook=webhook.pk))

    assert '<option value="SESSION_LOGIN_COMPLETED" selected>' in page
    assert '<input type="hidden" name="status" value="pending">' in page
    assert f'<input type="hidden" name="webhook" value="{webhook.pk}">' in page


@pytest.mark.parametrize("make_id", [uuid.uuid1, uuid.uuid4])
def test_search_by_the_whole_webhook_id(browser, make_delivery, make_id):
    message_id = str(make_id())
    make_delivery(message_id=str(uuid.uuid1()))
    found = make_delivery(message_id=message_id)
    make_delivery(message_id=str(uuid.uuid1()))

    assert listed(browser, q=f" {message_id} ") == [found.pk]
    assert listed(browser, q=message_id[:-1]) == []


def test_search_finds_an_event_whose_row_was_written_long_after(browser, make_delivery):
    message_id = str(uuid.uuid1())
    found = make_delivery(message_id=message_id, age=timedelta(days=-2))

    assert listed(browser, q=message_id) == [found.pk]


def test_search_by_the_number_of_a_delivery(browser, make_delivery):
    first, _second = make_delivery(), make_delivery()

    assert listed(browser, q=str(first.pk)) == [first.pk]
    assert listed(browser, q="9" * 40) == []


def test_what_was_sent_to_a_deleted_webhook_stays_listed(browser, webhook, make_delivery):
    delivery, number = make_delivery("delivered"), webhook.pk
    webhook.delete()

    assert f"deleted webhook #{number}" in text(page_of(browser))
    assert listed(browser, webhook=number) == [delivery.pk]
    page = text(detail(browser, delivery))
    assert f"deleted webhook #{number}" in page
    assert "/replay/" not in page


def test_what_has_lost_its_event_can_be_looked_at(browser, make_delivery):
    delivery = make_delivery("delivered")
    Event.objects.all().delete()

    assert page_of(browser).status_code == 200
    assert detail(browser, delivery).status_code == 200


def test_the_list_costs_the_same_with_many_rows(browser, webhook, make_delivery, django_assert_max_num_queries):
    event = make_delivery().event
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(event=event, webhook=webhook, encoding="default", status="delivered", due_at=now, created=now)
        for _ in range(300)
    )

    with django_assert_max_num_queries(10) as queries:
        page_of(browser)

    assert not any("body" in query["sql"] for query in queries.captured_queries)
    counts = [query["sql"] for query in queries.captured_queries if "COUNT(" in query["sql"]]
    assert counts
    assert all("LIMIT" in sql for sql in counts if "openedx_webhooks_delivery" in sql)


def test_more_than_can_be_counted_is_paged_up_to_the_limit(browser, webhook, make_delivery, monkeypatch):
    monkeypatch.setattr(BoundedPaginator, "limit", 150)
    event = make_delivery().event
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(event=event, webhook=webhook, encoding="default", status="delivered", due_at=now, created=now)
        for _ in range(300)
    )

    response = page_of(browser)
    assert response.context["cl"].result_count == 150
    assert "The newest 150 are listed" in text(response)
    assert len(listed(browser, p=2)) == 50
    assert "are listed" not in text(page_of(browser, status="pending"))


def test_a_page_shows_the_request_and_every_attempt_without_credentials(browser, make_delivery, make_attempt):
    delivery = make_delivery("failed", attempts=2, reason="exhausted", size=1234)
    make_attempt(delivery)
    make_attempt(
        delivery, number=2, status=None, error="The name has no address.", response_headers="", response_body=""
    )

    page = text(detail(browser, delivery))

    assert "hunter" not in page
    assert "X-Tenant-Key: ••••" in page
    assert "set-cookie: ••••" in page
    assert "webhook-id: m-1" in page
    assert "&quot;name&quot;: &quot;Ada é&quot;" in page
    assert "&lt;b&gt;later&lt;/b&gt;" in page
    assert page.index("<span>#2</span>") < page.index("<span>#1</span>")
    assert "The name has no address." in page
    assert "321 ms" in page
    assert "Every scheduled attempt failed" in page


def test_a_form_body_is_shown_by_its_fields(browser, make_delivery):
    page = text(detail(browser, make_delivery(encoding="form")))

    assert "user_name = Ada é user_id = 3" in page


@pytest.mark.parametrize("encoding", ["form", "cloudevents"])
@pytest.mark.parametrize("stored", ["{broken", '["a list"]', '{"form": 5, "cloudevents": 5}', "[" * 100_000])
def test_bodies_that_cannot_be_read_are_shown_as_they_are_stored(browser, make_delivery, encoding, stored):
    delivery = make_delivery("failed", encoding=encoding, reason="unreadable")
    Event.objects.update(other_bodies=stored)

    response = detail(browser, delivery)

    assert response.status_code == 200
    assert stored in html.unescape(response.content.decode())
    assert "The event cannot be read" in text(response)


@pytest.mark.parametrize("status", ["delivered", "failed"])
def test_send_again_by_button(browser, make_delivery, status):
    delivery = make_delivery(status, finished_at=timezone.now())
    event = delivery.event_id
    assert "/replay/" in text(detail(browser, delivery))

    response = browser.post(reverse("admin:openedx_webhooks_delivery_replay", args=[delivery.pk]), follow=True)

    delivery.refresh_from_db()
    assert (delivery.status, delivery.event_id) == ("pending", event)
    assert "1 delivery is sent again." in text(response)
    assert "/replay/" not in text(response)


def test_send_again_by_action_says_what_was_left(browser, make_delivery):
    done, waiting = make_delivery("failed"), make_delivery("leased")

    response = browser.post(
        reverse(LIST), {"action": "send_again", "_selected_action": [done.pk, waiting.pk]}, follow=True
    )

    assert "1 delivery is sent again." in text(response)
    assert "1 left as they are" in text(response)
    assert Delivery.objects.get(pk=done.pk).status == "pending"
    assert Delivery.objects.get(pk=waiting.pk).status == "leased"


def test_send_again_to_a_paused_webhook_is_parked(browser, webhook, make_delivery):
    delivery = make_delivery("failed")
    api.pause_webhook(webhook.pk, "why")

    response = browser.post(reverse("admin:openedx_webhooks_delivery_replay", args=[delivery.pk]), follow=True)

    assert ">Parked<" in text(response)


def test_send_again_wants_a_post_and_the_permission(browser, browser_with, make_delivery):
    delivery = make_delivery("failed")
    url = reverse("admin:openedx_webhooks_delivery_replay", args=[delivery.pk])
    looker = browser_with("view_delivery")

    assert browser.get(url).status_code == 405
    assert browser.post(reverse("admin:openedx_webhooks_delivery_replay", args=[10**6])).status_code == 404
    assert looker.post(url).status_code == 403
    looker.post(reverse(LIST), {"action": "send_again", "_selected_action": [delivery.pk]})
    assert "/replay/" not in text(detail(looker, delivery))
    assert Delivery.objects.get().status == "failed"


def test_incidents_are_listed_and_may_be_cleared(browser, browser_with):
    now = timezone.now()
    row = Incident.objects.create(kind="wake-up", count=12, first_at=now, last_at=now, detail="The broker refused.")
    url = reverse("admin:openedx_webhooks_incident_changelist")

    assert "The broker refused." in text(browser.get(url))
    assert browser.get(reverse("admin:openedx_webhooks_incident_add")).status_code == 403
    delete = reverse("admin:openedx_webhooks_incident_delete", args=[row.pk.replace("-", "_2D")])
    assert browser_with("view_incident").post(delete, {"post": "yes"}).status_code == 403
    browser.post(reverse("admin:openedx_webhooks_incident_delete", args=[row.pk]), {"post": "yes"})
    assert not Incident.objects.exists()
