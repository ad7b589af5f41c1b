"""Webhooks in the admin: the form and its sentences, the list, the switches, and who may see what."""

import html
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from openedx_webhooks import api
from openedx_webhooks.models import Delivery, Webhook, WebhookHealth

LIST = "admin:openedx_webhooks_webhook_changelist"
PUBLIC = "https://93.184.216.34/hook"
"""An address, not a name: saving looks names up."""


def form(**values):
    return {
        "description": "",
        "event": "SESSION_LOGIN_COMPLETED",
        "webhook_url": PUBLIC,
        "enabled": "on",
        "format": "default",
        "courses": "",
        "organizations": "",
        "headers": "",
        "timeout": "",
        **values,
    }


def add(browser, **values):
    return browser.post(reverse("admin:openedx_webhooks_webhook_add"), form(**values), follow=True)


def change_url(webhook):
    return reverse("admin:openedx_webhooks_webhook_change", args=[webhook.pk])


def change(browser, webhook, **values):
    return browser.post(change_url(webhook), form(**values), follow=True)


def press(browser, webhook, what):
    return browser.post(reverse("admin:openedx_webhooks_webhook_do", args=[webhook.pk, what]), follow=True)


def messages(response):
    return [str(message) for message in response.context["messages"]]


def text(response):
    return re.sub(r"\s+", " ", response.content.decode())


def test_a_saved_webhook_has_a_secret_and_is_said_to_be_live_soon(browser):
    with override_settings(OPENEDX_WEBHOOKS_CONFIG_TTL=7):
        response = add(browser, description="CRM", headers="X-A: 1", courses="course-v1:edX+*", timeout="3.5")

    webhook = Webhook.objects.get()
    assert (webhook.description, webhook.headers, webhook.courses) == ("CRM", "X-A: 1", "course-v1:edX+*")
    assert webhook.timeout == 3.5
    assert webhook.secret.startswith("whsec_")
    assert any("within 7 seconds" in message for message in messages(response))
    assert not any("refused" in message for message in messages(response))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"webhook_url": "ftp://example.com"}, "The scheme must be http or https"),
        ({"event": "SESION_LOGIN_COMPLETED"}, "Did you mean SESSION_LOGIN_COMPLETED"),
        ({"event": "ZZZ_*"}, "No event of this platform"),
        ({"event": ""}, "This field is required."),
        ({"format": "cloudevents", "use_www_form_encoding": "on"}, "CloudEvents are JSON"),
        ({"headers": "Host: evil"}, "Line 1: Host is set by the delivery itself"),
        ({"timeout": "0"}, "A timeout lies between 0.1 and 60.0 seconds."),
    ],
)
def test_what_could_never_be_delivered_is_refused_in_a_sentence(browser, values, sentence):
    response = add(browser, **values)

    assert sentence in text(response)
    assert not Webhook.objects.exists()


def test_a_refused_address_is_saved_with_the_setting_that_allows_it(browser):
    response = add(browser, webhook_url="http://10.1.2.3:8080/")

    assert Webhook.objects.get().webhook_url == "http://10.1.2.3:8080/"
    (warning,) = [message for message in messages(response) if "refused" in message]
    assert "'10.1.2.3'" in warning
    assert "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS" in warning


@override_settings(OPENEDX_WEBHOOKS_ALLOWED_NETWORKS=["10.0.0.0/8"])
def test_an_allowed_address_is_saved_without_a_warning(browser):
    response = add(browser, webhook_url="http://10.1.2.3:8080/")

    assert not any("refused" in message for message in messages(response))


@override_settings(OPENEDX_WEBHOOKS_PROXY="http://proxy.example.com:3128")
def test_behind_a_proxy_the_pages_warn_of_what_deliveries_refuse(browser):
    """No name is looked up then; a metadata service's is refused by itself."""
    response = add(browser, webhook_url="http://metadata.google.internal/")

    assert any("'metadata.google.internal'" in message for message in messages(response))
    assert [row.webhook_url for row, _ in browser.get(reverse(LIST)).context["refused"]] == [
        "http://metadata.google.internal/"
    ]


@pytest.mark.parametrize(
    ("typed", "before", "chosen", "saved"),
    [
        ("", "", "COURSE_ENROLLMENT_CREATED", "COURSE_ENROLLMENT_CREATED"),
        ("COURSE_*", "", "", "COURSE_*"),
        (
            "SESSION_LOGIN_COMPLETED",
            "SESSION_LOGIN_COMPLETED",
            "COURSE_ENROLLMENT_CREATED",
            "COURSE_ENROLLMENT_CREATED",
        ),
        ("COURSE_*", "SESSION_LOGIN_COMPLETED", "COURSE_ENROLLMENT_CREATED", "COURSE_*"),
        ("COURSE_ENROLLMENT_CREATED", "", "COURSE_ENROLLMENT_CREATED", "COURSE_ENROLLMENT_CREATED"),
    ],
)
def test_the_event_is_typed_or_chosen_also_without_javascript(browser, typed, before, chosen, saved):
    add(browser, event=typed, event_before=before, event_chosen=chosen)

    assert Webhook.objects.get().event == saved


