"""What a receiver writes and somebody reads in a page: without HTML, without addresses that run, and nobody's flags."""

from __future__ import annotations

from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.http import QueryDict
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.learning.filters import (
    CourseAboutRenderStarted,
    CourseEnrollmentStarted,
    DashboardRenderStarted,
    StudentLoginRequested,
    StudentRegistrationRequested,
    VerticalBlockRenderCompleted,
)

from openedx_webhooks.catalog import filters
from openedx_webhooks.catalog.filters import Filter
from openedx_webhooks.testing import Receiver
from tests.webfilters.arguments import COURSE, Block, FormDescription, Fragment, Opaque
from tests.webfilters.conftest import MakeWebfilter, data, halt
from tests.webfilters.test_every_filter import run

UNENDED = "<img src=x onerror=alert(1) "
RUN_BY_A_BROWSER = [
    "javascript:alert(1)",
    " \x01JavaScript:alert(1)",
    "java\nscript\t:alert(1)",
    "vbscript:msgbox(1)",
    "data:text/html,hello",
    "data: text/html ;base64,PHNjcmlwdD4=",
    "data:,hello",
]


def enroll(user: User) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


def render(context: dict[str, Any]) -> Any:
    return DashboardRenderStarted.run_filter(context=context, template_name="dashboard.html")[0]


