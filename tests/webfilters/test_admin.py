"""The operator's pages of webfilters and their calls."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings
from django.utils import timezone

from openedx_webhooks.admin import contract
from openedx_webhooks.catalog import filters
from openedx_webhooks.models import FilterCall, Webfilter, WebfilterCounter
from openedx_webhooks.webfilters.step import STEP

ADD = "/admin/openedx_webhooks/webfilter/add/"
LIST = "/admin/openedx_webhooks/webfilter/"
CALLS = "/admin/openedx_webhooks/filtercall/"


@pytest.fixture
def browser(admin_user: User) -> Client:
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def row(db: None) -> Webfilter:
    return Webfilter.objects.create(event="StudentLoginRequested", webhook_url="https://receiver.example.com/ask")


def form(**fields: Any) -> dict[str, Any]:
    return {"event": "StudentLoginRequested", "webhook_url": "http://127.0.0.1:1/", "format": "default",
            "enabled": "on", "description": "", **fields}  # fmt: skip


def errors(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200
    return dict(response.context["adminform"].form.errors)


def test_add(browser: Client) -> None:
    fields = {"halt_on_4xx": "on", "redirect_on_4xx": "https://example.com/why", "shadow": "on", "allow_html": "on",
              "courses": "course-v1:edX+*", "organizations": "edX", "headers": "X-Key: 1", "timeout": "2.5",
              "disable_filtering": "on", "disable_halt": "on", "use_www_form_encoding": "on"}  # fmt: skip
    response = browser.post(ADD, form(**fields), follow=True)
    assert response.status_code == 200
    row = Webfilter.objects.get()
    assert (row.event, row.timeout, row.courses, row.shadow, row.allow_html) == (
        "StudentLoginRequested", 2.5, "course-v1:edX+*", True, True,
    )  # fmt: skip
    assert row.secret.startswith("whsec_")
    assert "live in every process within 5 seconds" in response.content.decode()


def test_every_setting_of_the_documentation_is_there(browser: Client) -> None:
    page = browser.get(ADD).content.decode()
    for label in (
        "Description", "Event", "Webhook URL", "Enabled", "Disable filtering", "Disable halting", "Halt on 4xx",
        "Redirect on 4xx", "Halt on 5xx", "Redirect on 5xx", "Halt on request exception",
        "Redirect on request exception", "Use WWW form encoding",
    ):  # fmt: skip
        assert label in page


def test_chosen_from_the_list(browser: Client) -> None:
    browser.post(ADD, form(event="", event_before="", event_chosen="CourseEnrollmentStarted"))
    assert Webfilter.objects.get().event == "CourseEnrollmentStarted"


def test_the_form_shows_what_each_filter_sends_changes_and_is_halted_by(browser: Client, row: Webfilter) -> None:
    page = browser.get(f"{LIST}{row.pk}/change/").content.decode()
    for found in filters.all_filters().values():
        assert f'data-type="{found.filter_type}"' in page
    shown = page[page.index('data-name="StudentLoginRequested"') :]
    shown = shown[: shown.index("</details>")]
    assert not shown.split(">", 1)[0].endswith("hidden")
    for text in (
        "user: id, username, email, ",
        "profile: id, user_id, name, ",
        "profile.name",
        "once the login has succeeded",
        "PreventLogin(message, redirect_to",
    ):
        assert text in shown


@pytest.mark.parametrize(
    ("name", "sends", "changes", "halts"),
    [
        (
            "CourseUnenrollmentStarted",
            ["enrollment: id, user_id, course_id, created, is_active, mode"],
            [],
            ["PreventUnenrollment(message, redirect_to, status_code): what the switches below raise"],
        ),
        (
            "CertificateCreationRequested",
            ["status", "grade: percent, passed, letter_grade"],
            ["status: another status, as text", "generation_mode: another mode, as text"],
            [],
        ),
        (
            "RenderXBlockStarted",
            ["context"],
            ["context: keys are merged deep; objects of the platform stay"],
            ["PreventXBlockBlockRender(message, redirect_to, status_code): ignored here: it would be a server error"],
        ),
        ("VerticalBlockChildRenderStarted", ["block: usage_key, block_type, display_name"], [], []),
    ],
)
def test_a_contract_in_words(name: str, sends: list[str], changes: list[str], halts: list[str]) -> None:
    (described,) = (d for d in contract.described() if d.name == name)
    assert set(sends) <= set(described.sends)
    assert set(changes) <= set(described.changes)
    assert set(halts) <= set(described.halts)


def test_rows_that_are_not_read_are_not_said_to_be_sent() -> None:
    (described,) = (d for d in contract.described() if d.name == "ScheduleQuerySetRequested")
    assert described.sends == ["event_metadata: event_type, time, id"]
    assert described.changes[0].startswith("schedules: filter and exclude by enrollment__course_id")


@pytest.mark.parametrize(("package", "words"), [("openedx_filters", "by its type"), ("somebody", "another text")])
def test_a_filter_that_is_not_in_the_table(package: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = replace(filters.find("CourseEnrollmentStarted")[0], filter_type="org.new.v1", module=f"{package}.filters")
    monkeypatch.setattr(filters, "all_filters", lambda: {found.filter_type: found})
    (described,) = contract.described()
    assert described.changes == [line for line in described.changes if words in line]
    assert described.changes
    assert ("Another package" in described.note) is (package == "somebody")


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        ({"event": "StudentLoginRequest"}, "event", "Did you mean StudentLoginRequested"),
        ({"event": "nothing at all"}, "event", "No filter of this platform"),
        ({"webhook_url": "ftp://example.com"}, "webhook_url", "http"),
        ({"headers": "Host: a"}, "headers", "Host"),
        ({"timeout": "31"}, "timeout", "between"),
        ({"event": "CourseAboutPageURLRequested", "halt_on_5xx": "on"}, "halt_on_5xx", "cannot be halted"),
        ({"event": "ORASubmissionViewRenderStarted", "halt_on_4xx": "on"}, "halt_on_4xx", "cannot be halted"),
        (
            {"event": "StudentRegistrationRequested", "halt_on_4xx": "on", "redirect_on_4xx": "https://example.com"},
            "redirect_on_4xx",
            "No exception of this filter redirects",
        ),
        ({"halt_on_4xx": "on", "redirect_on_4xx": "javascript:alert(1)"}, "redirect_on_4xx", "begins with http"),
        ({"redirect_on_request_exception": "example.com"}, "redirect_on_request_exception", "begins with http"),
        ({"redirect_on_4xx": "https://example.com/why"}, "redirect_on_4xx", "unless the switch above halts"),
        ({"halt_on_4xx": "on", "redirect_on_5xx": "/why"}, "redirect_on_5xx", "tick it, or leave this empty"),
    ],
)
def test_what_is_refused(browser: Client, fields: dict[str, str], field: str, sentence: str) -> None:
    found = errors(browser.post(ADD, form(**fields)))
    assert sentence in " ".join(found[field])
    assert not Webfilter.objects.exists()


@pytest.mark.skipif(not filters.find("CoursewareViewStarted"), reason="a filter of a later release")
def test_a_filter_that_only_redirects(browser: Client) -> None:
    found = errors(browser.post(ADD, form(event="CoursewareViewStarted", halt_on_5xx="on")))
    assert "only be halted by a redirect" in found["halt_on_5xx"][0]
    browser.post(ADD, form(event="CoursewareViewStarted", halt_on_5xx="on", redirect_on_5xx="/later"))
    assert Webfilter.objects.get().redirect_on_5xx == "/later"


def test_a_refused_address_is_saved_with_a_warning(browser: Client) -> None:
    with override_settings(OPENEDX_WEBHOOKS_ALLOWED_NETWORKS=[]):
        response = browser.post(ADD, form(), follow=True)
    assert "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS" in response.content.decode()
    assert Webfilter.objects.exists()


def test_a_redirect_that_is_stored_without_its_switch_stays(browser: Client, row: Webfilter) -> None:
    """As the published package took it; another one is refused."""
    Webfilter.objects.filter(pk=row.pk).update(redirect_on_4xx="/why")
    page = f"{LIST}{row.pk}/change/"
    assert browser.post(page, form(redirect_on_4xx="/why", description="Edited")).status_code == 302
    assert "unless the switch" in errors(browser.post(page, form(redirect_on_4xx="/other")))["redirect_on_4xx"][0]
    row.refresh_from_db()
    assert (row.redirect_on_4xx, row.description) == ("/why", "Edited")


def warnings(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"] if message.level_tag == "warning"]


@pytest.mark.parametrize(
    ("fields", "is_warned"),
    [
        ({"disable_halt": "on", "halt_on_5xx": "on"}, True),
        ({"disable_halt": "on"}, False),
        ({"halt_on_5xx": "on"}, False),
    ],
)
def test_halt_switches_beside_disable_halting(browser: Client, fields: dict[str, str], is_warned: bool) -> None:
    found = warnings(browser.post(ADD, form(**fields), follow=True))
    sentence = "Disable halting is on: the halt switches do nothing until it is taken off."
    assert found == ([sentence] if is_warned else [])


@pytest.mark.parametrize(
    "entry", [None, [], "a.Step", ["a.Step"], {"pipeline": "a.Step"}, {"pipeline": ["a.Step"]}, {"fail_silently": True}]
)
def test_a_filter_that_the_step_is_not_wired_to(browser: Client, settings: Any, entry: Any) -> None:
    """Its class was loaded too late, or the site's last patch replaced the setting."""
    (found,) = filters.find("StudentLoginRequested")
    settings.OPEN_EDX_FILTERS_CONFIG = {**settings.OPEN_EDX_FILTERS_CONFIG, found.filter_type: entry}
    (warning,) = warnings(browser.post(ADD, form(), follow=True))
    assert found.filter_type in warning
    assert "Restart its processes" in warning
    assert "add openedx_webhooks.webfilters.step.WebfilterStep to the pipeline" in warning