def test_the_list_to_choose_from_is_grouped_and_complete(browser):
    page = text(browser.get(reverse("admin:openedx_webhooks_webhook_add")))

    assert re.search(r'<optgroup label="learning / course">.*?<option value="COURSE_ENROLLMENT_CREATED"', page)
    assert page.count("<option value=") > 70


def test_the_page_names_what_a_pattern_matches(browser, webhook):
    Webhook.objects.update(event="COURSE_ENROLLMENT_C*")
    assert "2 events: COURSE_ENROLLMENT_CHANGED, COURSE_ENROLLMENT_CREATED" in text(browser.get(change_url(webhook)))

    Webhook.objects.update(event="EVENT_OF_ANOTHER_RELEASE")
    assert "No event of this platform: nothing is sent." in text(browser.get(change_url(webhook)))
    assert "(no such event)" in text(browser.get(reverse(LIST)))


def test_a_row_of_the_published_package_is_saved_as_legacy(browser, webhook):
    Webhook.objects.update(format=None, secret=None, headers=None, courses=None, organizations=None, description=None)

    page = text(browser.get(change_url(webhook)))
    assert '<option value="legacy" selected>' in page

    change(browser, webhook, format="legacy")
    webhook.refresh_from_db()
    assert webhook.format == "legacy"
    assert webhook.secret.startswith("whsec_")


def test_a_new_address_forgets_the_old_one_s_failures(browser, webhook):
    WebhookHealth.objects.create(webhook=webhook, failures=9, failing_since=timezone.now(), last_error="Answered 500.")

    change(browser, webhook, webhook_url=webhook.webhook_url, description="the same address")
    assert WebhookHealth.objects.get().failures == 9

    change(browser, webhook, webhook_url=PUBLIC)
    assert WebhookHealth.objects.get().failures == 0


@override_settings(OPENEDX_WEBHOOKS_ALLOWED_NETWORKS=[])
def test_the_list_shows_state_and_what_waits_and_warns_of_refused_addresses(browser, webhook, make_delivery):
    refused = Webhook.objects.create(event="*", webhook_url="http://10.9.9.9/")
    WebhookHealth.objects.create(webhook=refused, refused_at=timezone.now(), refusal="10.9.9.9 is refused: told so.")
    untried = Webhook.objects.create(event="*", webhook_url="http://192.168.7.7/")
    off = Webhook.objects.create(event="*", webhook_url="http://192.168.8.8/", enabled=False)
    for _ in range(3):
        make_delivery(to=refused)

    response = browser.get(reverse(LIST))

    page = text(response)
    assert "10.9.9.9 is refused: told so." in page
    assert "&#x27;192.168.7.7&#x27; to OPENEDX_WEBHOOKS_ALLOWED_NETWORKS" in page
    assert [row.pk for row, _ in response.context["refused"]] == [untried.pk, refused.pk]
    assert off.pk not in [row.pk for row, _ in response.context["refused"]]
    assert f"?webhook={refused.pk}&amp;status=parked" in page
    assert "Cannot be called" in page


def test_a_webhook_whose_headers_cannot_be_used_is_not_said_to_have_a_refused_address(browser, webhook):
    Webhook.objects.update(headers="no colon here")
    sentence = "Line 1: write 'Name: value'. Correct the webhook."
    WebhookHealth.objects.create(webhook=webhook, refused_at=timezone.now(), refusal=sentence)

    for page in (browser.get(reverse(LIST)), browser.get(change_url(webhook))):
        seen = html.unescape(text(page))
        assert "Cannot be called" in seen
        assert sentence in seen
        assert "address" not in re.sub("<[^>]*>", "", seen.lower())


def test_the_list_costs_the_same_with_many_webhooks(browser, webhook, django_assert_max_num_queries):
    webhooks = Webhook.objects.bulk_create(Webhook(event="*", webhook_url=PUBLIC) for _ in range(45))
    WebhookHealth.objects.bulk_create(WebhookHealth(webhook=row) for row in webhooks)
    WebhookHealth.objects.create(webhook=webhook)

    with django_assert_max_num_queries(10):
        browser.get(reverse(LIST))


