"""Filter steps that tests configure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from opaque_keys.edx.keys import CourseKey
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
        raise RuntimeError(f"no seat for {user.username} ({user.profile.name}, {user.email}) in {course_key}")


class PreventWithoutAWord(PipelineStep):
    """Lets nobody in, and does not say why."""

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        raise CourseEnrollmentStarted.PreventEnrollment("")


class Meanwhile(PipelineStep):
    """Has something happen between the order's look and its write."""

    happens: ClassVar[Callable[[Any, Any], None]]

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        type(self).happens(user, course_key)
        return {}


class Elsewhere(PipelineStep):
    """Leads to another course."""

    course_key: ClassVar[CourseKey] = CourseKey.from_string("course-v1:edX+Elsewhere+2026")

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> dict[str, Any]:
        return {"course_key": self.course_key}