class TestAHalt:
    """Every text of an exception."""

    @pytest.mark.parametrize(
        "text", [UNENDED, f"No. {UNENDED}", f"<b>No.</b> {UNENDED}", "<<b>script>alert(1)<</b>/script>"]
    )
    def test_nothing_opens_a_tag(
        self, text: str, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        webfilter("StudentLoginRequested")
        receiver.answer(halt("PreventLogin", {"message": text, "error_code": text}))
        with pytest.raises(StudentLoginRequested.PreventLogin) as raised:
            StudentLoginRequested.run_filter(user=learner)
        assert "<" not in str(raised.value)
        assert "<" not in raised.value.error_code

    def test_nor_where_the_message_is_the_page(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("VerticalBlockRenderCompleted")
        receiver.answer(halt("PreventVerticalBlockRender", UNENDED))
        given = {"block": Block(), "fragment": Fragment("a"), "context": {}, "view": "student_view"}
        with pytest.raises(VerticalBlockRenderCompleted.PreventVerticalBlockRender) as raised:
            VerticalBlockRenderCompleted.run_filter(**given)
        assert "<" not in raised.value.message

    def test_where_html_is_allowed_it_stays(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("StudentLoginRequested", allow_html=True)
        receiver.answer(halt("PreventLogin", "<b>No</b>"))
        with pytest.raises(StudentLoginRequested.PreventLogin, match="<b>No</b>"):
            StudentLoginRequested.run_filter(user=learner)

    @pytest.mark.parametrize(
        "value",
        [
            *({"message": text} for text in RUN_BY_A_BROWSER),
            {"error_code": "javascript:alert(1)"},
            {"context": {"more": ["javascript:alert(1)"]}},
            {"context": {"action": "nowhere"}},
            {"context": {"<script>": 1}},
            {"redirect_to": "/a?<script>"},
            {"redirect_to": '/a"onclick="alert(1)'},
        ],
    )
    def test_what_is_refused(
        self, value: Any, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("StudentLoginRequested")
        receiver.answer(halt("PreventLogin", value))
        StudentLoginRequested.run_filter(user=learner)
        assert [call.outcome for call in calls()] == ["refused"]


class TestAnotherTemplate:
    """It is rendered with the page's context, changed by the rules that ``data`` is changed by."""

    @pytest.mark.parametrize(
        "wanted",
        [
            {"user": "nobody"},
            {"user": None},
            {"course": {"display_name": "Other"}},
            {"csrf_token": "TOKEN"},
            {"is_staff": True},
            {"viewer": {"is_staff": True}},
            {"viewer": 1},
            {"added": [{"is_staff": True}]},
            {"added": "<script>"},
        ],
    )
    def test_what_is_refused(
        self, wanted: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        page = {"user": learner, "course": Opaque(), "viewer": {"name": "Ada", "is_staff": False}, "is_staff": False}
        webfilter("CourseAboutRenderStarted")
        value = {"course_about_template": "other/page.html", "template_context": wanted}
        receiver.answer(halt("RenderInvalidCourseAbout", value))
        assert CourseAboutRenderStarted.run_filter(context=page, template_name="about.html")[0] is page
        assert [call.outcome for call in calls()] == ["refused"]

    def test_what_is_merged(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        page = {"user": learner, "viewer": {"name": "Ada", "is_staff": False}, "title": "Old"}
        webfilter("CourseAboutRenderStarted")
        wanted = {"viewer": {"name": "Jane"}, "title": "New", "reason": "closed"}
        value = {"course_about_template": "other/page.html", "template_context": wanted}
        receiver.answer(halt("RenderInvalidCourseAbout", value))
        with pytest.raises(CourseAboutRenderStarted.RenderInvalidCourseAbout) as raised:
            CourseAboutRenderStarted.run_filter(context=page, template_name="about.html")
        assert raised.value.template_context == {
            "user": learner,
            "viewer": {"name": "Jane", "is_staff": False},
            "title": "New",
            "reason": "closed",
        }
        assert page["title"] == "Old"


class TestAnAccount:
    """What is stored is read in pages that this package does not know."""

    @pytest.mark.parametrize(
        "wanted",
        [
            {"profile": {"name": "<script>alert(1)</script>"}},
            {"profile": {"bio": UNENDED}},
            {"profile": {"goals": "javascript:alert(1)"}},
            {"user": {"first_name": "<b>"}},
        ],
    )
    def test_what_is_refused(
        self, wanted: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("CourseEnrollmentStarted")
        receiver.answer(data(**wanted, mode="honor"))
        assert enroll(learner)[2] == "audit"
        assert [call.outcome for call in calls()] == ["refused"]
        assert UserProfile.objects.filter(name="Old Name", bio=None).exists()
        assert User.objects.get().first_name == ""

    def test_where_the_webfilter_allows_html(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("CourseEnrollmentStarted", allow_html=True)
        receiver.answer(data(profile={"bio": "<b>Hello</b>"}))
        enroll(learner)
        assert UserProfile.objects.get().bio == "<b>Hello</b>"

    @pytest.mark.parametrize(
        "wanted", [{"name": "<script>"}, {"goals": UNENDED}, {"next": "javascript:alert(1)"}, {"<b>": "x"}]
    )
    def test_a_form_that_becomes_one(
        self, wanted: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(data(form_data=wanted))
        form = QueryDict("name=Ada&next=/dashboard", mutable=True)
        assert StudentRegistrationRequested.run_filter(form_data=form) is form
        assert [call.outcome for call in calls()] == ["refused"]

    def test_what_the_learner_wrote_may_stay(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(lambda request: data(form_data={"goals": ["<3", "New"]}))
        form = QueryDict("goals=<3", mutable=True)
        assert StudentRegistrationRequested.run_filter(form_data=form).getlist("goals") == ["<3", "New"]


class TestAPage:
    """The context of a page."""

    @pytest.mark.parametrize("text", RUN_BY_A_BROWSER)
    @pytest.mark.parametrize("where", ["about", "new", "tabs"])
    def test_an_address_that_runs(
        self, where: str, text: str, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={where: [text] if where == "tabs" else text}))
        page = {"about": "old", "tabs": ["a"]}
        assert render(page) is page
        assert [call.outcome for call in calls()] == ["refused"]

    @pytest.mark.parametrize("name", ["src", "imageSrc", "action", "next", "redirect_to", "homeUrl"])
    def test_what_is_no_address(self, name: str, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"a": {name: "nowhere"}}), data(context={"a": {name: "/somewhere"}}))
        assert render({"a": {name: "/"}}) == {"a": {name: "/"}}
        assert render({"a": {name: "/"}}) == {"a": {name: "/somewhere"}}
        assert [call.outcome for call in calls()] == ["refused", "changed"]

    @pytest.mark.parametrize("text", ["Data: 12 lessons, 3 exams", "JavaScript for beginners", "transaction"])
    def test_prose_is_no_address(self, text: str, *, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"transaction": text}))
        assert render({"transaction": "old"}) == {"transaction": text}

    def test_an_item_of_a_set(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"names": ["<3", "<script>"]}), data(context={"names": ["<3", "b"]}))
        assert render({"names": {"<3", "a"}}) == {"names": {"<3", "a"}}
        assert render({"names": {"<3", "a"}}) == {"names": {"<3", "b"}}
        assert [call.outcome for call in calls()] == ["refused", "changed"]

    @pytest.mark.parametrize("key", ["<script>", "<img src=x>.name", "javascript:alert(1)"])
    def test_a_key_is_text_too(self, key: str, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={key: 1}), data(context={"a": {key: 1}}), data(context={"tabs": [{key: 1}]}))
        page = {"a": {"b": 1}, "tabs": [{"title": "A"}]}
        for _ in range(3):
            assert render(page) is page
        assert [call.outcome for call in calls()] == ["refused"] * 3

    def test_text_that_is_there_does_not_become_an_address(
        self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"tabs": [{"title": "A", "url": "javascript:alert(1)"}]}))
        page = {"tabs": [{"title": "javascript:alert(1)", "url": "/"}]}
        assert render(page) is page
        assert [call.outcome for call in calls()] == ["refused"]


