"""Who may only look learns no credential, and a save takes back nothing that happened meanwhile."""

import re
import uuid

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from openedx_webhooks import api, egress
from openedx_webhooks.models import Delivery, Webfilter, Webhook
from tests.admin.test_webhooks import PUBLIC, form, press, text

KINDS = ("webhook", "webfilter")
URL = "https://receiver.example.com/services/T0/path-token"


def listing(kind):
    return reverse(f"admin:openedx_webhooks_{kind}_changelist")


def page(kind, row):
    return reverse(f"admin:openedx_webhooks_{kind}_change", args=[row.pk])


@pytest.fixture
def rows(db):
    values = {"webhook_url": URL, "headers": "Authorization: hunter2", "previous_secret": "whsec_old"}
    return {
        "webhook": Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", **values),
        "webfilter": Webfilter.objects.create(event="StudentLoginRequested", **values),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "lookup",
    [
        {"secret__regex": "^whsec_"},
        {"secret": "x"},
        {"previous_secret__startswith": "whsec_o"},
        {"headers__contains": "hunter2"},
        {"webhook_url__contains": "path-token"},
    ],
)
def test_a_list_is_no_oracle_of_credentials(browser, rows, kind, lookup):
    """Django takes any field's lookup in a list's address; one row or none would tell letter after letter."""
    response = browser.get(listing(kind), lookup)

    assert response.status_code in (302, 400)
    assert "e=1" in response.headers.get("Location", "e=1")
    assert browser.get(listing(kind), {"enabled__exact": "1"}).context["cl"].result_count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_only_look_sees_the_host_alone(browser_with, browser, rows, kind):
    looker = browser_with(f"view_{kind}")

    for address in (listing(kind), page(kind, rows[kind])):
        seen = text(looker.get(address))
        assert "receiver.example.com" in seen
        assert "path-token" not in seen
        assert "path-token" in text(browser.get(address))
    assert looker.get(listing(kind), {"q": "path-token"}).context["cl"].result_count == 0
    assert browser.get(listing(kind), {"q": "path-token"}).context["cl"].result_count == 1


def test_deliveries_show_urls_to_those_who_may_change_webhooks(
    browser_with, browser, rows, make_delivery, make_attempt
):
    delivery = make_delivery("failed", to=rows["webhook"])
    make_attempt(delivery)
    looker = browser_with("view_delivery")

    for address in (listing("delivery"), page("delivery", delivery)):
        assert "path-token" not in text(looker.get(address))
    assert "path-token" in text(browser.get(page("delivery", delivery)))


def test_where_an_answer_leads_is_shown_to_those_who_may_change_webhooks(
    browser_with, browser, rows, make_delivery, make_attempt
):
    delivery = make_delivery("failed", to=rows["webhook"])
    leads = "https://elsewhere.example.com/services/T0/path-token"
    make_attempt(delivery, status=302, response_headers=f"location: {leads}\nContent-Location: {leads}\nx-a: 1")

    seen = text(browser_with("view_delivery").get(page("delivery", delivery)))

    assert "location: elsewhere.example.com Content-Location: elsewhere.example.com x-a: 1" in seen
    assert "path-token" not in seen
    assert f"location: {leads}" in text(browser.get(page("delivery", delivery)))


@pytest.mark.parametrize("kind", KINDS)
def test_headers_that_cannot_be_parsed_are_no_error_page(browser_with, rows, kind):
    type(rows[kind]).objects.update(headers="no colon hunter2")

    response = browser_with(f"view_{kind}").get(page(kind, rows[kind]))

    assert response.status_code == 200
    assert "Line 1: write &#x27;Name: value&#x27;" in text(response)
    assert "hunter2" not in text(response)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unreadable_secret_is_refused_in_a_sentence(browser, rows, kind):
    type(rows[kind]).objects.update(secret="whsec_short")

    response = browser.post(page(kind, rows[kind]), form(event=rows[kind].event))

    assert response.status_code == 200
    assert "secret" in str(response.context["adminform"].form.non_field_errors())


@pytest.mark.parametrize("kind", KINDS)
def test_a_save_takes_back_nothing_that_happened_meanwhile(browser, rows, kind, monkeypatch):
    """While the save looks the address up, the secret is rotated and the receiver's 410 switches the row off."""
    model = type(rows[kind])

    def meanwhile(*_args):
        model.objects.update(secret="rotated", enabled=False)

    monkeypatch.setattr(egress, "refusal_of", meanwhile)
    values = form(event=rows[kind].event, webhook_url=URL, headers=rows[kind].headers, description="new")
    browser.post(page(kind, rows[kind]), values)

    row = model.objects.get()
    assert (row.description, row.secret, row.enabled) == ("new", "rotated", False)
    assert row.modified > rows[kind].modified


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_the_published_package_gets_what_it_lacks(browser, rows, kind):
    model = type(rows[kind])
    model.objects.update(format=None, secret=None)

    browser.post(page(kind, rows[kind]), form(event=rows[kind].event, webhook_url=PUBLIC, format="legacy"))

    row = model.objects.get()
    assert row.format == "legacy"
    assert row.secret.startswith("whsec_")


def test_a_test_event_says_where_it_stands(browser, webhook):
    def answer():
        [message] = press(browser, webhook, "test").context["messages"]
        return message.level_tag, str(message)

    api.pause_webhook(webhook.pk, "why")
    level, sentence = answer()
    assert level == "warning"
    assert "is parked until the webhook is live: Paused." in sentence

    Webhook.objects.update(event="EVENT_OF_ANOTHER_RELEASE")
    assert answer() == ("warning", "Nothing is sent: its event is none of this platform.")


def test_nothing_is_looked_up_for_those_who_may_not_look(browser_with, rows, make_delivery, monkeypatch):
    asked = []
    monkeypatch.setattr(egress, "refusal_of", lambda *args: asked.append(args))
    stranger = browser_with("view_incident")
    delivery = make_delivery()

    assert stranger.get(listing("webhook")).status_code == 403
    assert stranger.get(page("delivery", delivery)).status_code == 403
    assert asked == []


def test_a_word_that_is_no_webhook_id_reads_no_events(browser, make_delivery, django_assert_max_num_queries):
    make_delivery()
    with django_assert_max_num_queries(20) as queries:
        response = browser.get(listing("delivery"), {"q": "word"})

    assert response.context["cl"].result_count == 0
    assert not [query for query in queries.captured_queries if "'word'" in query["sql"]]


FORMS = re.compile(r'<form[^>]*action="([^"]*/(?:do|rotate|replay)/[^"]*)"[^>]*>(.*?)</form>', re.DOTALL)


@pytest.mark.django_db
@override_settings(OPENEDX_WEBHOOKS_ALLOWED_NETWORKS=[])
def test_every_button_works_as_it_is_rendered(admin_user, rows, make_delivery):
    """With Django's protection against forged requests on, which a test's client switches off."""
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    delivery = make_delivery("failed", to=rows["webhook"], message_id=str(uuid.uuid1()))
    pressed = []
    for address in (*(page(kind, rows[kind]) for kind in KINDS), page("delivery", delivery)):
        for action, inside in FORMS.findall(browser.get(address).content.decode()):
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', inside)
            answer = browser.post(action or address, {"csrfmiddlewaretoken": token[1]} if token else {})
            pressed.append((action.strip("/").rpartition("/")[2], answer.status_code))
    assert pressed == [(what, 302) for what in ("test", "rotate", "pause", "rotate", "replay")]
    assert Delivery.objects.get(pk=delivery.pk).status == "pending"