@pytest.mark.parametrize("entry", [STEP, [STEP], {"pipeline": STEP}, {"pipeline": ["a.Step", STEP]}])
def test_a_filter_that_it_is_wired_to(browser: Client, settings: Any, entry: Any) -> None:
    (found,) = filters.find("StudentLoginRequested")
    settings.OPEN_EDX_FILTERS_CONFIG = {found.filter_type: entry}
    assert warnings(browser.post(ADD, form(), follow=True)) == []


def test_a_row_of_the_published_package(browser: Client, row: Webfilter) -> None:
    """NULL in the columns that it does not know; saving keeps its bodies."""
    Webfilter.objects.filter(pk=row.pk).update(format=None, secret=None, shadow=None, allow_html=None)
    page = browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert '<option value="legacy" selected>' in page
    browser.post(f"{LIST}{row.pk}/change/", form(format="legacy"))
    row.refresh_from_db()
    assert (row.format, row.shadow) == ("legacy", False)
    assert row.secret


def test_rotate(browser: Client, row: Webfilter) -> None:
    old = row.secret
    assert browser.get(f"{LIST}{row.pk}/rotate/").status_code == 405
    assert browser.post(f"{LIST}{row.pk}/rotate/").status_code == 302
    row.refresh_from_db()
    assert row.secret != old
    assert row.previous_secret == old
    assert "signs along until" in browser.get(f"{LIST}{row.pk}/change/").content.decode()
    assert browser.post(f"{LIST}999/rotate/").status_code == 404


