"""Filter steps that tests configure."""

from __future__ import annotations

from typing import Any

from openedx_filters import PipelineStep
from openedx_filters.learning.filters import CourseEnrollmentStarted

FILTER_TYPE = "org.openedx.learning.course.enrollment.started.v1"


def configured(step: type) -> dict[str, Any]:
    return {FILTER_TYPE: {"fail_silently": False, "pipeline": [f"{step.__module__}.{step.__name__}"]}}


class PreventSecond(PipelineStep):
    """Lets nobody into the second course."""

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        if course_key.course == "Second":
            raise CourseEnrollmentStarted.PreventEnrollment("You need the first course's certificate.")
        return {}


class Break(PipelineStep):
    """Fails as a bug does, with somebody's data in its message."""

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        raise RuntimeError(f"no seat for {user.email} in {course_key}")
