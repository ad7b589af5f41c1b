"""Replies that are made to break something, through the real filters."""

from __future__ import annotations

import time
from collections import namedtuple
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from common.djangoapps.student.models import CourseEnrollment
from django.contrib.auth.models import User
from django.db.models.signals import pre_save
from openedx_filters.learning.filters import (
    CourseEnrollmentQuerysetRequested,
    CourseEnrollmentStarted,
    DashboardRenderStarted,
)

from openedx_webhooks.models import incident
from openedx_webhooks.testing import Receiver
from openedx_webhooks.webfilters import masking, step
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt

Pair = namedtuple("Pair", "a b")
UNCLOSED = "<a" * 600
"""Django's ``strip_tags`` raises SuspiciousOperation at it in its newer releases."""


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
