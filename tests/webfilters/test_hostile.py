"""Replies that are made to break something, through the real filters."""

from __future__ import annotations

import json
import time
from collections import namedtuple
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest
from common.djangoapps.student.models import CourseEnrollment, UserProfile
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import pre_save
from django.http import QueryDict
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from openedx_filters.learning.filters import (
    CourseEnrollmentQuerysetRequested,
    CourseEnrollmentStarted,
    DashboardRenderStarted,
    StudentLoginRequested,
    StudentRegistrationRequested,
)

from openedx_webhooks.models import incident
from openedx_webhooks.testing import Receiver
from openedx_webhooks.webfilters import masking, step
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply

Pair = namedtuple("Pair", "a b")
UNCLOSED = "<a" * 600
"""Django's ``strip_tags`` raises SuspiciousOperation at it in its newer releases."""
present = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.datetimes(), st.binary())
    | st.just(COURSE)
    | st.sets(st.integers()),
    lambda below: (
        st.lists(below, max_size=3) | st.tuples(below, below) | st.dictionaries(st.text(max_size=4), below, max_size=3)
    ),
    max_leaves=8,
)
"""What the platform may have in a page."""


def enroll(user: User) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


def render(**context: Any) -> Any:
    return DashboardRenderStarted.run_filter(context=context, template_name="dashboard.html")[0]


