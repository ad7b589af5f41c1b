"""What a receiver may answer: nonsense is refused with a sentence, and the switches decide."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.learning.filters import (
    CourseEnrollmentStarted,
    CourseHomeUrlCreationStarted,
    DashboardRenderStarted,
)

from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.testing import ENDLESS, GARBAGE, Answer, Receiver
from openedx_webhooks.webfilters import replies
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply

DEEP = b'{"data": ' + b'{"a": ' * 5000 + b"1" + b"}" * 5000 + b"}"
LARGE = b'{"data": {"mode": "' + b"x" * 10_000_000 + b'"}}'

NONSENSE = {
    "not JSON": (b"<html>Login</html>", "not JSON"),
    "not UTF-8": (b'{"data": "\xff"}', "not UTF-8"),
    "a list": (b"[]", "a list"),
    "null": (b"null", "null"),
    "a number": (b"42", "a number"),
    "not a number": (b'{"data": {"mode": NaN}}', "NaN"),
    "too long a number": (b'{"data": {"mode": ' + b"9" * 5000 + b"}}", "a number"),
    "too large a number": (b'{"data": {"mode": 1e999}}', "too large"),
    "text": (b'"text"', "text"),
    "true": (b"true", "true or false"),
    "10 MB": (LARGE, "longer than"),
    "deep": (b'{"data": ' + b'{"a":' * 40 + b"1" + b"}" * 41, "nested deeper"),
    "very deep": (DEEP, "nested deeper"),
    "data is text": (b'{"data": "text"}', "data: It is text"),
    "data is a list": (b'{"data": []}', "data: It is a list"),
    "an unknown argument": (b'{"data": {"colour": "red"}}', "colour: This filter has no such argument."),
    "a wrong type": (b'{"data": {"mode": 7}}', "mode: It is a number; text is expected."),
    "a boolean for text": (b'{"data": {"mode": true}}', "mode: It is true or false"),
    "no mode": (b'{"data": {"mode": "../../x"}}', "mode: A mode is"),
    "no key": (b'{"data": {"course_key": "Demo"}}', "course_key: It is no CourseKey."),
    "no user": (b'{"data": {"user": 7}}', "user: It is a number; an object is expected."),
    "a wrong type in a profile": (b'{"data": {"profile": {"name": 7}}}', "profile.name: It is a number"),
    "text for a number": (b'{"data": {"profile": {"year_of_birth": "1990"}}}', "profile.year_of_birth: It is text"),
    "a boolean for a number": (b'{"data": {"profile": {"year_of_birth": true}}}', "profile.year_of_birth"),
    "a date": (b'{"data": {"user": {"date_joined": "2026-01-01"}}}', "user.date_joined: A webfilter may not"),
    "too long for its column": (b'{"data": {"profile": {"country": "Nowhere"}}}', "profile.country"),
    "a surrogate": (b'{"data": {"profile": {"name": "\\ud800"}}}', "surrogate"),
    "a NUL": (b'{"data": {"profile": {"name": "a\\u0000"}}}', "NUL"),
    "an unknown exception": (b'{"exception": {"PreventLogin": "no"}}', "no exception 'PreventLogin'"),
    "two exceptions": (b'{"exception": {"PreventEnrollment": "a", "B": "b"}}', "2 keys; exactly one"),
    "an exception that is text": (b'{"exception": "PreventEnrollment"}', "exception: It is text"),
    "an exception with a list": (b'{"exception": {"PreventEnrollment": []}}', "It is a list"),
    "a message that is an object": (b'{"exception": {"PreventEnrollment": {"message": {}}}}', "message"),
    "a status that is none": (b'{"exception": {"PreventEnrollment": {"status_code": 200}}}', "400 to 599"),
}


def enroll(user: User) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


@pytest.mark.parametrize(("body", "sentence"), NONSENSE.values(), ids=list(NONSENSE))
def test_nonsense(
    body: bytes, sentence: str, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    row = webfilter("CourseEnrollmentStarted")
    receiver.answer(Answer(body=body))
    assert enroll(learner) == (learner, COURSE, "audit")
    row.halt_on_request_exception = True
    row.save()
    with pytest.raises(CourseEnrollmentStarted.PreventEnrollment) as raised:
        enroll(learner)
    assert "<" not in str(raised.value)
    refused, halted = calls()
    assert (refused.outcome, halted.outcome) == ("refused", "halted")
    assert sentence in refused.detail
    learner.profile.refresh_from_db()
    assert learner.profile.name == "Old Name"


@pytest.mark.parametrize("answer", [GARBAGE, ENDLESS])
def test_what_is_not_http_or_has_no_end(
    answer: Answer, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(answer)
    assert enroll(learner)[2] == "audit"
    assert calls()[0].outcome in ("failed", "refused")


def test_emoji_and_every_language(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(data(profile={"name": "Ada \U0001f600 \u0644\u0648\u0641\u0644\u064a\u0633"}))
    enroll(learner)
    learner.profile.refresh_from_db()
    assert learner.profile.name == "Ada \U0001f600 \u0644\u0648\u0641\u0644\u064a\u0633"


def test_unknown_fields_beside_data_are_noted_and_ignored(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(reply({"data": {"mode": "honor"}, "note": "hello", "ok": True}))
    assert enroll(learner)[2] == "honor"
    assert calls()[0].detail == "Unknown in the answer, and ignored: 'note', 'ok'."


class TestBoth:
    """A reply with data and an exception."""

    BOTH = reply({"data": {"mode": "honor"}, "exception": {"PreventEnrollment": "No."}})

    def test_a_halt_discards_the_data(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("CourseEnrollmentStarted")
        receiver.answer(self.BOTH)
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment):
            enroll(learner)

    def test_with_halting_disabled_the_data_applies(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("CourseEnrollmentStarted", disable_halt=True, halt_on_4xx=True)
        receiver.answer(self.BOTH, reply({}, status=400))
        assert enroll(learner)[2] == "honor"
        assert enroll(learner)[2] == "audit"
        assert [call.outcome for call in calls()] == ["changed", "failed"]

    def test_with_filtering_disabled_nothing_changes(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        webfilter("CourseEnrollmentStarted", disable_filtering=True)
        receiver.answer(data(mode="honor"), self.BOTH)
        assert enroll(learner)[2] == "audit"
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment):
            enroll(learner)

    def test_shadow_mode(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
        webfilter("CourseEnrollmentStarted", shadow=True, halt_on_5xx=True)
        receiver.answer(data(mode="honor", profile={"name": "New"}), self.BOTH, 500, reply({}))
        for _ in range(4):
            assert enroll(learner)[2] == "audit"
        learner.profile.refresh_from_db()
        assert learner.profile.name == "Old Name"
        assert [call.outcome for call in calls()] == ["would_change", "would_halt", "would_halt"]


class TestHalting:
    """The filter's own exceptions."""

    def test_unknown_parameters_are_noted_and_ignored(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        value = {"message": "Go", "redirect_to": "/there", "colour": "red"}
        receiver.answer(halt("RedirectToPage", value))
        with pytest.raises(DashboardRenderStarted.RedirectToPage) as raised:
            DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        assert raised.value.redirect_to == "/there"
        assert "no parameter 'colour'" in calls()[0].detail

    @pytest.mark.parametrize("key", ["args", "with_traceback", "__class__", "not an identifier"])
    def test_a_bare_exception_takes_no_machinery(
        self, key: str, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        webfilter("CourseEnrollmentStarted")
        receiver.answer(halt("PreventEnrollment", {"message": "No.", key: "x", "error_code": "closed"}))
        with pytest.raises(CourseEnrollmentStarted.PreventEnrollment) as raised:
            enroll(learner)
        assert (str(raised.value), raised.value.error_code) == ("No.", "closed")

    @pytest.mark.parametrize("url", ["javascript:alert(1)", "//example.com", "example.com", 7, "data:text/html,x"])
    def test_where_nobody_is_sent(
        self, url: Any, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(halt("RedirectToPage", {"redirect_to": url}))
        DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        assert calls()[0].outcome == "refused"

    def test_html_only_where_it_is_allowed(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        row = webfilter("DashboardRenderStarted")
        receiver.answer(halt("RenderCustomResponse", {"message": "<b>No</b>", "response": "<script>1</script>"}))
        with pytest.raises(DashboardRenderStarted.RenderCustomResponse) as raised:
            DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        response = raised.value.response
        assert response["Content-Type"] == "text/plain; charset=utf-8"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert str(raised.value) == "No"
        row.allow_html = True
        row.save()
        with pytest.raises(DashboardRenderStarted.RenderCustomResponse) as raised:
            DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        assert raised.value.response["Content-Type"] == "text/html; charset=utf-8"
        assert str(raised.value) == "<b>No</b>"

    def test_html_that_is_asked_for_and_not_allowed_is_refused(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("DashboardRenderStarted")
        receiver.answer(halt("RenderCustomResponse", {"content": "<b>", "content_type": "text/html"}))
        DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        assert "does not allow" in calls()[0].detail

    def test_headers_of_the_allow_list(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("DashboardRenderStarted")
        headers = {"Set-Cookie": "a=b", "Retry-After": "5", "Location": "/x", "Cache-Control": "no\r\nX-Evil: 1"}
        receiver.answer(halt("RenderCustomResponse", {"content": "{}", "status": 503, "headers": headers,
                                                      "content_type": "application/json"}))  # fmt: skip
        with pytest.raises(DashboardRenderStarted.RenderCustomResponse) as raised:
            DashboardRenderStarted.run_filter(context={}, template_name="a.html")
        response = raised.value.response
        assert (response.status_code, response["Retry-After"]) == (503, "5")
        assert not {"Set-Cookie", "Location", "Cache-Control", "X-Evil"} & set(response.headers)

    def test_where_raising_would_be_a_server_error_a_halt_is_ignored(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
    ) -> None:
        webfilter("CourseHomeUrlCreationStarted")
        receiver.answer(reply({"exception": {"Whatever": "x"}, "data": {"course_home_url": "/new"}}))
        result = CourseHomeUrlCreationStarted.run_filter(course_key=COURSE, course_home_url="/old")
        assert result == (COURSE, "/new")
        assert "server error" in calls()[0].detail


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=3), json_values, max_size=4)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(ReplyError):
        assert isinstance(replies.read(body, truncated=False), replies.Wish)


@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        wish = replies.read(json.dumps(value).encode(), truncated=False)
    except ReplyError:
        return
    assert isinstance(value, dict)
    assert wish.data is None or wish.data == value["data"]


@given(objects)
def test_merging_one_is_that_one(wish: dict[str, Any]) -> None:
    assert replies.merge([wish]) == wish
    assert replies.merge([wish, wish]) == wish
    assert replies.merge([wish, {}]) == replies.merge([{}, wish]) == wish


@given(objects, objects, objects)
def test_merging_goes_from_the_first_to_the_last(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    assert replies.merge([a, b, c]) == replies.merge([replies.merge([a, b]), c])


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict) or not tree:
        return {path: tree}
    return {key: leaf for name, below in tree.items() for key, leaf in leaves(below, (*path, name)).items()}


@given(objects, objects)
def test_every_leaf_of_the_later_is_there(a: dict[str, Any], b: dict[str, Any]) -> None:
    merged = leaves(replies.merge([a, b]))
    for path, leaf in leaves(b).items():
        if leaf != {}:
            assert merged[path] == leaf


def test_the_process_goes_on_whatever_comes(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    """Through the real filter: only its own exceptions pass, and what comes back has the platform's types."""
    webfilter("CourseEnrollmentStarted")

    @given(st.fixed_dictionaries({}, optional={"data": json_values | objects, "exception": json_values}) | json_values)
    @override_settings(OPENEDX_WEBHOOKS_CONFIG_TTL=600)
    def check(value: Any) -> None:
        receiver.answer(reply(value))
        try:
            user, key, mode = enroll(learner)
        except OpenEdxFilterException as raised:
            assert isinstance(raised, CourseEnrollmentStarted.PreventEnrollment)  # noqa: PT017
        else:
            assert (user, type(key), type(mode)) == (learner, type(COURSE), str)

    check()
