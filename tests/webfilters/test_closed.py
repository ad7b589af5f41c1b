"""What stays closed to receivers, whatever they answer: what never leaves, and what never changes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.learning.filters import (
    CourseEnrollmentStarted,
    DashboardRenderStarted,
    RenderXBlockStarted,
    StudentLoginRequested,
    StudentRegistrationRequested,
)
from openedx_filters.tooling import OpenEdxPublicFilter

from openedx_webhooks import subscriptions
from openedx_webhooks.catalog import filters
from openedx_webhooks.models import Webfilter
from openedx_webhooks.testing import Receiver
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt
from tests.webfilters.test_every_filter import run


class SomethingUnknown(OpenEdxPublicFilter):
    """A filter that the table does not know, with all the arguments that must not leave or change."""

    filter_type = "org.example.something.unknown.v1"

    @classmethod
    def run_filter(cls, *, user: Any, password: str, user_id: int, email: str, is_superuser: bool, colour: str) -> Any:
        """Return what the pipeline makes of the arguments."""
        return cls.run_pipeline(
            user=user, password=password, user_id=user_id, email=email, is_superuser=is_superuser, colour=colour
        )


@pytest.fixture
def unknown(settings: Any, learner: User) -> dict[str, Any]:
    """Wire the unknown filter; return arguments for it."""
    step = {"pipeline": ["openedx_webhooks.webfilters.step.WebfilterStep"], "fail_silently": True}
    settings.OPEN_EDX_FILTERS_CONFIG = {**settings.OPEN_EDX_FILTERS_CONFIG, SomethingUnknown.filter_type: step}
    secret = {"password": "hunter2"}
    return {**secret, "user": learner, "user_id": 1, "email": "a@example.com", "is_superuser": False, "colour": "red"}


def test_a_password_in_no_field_of_a_form_leaves(webfilter: MakeWebfilter, receiver: Receiver) -> None:
    webfilter("StudentRegistrationRequested")
    fields = "email=a%40example.com&password=hunter2&confirm_password=hunter2&My-Password=hunter2"
    form = QueryDict(fields, mutable=True)
    StudentRegistrationRequested.run_filter(form_data=form)
    (sent,) = receiver.requests
    assert b"hunter2" not in sent.body
    assert sent.json()["form_data"] == {"email": "a@example.com"}


@pytest.mark.parametrize("encoding", [{}, {"use_www_form_encoding": True}, {"format": "legacy"}])
def test_a_password_among_the_arguments_does_not_leave(
    webfilter: MakeWebfilter, receiver: Receiver, unknown: dict[str, Any], encoding: dict[str, Any]
) -> None:
    webfilter("SomethingUnknown", **encoding)
    SomethingUnknown.run_filter(**unknown)
    (sent,) = receiver.requests
    assert b"hunter2" not in sent.body
    assert b"red" in sent.body


def test_an_activation_does_not_leave(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    """Whoever has its key, or the link with it, confirms the account."""
    (found,) = filters.find("AccountActivationEmailContextGenerated") or (None,)
    if found is None:
        pytest.skip("openedx-filters before 3.9 has no such filter")
    webfilter(found.name)
    context = {"key": "KEY", "confirm_activation_link": "https://lms.example.com/activate/KEY", "name": "Ada"}
    context["site_configuration_values"] = {"SOMETHING_SIGNED_WITH": "KEY", "SITE_NAME": "x"}
    run(found, {"user": learner, "message_context": context})
    (sent,) = receiver.requests
    assert b"KEY" not in sent.body
    assert sent.json()["message_context"] == {"name": "Ada"}


@pytest.mark.parametrize(
    "wanted", [{"password": "p"}, {"user_id": 99}, {"email": "evil@example.com"}, {"is_superuser": True}]
)
def test_nor_does_it_change_an_account_s_arguments(
    webfilter: MakeWebfilter, receiver: Receiver, unknown: dict[str, Any], calls: Any, wanted: dict[str, Any]
) -> None:
    webfilter("SomethingUnknown")
    receiver.answer(data(**wanted), data(colour="blue"))
    assert SomethingUnknown.run_filter(**unknown) == unknown
    assert SomethingUnknown.run_filter(**unknown)["colour"] == "blue"
    assert [call.outcome for call in calls()] == ["refused", "changed"]


@pytest.mark.parametrize("name", ["email", "username", "is_superuser", "confirm_password", "id"])
@pytest.mark.parametrize("kind", [dict, lambda fields: QueryDict(urlencode(fields), mutable=True)])
def test_a_form_of_any_kind_keeps_its_account(
    webfilter: MakeWebfilter, receiver: Receiver, calls: Any, kind: Any, name: str
) -> None:
    webfilter("StudentRegistrationRequested")
    receiver.answer(data(form_data={name: "evil"}))
    form = kind({"email": "a@example.com", "username": "ada"})
    assert StudentRegistrationRequested.run_filter(form_data=form) is form
    assert calls()[0].outcome == "refused"


@pytest.mark.parametrize(
    "wanted",
    [
        {"home": {"homeUrl": "javascript:alert(1)"}},
        {"added": {"link": "javascript:alert(1)"}},
        {"about": "<script>"},
        {"added": ["<script>"]},
        {"tabs": [{"title": "<script>"}]},
        {"home": {"is_staff": True}},
        {"added": {"token": "t"}},
    ],
)
def test_inside_a_context_too(webfilter: MakeWebfilter, receiver: Receiver, calls: Any, wanted: dict[str, Any]) -> None:
    webfilter("DashboardRenderStarted")
    receiver.answer(data(context=wanted))
    context = {"home": {"homeUrl": "/", "is_staff": False}, "about": "old", "added": None, "tabs": [{"title": "Old"}]}
    assert DashboardRenderStarted.run_filter(context=context, template_name="d.html")[0] is context
    assert calls()[0].outcome == "refused"


def test_inside_a_halt_too(webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
    webfilter("StudentLoginRequested")
    webfilter("CourseEnrollmentStarted")
    receiver.answer(halt("PreventLogin", {"context": {"html": "<script>"}}))
    StudentLoginRequested.run_filter(user=learner)
    receiver.answer(halt("PreventEnrollment", {"more": "<script>"}))
    CourseEnrollmentStarted.run_filter(user=learner, course_key=COURSE, mode="audit")
    assert [call.outcome for call in calls()] == ["refused", "refused"]


def test_a_template_that_the_site_does_not_have(webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
    webfilter("DashboardRenderStarted")
    receiver.answer(data(template_name="does/not/exist.html"), data(template_name="other/page.html"))
    given = {"context": {}, "template_name": "dashboard.html"}
    assert DashboardRenderStarted.run_filter(**given)[1] == "dashboard.html"
    assert DashboardRenderStarted.run_filter(**given)[1] == "other/page.html"
    assert [call.outcome for call in calls()] == ["refused", "changed"]


def test_a_key_of_another_kind(webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(data(course_key="library-v1:edX+Lib"))
    assert CourseEnrollmentStarted.run_filter(user=learner, course_key=COURSE, mode="audit")[1] is COURSE
    assert calls()[0].outcome == "refused"


def test_an_exception_that_is_answered_with_a_server_error(webfilter: MakeWebfilter, receiver: Receiver) -> None:
    webfilter("RenderXBlockStarted")
    receiver.answer(halt("PreventXBlockBlockRender"))
    given: dict[str, Any] = {"context": {}, "student_view_context": {}}
    assert tuple(RenderXBlockStarted.run_filter(**given)) == ({}, {})


def test_read_only_fields_are_only_added_to(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    (found,) = filters.find("AccountSettingsReadOnlyFieldsRequested") or (None,)
    if found is None:
        pytest.skip("openedx-filters before 3.9 has no such filter")
    webfilter(found.name)
    receiver.answer(data(readonly_fields=[]))
    assert run(found, {"readonly_fields": {"username"}, "user": learner})[0] == {"username"}


def test_another_package_s_subclass_does_not_take_the_filter_s_place(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User
) -> None:
    class ZStudentLoginRequested(StudentLoginRequested):
        class PreventLogin(OpenEdxFilterException):
            pass

    webfilter("StudentLoginRequested")
    receiver.answer(halt("PreventLogin"))
    with pytest.raises(StudentLoginRequested.PreventLogin):
        StudentLoginRequested.run_filter(user=learner)
    assert filters.find(ZStudentLoginRequested.__name__) == ()


def test_a_name_in_a_context_is_not_in_the_record(webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
    webfilter("DashboardRenderStarted")
    receiver.answer(data(context={"accomplishment_copy_name": "Jane Q. Newname", "gender": "f"}))
    DashboardRenderStarted.run_filter(context={"accomplishment_copy_name": "Oldname"}, template_name="d.html")
    (call,) = calls()
    assert "name" not in call.changes.replace("accomplishment_copy_name", "")
    assert "f\\u2026" not in call.changes


def test_a_number_that_no_webfilter_has(admin_client: Client) -> None:
    assert admin_client.get("/admin/openedx_webhooks/filtercall/?webfilter=" + "9" * 30).status_code == 200


def test_a_row_without_a_secret_gets_one_beside_the_request(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User
) -> None:
    rows = Webfilter.objects.filter(pk=webfilter("StudentLoginRequested").pk)
    rows.update(secret=None)
    subscriptions.invalidate()
    receiver.answer(204)
    with CaptureQueriesContext(connection) as queries:
        StudentLoginRequested.run_filter(user=learner)
    assert not any(query["sql"].startswith("UPDATE") for query in queries.captured_queries)
    assert len(receiver.requests) == 1
    subscriptions.give_secrets()
    assert rows.get().secret.startswith("whsec_")
