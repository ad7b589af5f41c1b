"""The step in the pipeline: beside other plugins' steps, before the apps are loaded, and when we are wrong."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from openedx_filters import PipelineStep
from openedx_filters.learning.filters import CertificateCreationRequested, CourseEnrollmentStarted

from openedx_webhooks import subscriptions
from openedx_webhooks.models import Webfilter, incident, tables
from openedx_webhooks.payloads import filters as payloads
from openedx_webhooks.settings.pipelines import STEP
from openedx_webhooks.testing import Receiver
from openedx_webhooks.webfilters import calls as calling
from openedx_webhooks.webfilters import exchange
from openedx_webhooks.webfilters.step import WebfilterStep
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt

TYPE = CourseEnrollmentStarted.filter_type


class Strict(PipelineStep):
    """Takes the filter's own arguments and no others, as most steps do."""

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        return {"mode": f"{mode}-strict"}


def enroll(user: User) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


@pytest.mark.parametrize("order", [[STEP, f"{__name__}.Strict"], [f"{__name__}.Strict", STEP]])
def test_beside_other_steps(order: list[str], webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(data(mode="honor"))
    with override_settings(OPEN_EDX_FILTERS_CONFIG={TYPE: {"pipeline": order, "fail_silently": False}}):
        assert enroll(learner)[2] == ("honor-strict" if order[0] == STEP else "honor")


def test_a_mistake_of_ours_breaks_nothing(
    webfilter: MakeWebfilter, learner: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_args: Any) -> None:
        raise ZeroDivisionError

    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(incident, "note", lambda *note: noted.append(note))
    webfilter("CourseEnrollmentStarted")
    monkeypatch.setattr(calling, "run", wrong)
    with override_settings(OPEN_EDX_FILTERS_CONFIG={TYPE: {"pipeline": [STEP], "fail_silently": False}}):
        assert enroll(learner)[2] == "audit"
    assert "were skipped" in caplog.text
    assert noted == [("webfilter", f"The webfilters of {TYPE} were skipped: ZeroDivisionError.")]


class Unreadable:
    """An argument whose property raises, as one that queries a store may."""

    @property
    def percent(self) -> float:
        raise ZeroDivisionError

    @property
    def scope_ids(self) -> Any:
        raise ZeroDivisionError


@pytest.mark.parametrize("answer", [halt("PreventCertificateCreation"), 500])
def test_the_gate_stays_shut_where_an_argument_cannot_be_read(
    answer: Any, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    """The receiver is asked, is told what is missing, and decides."""
    webfilter("CertificateCreationRequested", halt_on_5xx=True)
    receiver.answer(answer)
    given = {"course_key": COURSE, "mode": "audit", "status": "downloadable", "generation_mode": "self"}
    with pytest.raises(CertificateCreationRequested.PreventCertificateCreation):
        CertificateCreationRequested.run_filter(user=learner, grade=Unreadable(), **given)
    body = receiver.requests[0].json()
    assert body["grade"] == {"percent": None, "passed": None, "letter_grade": None}
    assert body["event_metadata"]["notes"] == [
        "grade: scope_ids could not be read (ZeroDivisionError)",
        "grade: percent could not be read (ZeroDivisionError)",
    ]
    assert [call.outcome for call in calls()] == ["halted"]


@pytest.mark.parametrize("broken", [(payloads, "read"), (payloads.FilterPayload, "body"), (exchange, "ask")])
def test_where_we_cannot_ask_each_switch_decides(
    broken: tuple[Any, str], webfilter: MakeWebfilter, learner: User, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*_args: Any, **_kwargs: Any) -> None:
        raise ZeroDivisionError("quotes the learner")

    row = webfilter("CourseEnrollmentStarted")
    monkeypatch.setattr(*broken, wrong)
    assert enroll(learner)[2] == "audit"
    row.halt_on_request_exception = True
    row.save()
    with pytest.raises(CourseEnrollmentStarted.PreventEnrollment):
        enroll(learner)
    failed, halted = calls()
    assert (failed.outcome, halted.outcome) == ("failed", "halted")
    assert failed.detail == "It could not be asked: ZeroDivisionError was raised."


def test_an_argument_may_be_called_running_pipeline() -> None:
    step = WebfilterStep(filter_type="org.none.v1", running_pipeline=[STEP])
    assert step.run_filter(running_pipeline={"backend": "google"}, form_desc=None) == {}


def test_before_the_apps_are_loaded() -> None:
    """``manage.py`` runs a filter before a command starts."""
    script = (
        "from openedx_webhooks.webfilters.step import WebfilterStep\n"
        "assert WebfilterStep('org.none.v1', []).run_filter(command_name='migrate') == {}\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_installed_but_not_migrated(
    transactional_db: None, learner: User, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published package's table, without our columns."""
    monkeypatch.setattr(tables, "_told", False)
    with connection.schema_editor() as editor:
        editor.remove_field(Webfilter, Webfilter._meta.get_field("shadow"))
    try:
        subscriptions.stop()
        assert enroll(learner)[2] == "audit"
        assert subscriptions.webfilters(TYPE) == ()
    finally:
        with connection.schema_editor() as editor:
            editor.add_field(Webfilter, Webfilter._meta.get_field("shadow"))
    assert tables.MIGRATE in caplog.text
    assert "were skipped" not in caplog.text


def test_a_pattern_asks_about_each_of_its_filters(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    webfilter("CourseEnrollment*")
    webfilter(TYPE)
    enroll(learner)
    assert len(receiver.requests) == 2


def test_a_change_is_seen_by_the_next_run(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    row = webfilter("CourseEnrollmentStarted")
    enroll(learner)
    row.enabled = False
    row.save()
    enroll(learner)
    assert len(receiver.requests) == 1
    row.enabled = True
    row.save()
    enroll(learner)
    row.delete()
    enroll(learner)
    assert len(receiver.requests) == 2