def test_who_may_only_look_sees_no_secret(row: Webfilter) -> None:
    Webfilter.objects.filter(pk=row.pk).update(headers="X-Key: hunter2")
    person = User.objects.create(username="staff", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=["view_webfilter"]))
    client = Client()
    client.force_login(person)
    page = client.get(f"{LIST}{row.pk}/change/").content.decode()
    assert row.secret not in page
    assert "hunter2" not in page
    assert "X-Key" in page
    assert client.post(f"{LIST}{row.pk}/rotate/").status_code == 403


def test_list_and_actions(browser: Client, row: Webfilter) -> None:
    WebfilterCounter.objects.create(webfilter=row, calls=12, milliseconds=1200, last_call_at=timezone.now())
    Webfilter.objects.create(event="NoSuchFilter", webhook_url="https://a.example.com", shadow=True)
    page = browser.get(LIST).content.decode()
    assert f'{CALLS}?webfilter={row.pk}">12</a>' in page
    assert "Shadow" in page
    assert "no such filter" in page
    for action, enabled in (("disable", False), ("enable", True)):
        browser.post(LIST, {"action": action, "_selected_action": [row.pk]})
        row.refresh_from_db()
        assert row.enabled is enabled
    assert "100 ms" in browser.get(f"{LIST}{row.pk}/change/").content.decode()


class TestCalls:
    @pytest.fixture
    def call(self, row: Webfilter) -> FilterCall:
        changes = [{"path": "profile.name", "before": "O\u2026 (8 characters)", "after": None}]
        return FilterCall.objects.create(
            webfilter=row,
            message_id="m-1",
            filter_name="StudentLoginRequested",
            filter_type="org.openedx.learning.student.login.requested.v1",
            created=timezone.now(),
            duration=42,
            status=200,
            outcome="deferred",
            detail="<b>note</b>",
            changes=json.dumps(changes),
            user_id=7,
        )

    def test_list(self, browser: Client, call: FilterCall) -> None:
        page = browser.get(CALLS).content.decode()
        assert "Kept for the login" in page
        assert "42 ms" in page
        assert "<b>note" not in page
        assert "profile.name" in page

    @pytest.mark.parametrize(
        ("query", "is_found"),
        [
            ("?q=m-1", True),
            ("?q=m-", False),
            ("?q=7", True),
            ("?q=8", False),
            ("?outcome__exact=deferred", True),
            ("?outcome__exact=halted", False),
            ("?filter=StudentLoginRequested", True),
            ("?filter=CourseEnrollmentStarted", False),
        ],
    )
    def test_found(self, browser: Client, call: FilterCall, query: str, is_found: bool) -> None:
        assert ("42 ms" in browser.get(CALLS + query).content.decode()) is is_found

    def test_page_is_read_only_and_outlives_its_webfilter(self, browser: Client, call: FilterCall) -> None:
        pk = call.webfilter_id
        Webfilter.objects.all().delete()
        page = browser.get(f"{CALLS}{call.pk}/change/").content.decode()
        assert f"deleted webfilter #{pk}" in page
        assert "O\u2026 (8 characters)" in page
        assert browser.post(f"{CALLS}{call.pk}/change/", {"outcome": "halted"}).status_code == 403
        assert browser.get(f"{CALLS}add/").status_code == 403