@pytest.mark.parametrize(
    ("action", "state"),
    [("enable", api.State.LIVE), ("disable", api.State.OFF), ("pause", api.State.PAUSED), ("resume", api.State.LIVE)],
)
def test_actions_change_the_chosen_and_leave_a_trace(browser, webhook, action, state):
    other = Webhook.objects.create(event="*", webhook_url=PUBLIC, enabled=action != "enable")
    if action == "resume":
        api.pause_webhook(other.pk, "why")

    response = browser.post(reverse(LIST), {"action": action, "_selected_action": [other.pk]}, follow=True)

    assert api.state_of(Webhook.objects.select_related("health").get(pk=other.pk)) is state
    assert api.state_of(Webhook.objects.select_related("health").get(pk=webhook.pk)) is api.State.LIVE
    assert any("1 webhook" in message for message in messages(response))
    assert LogEntry.objects.get().object_id == str(other.pk)


def test_pause_and_resume_by_button(browser, webhook):
    response = press(browser, webhook, "pause")

    assert "Paused by admin." in text(response)
    assert "/do/resume/" in text(response)
    assert WebhookHealth.objects.get().paused_at

    response = press(browser, webhook, "resume")
    assert "/do/pause/" in text(response)
    assert WebhookHealth.objects.get().paused_at is None


def test_rotation_by_button_shows_the_new_secret_and_says_how_long_the_old_one_signs(browser, webhook):
    first = webhook.secret

    response = press(browser, webhook, "rotate")

    webhook.refresh_from_db()
    assert webhook.secret != first
    assert webhook.previous_secret == first
    assert webhook.secret in response.content.decode().replace("&#x2B;", "+")
    assert first not in response.content.decode()
    assert "The previous secret signs along until" in text(response)


def test_a_test_event_by_button(browser, webhook):
    response = press(browser, webhook, "test")

    assert any("A sample of SESSION_LOGIN_COMPLETED is on its way" in message for message in messages(response))
    assert Delivery.objects.get().webhook_id == webhook.pk

    Webhook.objects.update(event="EVENT_OF_ANOTHER_RELEASE")
    assert any("Nothing is sent" in message for message in messages(press(browser, webhook, "test")))
    assert Delivery.objects.count() == 1


def test_deleting_in_the_admin_ends_what_waits(browser, webhook, make_delivery, django_capture_on_commit_callbacks):
    make_delivery()

    with django_capture_on_commit_callbacks(execute=True):
        browser.post(
            reverse(LIST), {"action": "delete_selected", "_selected_action": [webhook.pk], "post": "yes"}, follow=True
        )

    assert not Webhook.objects.exists()
    assert [(row.status, row.reason) for row in Delivery.objects.all()] == [("failed", "deleted")]


@pytest.mark.parametrize("what", ["pause", "resume", "rotate", "test"])
def test_buttons_want_a_post_and_the_permission(browser, browser_with, webhook, what):
    url = reverse("admin:openedx_webhooks_webhook_do", args=[webhook.pk, what])

    assert browser.get(url).status_code == 405
    assert browser_with("view_webhook").post(url).status_code == 403
    assert browser.post(reverse("admin:openedx_webhooks_webhook_do", args=[webhook.pk, "explode"])).status_code == 404
    assert browser.post(reverse("admin:openedx_webhooks_webhook_do", args=[10**6, what])).status_code == 404
    assert not WebhookHealth.objects.exists()
    assert not Delivery.objects.exists()
    webhook.refresh_from_db()
    assert webhook.previous_secret is None


def test_who_may_only_look_sees_no_credential(browser_with, webhook):
    Webhook.objects.update(headers="Authorization: Bearer hunter2\nX-Tenant: hunter3")

    response = browser_with("view_webhook").get(change_url(webhook))

    assert response.status_code == 200
    page = text(response)
    assert "hunter" not in page
    assert webhook.secret.removeprefix("whsec_")[:20] not in page
    assert "Authorization, X-Tenant" in page
    assert "/do/rotate/" not in page
    assert "receiver.example.com" in page


def test_who_may_only_look_has_no_switches(browser_with, webhook):
    browser = browser_with("view_webhook")

    browser.post(reverse(LIST), {"action": "disable", "_selected_action": [webhook.pk]})

    webhook.refresh_from_db()
    assert webhook.enabled
    assert 'value="disable"' not in text(browser.get(reverse(LIST)))


def test_the_section_has_the_pages(browser):
    page = text(browser.get("/admin/"))

    for name in ("webhook", "delivery", "incident"):
        assert reverse(f"admin:openedx_webhooks_{name}_changelist") in page