class TestOneBadReply:
    """What is wrong with one reply is its own webfilter's business."""

    @pytest.mark.parametrize("shadow", [True, False])
    def test_the_others_still_halt(
        self, shadow: bool, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("CourseEnrollmentStarted", webhook_url=receiver.url("/bad"), shadow=shadow)
        webfilter("CourseEnrollmentStarted", webhook_url=receiver.url("/gate"))
        answers = {"/bad": halt("PreventEnrollment", UNCLOSED), "/gate": halt("PreventEnrollment", "Closed.")}
        receiver.answer(lambda request: answers[request.path])
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment):
            enroll(learner)
        assert [call.outcome for call in calls()][1] in ("halted", "discarded")
        assert len(calls()) == 2

    @pytest.mark.parametrize(
        ("now", "wanted"), [(Pair("1", "2"), ["x", "y"]), (datetime(2026, 1, 1), "0001-01-01T00:00:00+14:00")]
    )
    def test_the_switch_decides(
        self, now: Any, wanted: Any, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        row = webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"value": wanted}))
        assert render(value=now) == {"value": now}
        row.halt_on_request_exception = True
        row.save()
        with pytest.raises(DashboardRenderStarted.RenderCustomResponse):
            render(value=now)
        assert [call.outcome for call in calls()] == ["refused", "halted"]

    @pytest.mark.parametrize(
        ("lookup", "value"), [("course_id", 5), ("course_id", True), ("course_id__in", [["a"]]), ("mode__in", [{}])]
    )
    def test_a_lookup_that_the_platform_does_not_take(
        self, lookup: str, value: Any, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("CourseEnrollmentQuerysetRequested")
        receiver.answer(data(enrollments={"filter": {lookup: value}}))
        rows = CourseEnrollment.objects.all()
        assert CourseEnrollmentQuerysetRequested.run_filter(enrollments=rows) is rows
        assert [call.outcome for call in calls()] == ["refused"]

    def test_a_halt_that_cannot_be_recorded_is_a_halt(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(*_args: Any) -> None:
            raise ZeroDivisionError

        webfilter("CourseEnrollmentStarted")
        receiver.answer(halt("PreventEnrollment", "Closed."))
        monkeypatch.setattr(masking, "masked", wrong)
        noted: list[str] = []
        monkeypatch.setattr(incident, "note", lambda _kind, detail: noted.append(detail))
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment, match="Closed"):
            enroll(learner)
        assert noted == ["A call could not be recorded: ZeroDivisionError."]


def test_a_save_that_fails_halts_where_the_switch_says_so(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    def refuse(**_kwargs: Any) -> None:
        raise RuntimeError("quotes the row")

    webfilter("CourseEnrollmentStarted", halt_on_request_exception=True)
    receiver.answer(data(user={"first_name": "Ada"}))
    pre_save.connect(refuse, sender=User)
    try:
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment):
            enroll(learner)
    finally:
        pre_save.disconnect(refuse, sender=User)
    (call,) = calls()
    assert (call.outcome, call.changes) == ("halted", "")
    assert call.detail == "It could not be applied: RuntimeError was raised."


def test_the_budget_counts_from_the_moment_the_filter_ran(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first run loads this package's modules: as if that had taken a minute."""
    webfilter("CourseEnrollmentStarted")
    receiver.answer(data(mode="honor"))
    monkeypatch.setattr(step, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - 60))
    assert enroll(learner)[2] == "audit"
    assert [call.outcome for call in calls()] == ["failed"]


class TestHowMuch:
    """The learner waits while a reply is checked."""

    def test_more_values_than_are_taken(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={f"{number:x}": 1 for number in range(10_000)}))
        assert render(title="Old") == {"title": "Old"}
        (call,) = calls()
        assert (call.outcome, call.detail) == ("refused", "data: It changes 10000 values; up to 2000 are taken.")

    def test_values_in_lists_count(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"a": [[1] * 100] * 100}))
        assert render(a=[]) == {"a": []}
        assert [call.outcome for call in calls()] == ["refused"]

    def test_as_many_as_are_taken(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        """Each of the first is recorded, and how many more there are."""
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={f"{number:x}": 1 for number in range(2_000)}))
        assert len(render()) == 2_000
        (call,) = calls()
        recorded = json.loads(call.changes)
        assert (call.outcome, len(recorded), recorded[-1]) == ("changed", 51, {"path": "and 1950 more"})

    def test_a_large_page_may_come_back(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        """What is as it was sent counts for nothing."""
        webfilter("DashboardRenderStarted")
        receiver.answer(lambda request: data(context={**request.json()["context"], "title": "New"}))
        page = {f"{number:x}": 1 for number in range(10_000)}
        assert render(**page, title="Old") == {**page, "title": "New"}
        assert [call.outcome for call in calls()] == ["changed"]


class TestWhatWasSentComesBack:
    """As it was sent, it asks for nothing."""

    PAGE = {
        "cut": "x" * 300_000,
        "lone": "\ud800",
        "json": '{"token": "abc", "x": 1}',
        "set": {1, 2},
        "nothing": float("nan"),
        1: "a number for a key",
        "nested": [[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]],
        "rows": [{"mode": "audit", "created": datetime(2026, 1, 1), "token": "TOKEN"}],
        "whole": 1.0,
    }

    @pytest.mark.parametrize("encoding", ["default", "legacy"])
    def test_nothing_changes(self, encoding: str, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted", format=encoding)
        receiver.answer(lambda request: reply({"data": request.json()}))
        page = dict(self.PAGE)
        assert render(**{str(k): v for k, v in page.items() if k != 1}) == {k: v for k, v in page.items() if k != 1}
        assert calls() == []
        given = DashboardRenderStarted.run_filter(context=page, template_name="a.html")[0]
        assert given is page
        assert calls() == []

    def test_one_value_changes(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(lambda request: data(context={**request.json()["context"], "title": "New"}))
        new = DashboardRenderStarted.run_filter(context={**self.PAGE, "title": "Old"}, template_name="a.html")[0]
        assert new == {**self.PAGE, "title": "New"}
        (call,) = calls()
        assert [change["path"] for change in json.loads(call.changes)] == ["context.title"]

    def test_a_page_sent_as_a_form(self, webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
        """Its body has less room, so that more of it is cut."""
        webfilter("DashboardRenderStarted", use_www_form_encoding=True)
        page = {"a": "<" * 100_000, "b": "<" * 20_000}

        def echo(request: Any) -> Any:
            form = parse_qs(request.body.decode())
            return data(context={name: form[f"context_{name}"][0] for name in page})

        receiver.answer(echo)
        assert render(**page) == page
        assert calls() == []

    def test_a_form(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(lambda request: data(form_data={**request.json()["form_data"], "city": "Turin"}))
        form = QueryDict(mutable=True)
        form["name"], form["goals"] = "bad\ud800", '{"token": "t", "a": 1}'
        new = StudentRegistrationRequested.run_filter(form_data=form)
        assert new.dict() == {"name": "bad\ud800", "goals": '{"token": "t", "a": 1}', "city": "Turin"}

    @pytest.mark.parametrize(("now", "wanted"), [(1, True), ([1], [True]), ([{"a": 0}], [{"a": False}])])
    def test_true_is_not_one(
        self, now: Any, wanted: Any, *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(data(context={"value": wanted}))
        render(value=now)
        assert len(calls()) == 1

    def test_whatever_it_was(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("DashboardRenderStarted")

        @given(st.dictionaries(st.text(max_size=3), present, max_size=4))
        @override_settings(OPENEDX_WEBHOOKS_CONFIG_TTL=600)
        def check(page: dict[str, Any]) -> None:
            receiver.answer(lambda request: data(context=request.json()["context"]))
            assert DashboardRenderStarted.run_filter(context=page, template_name="a.html")[0] is page

        check()


class TestOfSeveral:
    """Of what is not as it was sent, the later wins; what is as it was sent says nothing."""

    @pytest.mark.parametrize("second", [{"mode": "audit"}, {"mode": "audit", "profile": {"name": "New"}}])
    def test_an_echo_is_no_wish(
        self, second: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        answers = {"/1": data(mode="verified"), "/2": data(**second)}
        receiver.answer(lambda request: answers[request.path])
        for path in answers:
            webfilter("CourseEnrollmentStarted", webhook_url=receiver.url(path))
        assert enroll(learner)[2] == "verified"
        learner.profile.refresh_from_db()
        assert learner.profile.name == ("New" if "profile" in second else "Old Name")


class TestLists:
    """A list is replaced, where JSON holds all that it holds."""

    @pytest.mark.parametrize(
        "item", [{"at": datetime(2026, 1, 1, tzinfo=UTC)}, {"token": "TOKEN"}, {"key": COURSE}, {"pair": (1, 2)}]
    )
    def test_what_would_lose_something_stays(
        self, item: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        tabs = [{"title": "A", **item}]

        def retitled(request: Any) -> Any:
            sent = request.json()["context"]["tabs"]
            return data(context={"tabs": [{**sent[0], "title": "B"}]})

        receiver.answer(retitled)
        assert render(tabs=tabs)["tabs"] is tabs
        assert [call.outcome for call in calls()] == ["refused"]


class TestALogin:
    """What an attempt wanted is void as soon as there is another."""

    @pytest.fixture
    def attempted(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> Any:
        row = webfilter("StudentLoginRequested")
        receiver.answer(data(profile={"name": "Somebody Else"}))
        StudentLoginRequested.run_filter(user=learner)
        return row

    def logged_in(self, user: User) -> str:
        user_logged_in.send(sender=User, request=SimpleNamespace(session=SimpleNamespace(session_key="S")), user=user)
        user.profile.refresh_from_db()
        return str(user.profile.name)

    def test_it_counts_where_there_is_no_other(self, attempted: Any, learner: User) -> None:
        assert self.logged_in(learner) == "Somebody Else"

    def test_a_later_one_is_halted(self, attempted: Any, receiver: Receiver, learner: User) -> None:
        receiver.answer(halt("PreventLogin"))
        with pytest.raises(StudentLoginRequested.PreventLogin):
            StudentLoginRequested.run_filter(user=learner)
        assert self.logged_in(learner) == "Old Name"

    def test_a_later_one_is_not_asked_about(self, attempted: Any, learner: User) -> None:
        attempted.enabled = False
        attempted.save()
        StudentLoginRequested.run_filter(user=learner)
        assert self.logged_in(learner) == "Old Name"


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("user", "email", ""),
        ("user", "email", "jane.doe at example.com"),
        ("user", "first_name", "jane.doe" * 100),
        ("profile", "gender", "jane.doe"),
    ],
)
def test_a_refused_value_is_not_in_the_record(
    key: str,
    field: str,
    value: str,
    *,
    webfilter: MakeWebfilter,
    receiver: Receiver,
    learner: User,
    calls: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The platform's profile has choices, whose error quotes the value."""
    monkeypatch.setattr(UserProfile._meta.get_field("gender"), "choices", [("f", "Female"), ("m", "Male")])
    webfilter("CourseEnrollmentStarted")
    receiver.answer(data(**{key: {field: value}}))
    with override_settings(OPENEDX_WEBHOOKS_WRITABLE_FIELDS=["email"]):
        enroll(learner)
    (call,) = calls()
    assert call.outcome == "refused"
    assert "jane.doe" not in call.detail
    learner.refresh_from_db()
    assert learner.email == "learner@example.com"
