"""Pipeline steps that the tests put into ``OPEN_EDX_FILTERS_CONFIG``."""

from typing import Any

from openedx_filters import PipelineStep
from openedx_filters.learning.filters import (
    CourseEnrollmentStarted,
    CourseUnenrollmentStarted,
    StudentLoginRequested,
    StudentRegistrationRequested,
)


def configure(*steps: type[PipelineStep]) -> dict[str, Any]:
    """Return a configuration that runs each step on the filter it names."""
    return {
        step.on: {"pipeline": [f"{__name__}.{step.__name__}"], "fail_silently": False}  # type: ignore[attr-defined]
        for step in steps
    }


class PreventRegistration(PipelineStep):
    on = StudentRegistrationRequested.filter_type

    def run_filter(self, form_data: Any) -> Any:
        raise StudentRegistrationRequested.PreventRegistration("Not today.", status_code=403)


class PreventRegistrationWithoutStatus(PipelineStep):
    on = StudentRegistrationRequested.filter_type

    def run_filter(self, form_data: Any) -> Any:
        raise StudentRegistrationRequested.PreventRegistration("Not today.", status_code=None)


class RenameRegistration(PipelineStep):
    on = StudentRegistrationRequested.filter_type

    def run_filter(self, form_data: Any) -> Any:
        form_data["name"] = "Renamed"
        return {"form_data": form_data}


class PreventLogin(PipelineStep):
    on = StudentLoginRequested.filter_type

    def run_filter(self, user: Any) -> Any:
        raise StudentLoginRequested.PreventLogin(
            f"No login for {user}.", redirect_to="/why", error_code="closed", context={"until": "noon"}
        )


class PreventEnrollment(PipelineStep):
    on = CourseEnrollmentStarted.filter_type

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> Any:
        raise CourseEnrollmentStarted.PreventEnrollment("No enrollment.")


class EnrollAsHonor(PipelineStep):
    on = CourseEnrollmentStarted.filter_type

    def run_filter(self, user: Any, course_key: Any, mode: Any) -> Any:
        return {"user": user, "course_key": course_key, "mode": "honor"}


class PreventUnenrollment(PipelineStep):
    on = CourseUnenrollmentStarted.filter_type

    def run_filter(self, enrollment: Any) -> Any:
        raise CourseUnenrollmentStarted.PreventUnenrollment("No way out.")