class TestInsideLists:
    """Closed names are closed there as well."""

    ROWS = ({"name": "Ada", "is_staff": False, "user_id": 1}, {"name": "Jane", "is_staff": True, "user_id": 2})

    @pytest.mark.parametrize(
        "wanted",
        [
            [{"name": "Ada", "is_staff": True, "user_id": 1}],
            [{"name": "Ada", "is_staff": True}],
            [{"name": "Ada", "is_staff": False, "user_id": 2}],
            [{"name": "Eve", "is_staff": True, "user_id": 2}],
            [{"name": "Ada", "email": "eve@example.com"}],
            [{"name": "Ada", "more": [{"deep": {"is_superuser": True}}]}],
            [{"name": "Ada", "is_staff": 0}],
        ],
    )
    def test_what_is_refused(
        self, wanted: list[Any], *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"rows": wanted}))
        page = {"rows": list(self.ROWS)}
        assert render(page) is page
        (call,) = calls()
        assert call.outcome == "refused"
        assert call.detail.startswith("context.rows.")

    @pytest.mark.parametrize(
        "wanted",
        [
            [{"name": "Eve", "is_staff": False, "user_id": 1}],
            [{"name": "Eve"}],
            [ROWS[1]],
            [ROWS[1], ROWS[0]],
            [],
        ],
    )
    def test_what_is_taken(self, wanted: list[Any], *, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"rows": wanted}))
        assert render({"rows": list(self.ROWS)}) == {"rows": wanted}

    def test_the_tabs_of_a_halt(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
        found = found_or_skipped("org.openedx.learning.instructor.dashboard.tabs.requested.v1")
        webfilter(found.name)
        receiver.answer(halt("PreventTabsGeneration", {"tabs": [{"tab_id": "a", "is_staff": True}]}))
        run(found, {"tabs": [{"tab_id": "a"}], "user": learner, "course_key": COURSE})
        assert [call.outcome for call in calls()] == ["refused"]


class TestTheDescriptionOfAForm:
    """What may be said of its fields."""

    @pytest.fixture
    def found(self) -> Filter:
        return found_or_skipped("org.openedx.authentication.registration.form.generated.v1")

    @pytest.mark.parametrize(
        "wanted",
        [
            {"password": {"label": "Code"}},
            {"is_staff": {"field_type": "hidden", "default": "true"}},
            {"id": {"label": "x"}},
            {"email": {"default": "eve@example.com"}},
            {"username": {"field_type": "hidden"}},
            {"name": {"label": 1}},
            {"name": {"label": None}},
            {"name": {"label": "<script>"}},
            {"name": {"label": "javascript:alert(1)"}},
            {"name": {"instructions": ["x"]}},
            {"name": {"default": {"a": 1}}},
            {"name": {"field_type": "password"}},
            {"name": {"restrictions": "none"}},
            {"name": {"restrictions": {"max_length": True}}},
            {"name": {"restrictions": {"pattern": ".*"}}},
            {"name": {"options": []}},
            {"name": "x"},
        ],
    )
    def test_what_is_refused(
        self, wanted: dict[str, Any], *, found: Filter, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter(found.name)
        receiver.answer(data(form_desc=wanted))
        form = FormDescription()
        assert described(found, form) is form
        assert [call.outcome for call in calls()] == ["refused"]

    @pytest.mark.parametrize(
        "wanted",
        [
            {"email": {"label": "Mail", "instructions": "At work", "restrictions": {"max_length": 50}}},
            {"name": {"default": "Ada", "field_type": "hidden"}},
            {"honor_code": {"field_type": "checkbox", "default": True}},
        ],
    )
    def test_what_is_taken(
        self, wanted: dict[str, Any], *, found: Filter, webfilter: MakeWebfilter, receiver: Receiver
    ) -> None:
        webfilter(found.name)
        receiver.answer(data(form_desc=wanted))
        form = FormDescription()
        assert described(found, form).overrides == wanted
        assert form.overrides == {}

    def test_its_values_are_not_in_the_record(
        self, found: Filter, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter(found.name)
        receiver.answer(data(form_desc={"name": {"default": "Ada Lovelace"}}))
        described(found, FormDescription())
        (call,) = calls()
        assert call.outcome == "changed"
        assert "form_desc.name.default" in call.changes
        assert "Lovelace" not in call.changes


def described(found: Filter, form: FormDescription) -> Any:
    """Run a filter of a form, whatever else it takes."""
    others = {name: None for name in found.arguments if name != "form_desc"}
    try:
        result = run(found, {"form_desc": form, **others})
    except OpenEdxFilterException as raised:
        raise AssertionError(raised) from raised
    return result[0]


def found_or_skipped(filter_type: str) -> Filter:
    """Return a filter that older releases of openedx-filters do not have."""
    found = filters.get(filter_type)
    if found is None:
        pytest.skip("a filter of a later release")
    return found
