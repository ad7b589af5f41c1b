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
from openedx_filters.learning.filters import CourseEnrollmentStarted

from openedx_webhooks import subscriptions
from openedx_webhooks.models import Webfilter
from openedx_webhooks.settings.pipelines import STEP
from openedx_webhooks.testing import Receiver
from openedx_webhooks.webfilters import calls as calling
from openedx_webhooks.webfilters.step import WebfilterStep
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data

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

    webfilter("CourseEnrollmentStarted")
    monkeypatch.setattr(calling, "run", wrong)
    with override_settings(OPEN_EDX_FILTERS_CONFIG={TYPE: {"pipeline": [STEP], "fail_silently": False}}):
        assert enroll(learner)[2] == "audit"
    assert "were skipped" in caplog.text


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


def test_installed_but_not_migrated(transactional_db: None, learner: User, caplog: pytest.LogCaptureFixture) -> None:
    """The published package's table, without our columns."""
    with connection.schema_editor() as editor:
        editor.remove_field(Webfilter, Webfilter._meta.get_field("shadow"))
    try:
        subscriptions.stop()
        assert enroll(learner)[2] == "audit"
    finally:
        with connection.schema_editor() as editor:
            editor.add_field(Webfilter, Webfilter._meta.get_field("shadow"))


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
