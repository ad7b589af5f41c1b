"""Enrolling in the stand-in behaves as it was seen in a real platform, traps included."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student.models import (
    AlreadyEnrolledError,
    CourseEnrollment,
    CourseEnrollmentAllowed,
    CourseFullError,
    EnrollmentClosedError,
    EnrollmentNotAllowed,
    NonExistentCourseError,
    Registration,
    UnenrollmentNotAllowed,
)
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview

from tests.lms.testing_views import FailsOnPurposeError
from tests.lms_tests import steps
from tests.lms_tests.conftest import COURSE_KEY, Emitted

pytestmark = pytest.mark.django_db

CHANGED, CREATED, COMPLETED = (
    f"course.{what}.v1" for what in ("enrollment.changed", "enrollment.created", "unenrollment.completed")
)


def test_enrolling_sends_changed_then_created(user: User, course: CourseOverview, emitted: Emitted) -> None:
    enrollment = CourseEnrollment.enroll(user, COURSE_KEY)

    assert emitted.types == [CHANGED, CREATED]
    data = emitted[1][1]
    assert data.user.pii.name == "Name of learner1"
    assert (data.course.course_key, data.course.display_name, data.course.start) == (
        COURSE_KEY,
        "Demonstration Course",
        None,
    )
    assert (data.mode, data.is_active, data.creation_date) == ("audit", True, enrollment.created)
    assert CourseEnrollment.is_enrolled(user, COURSE_KEY)


def test_a_loaded_row_knows_its_course_by_key(user: User, course: CourseOverview) -> None:
    CourseEnrollment.enroll(user, COURSE_KEY)
    assert CourseEnrollment.objects.get(user=user).course_id == COURSE_KEY
    assert isinstance(CourseEnrollment.objects.get(user=user).course_id, CourseKey)


def test_unenrolling_sends_changed_then_completed(user: User, course: CourseOverview, emitted: Emitted) -> None:
    CourseEnrollment.enroll(user, COURSE_KEY)
    emitted.clear()
    CourseEnrollment.unenroll(user, COURSE_KEY)

    assert emitted.types == [CHANGED, COMPLETED]
    assert emitted[1][1].is_active is False
    assert not CourseEnrollment.is_enrolled(user, COURSE_KEY)


def test_unenrolling_who_never_enrolled_does_nothing(user: User, course: CourseOverview, emitted: Emitted) -> None:
    CourseEnrollment.unenroll(user, COURSE_KEY)
    assert emitted.types == []


def test_enrolling_twice_sends_created_again(user: User, course: CourseOverview, emitted: Emitted) -> None:
    CourseEnrollment.enroll(user, COURSE_KEY)
    CourseEnrollment.enroll(user, COURSE_KEY)
    assert emitted.types == [CHANGED, CREATED, CREATED]


def test_no_mode_downgrades_a_verified_enrollment(user: User, course: CourseOverview) -> None:
    CourseEnrollment.enroll(user, COURSE_KEY, mode="verified")
    assert CourseEnrollment.enrollment_mode_for_user(user, COURSE_KEY) == ("verified", True)
    CourseEnrollment.enroll(user, COURSE_KEY)
    assert CourseEnrollment.enrollment_mode_for_user(user, COURSE_KEY) == ("audit", True)


def test_any_mode_is_taken(user: User, course: CourseOverview) -> None:
    assert CourseEnrollment.enroll(user, COURSE_KEY, mode="nonsense").mode == "nonsense"


def test_no_mode_takes_the_course_s_first_where_it_has_no_audit(user: User, course: CourseOverview) -> None:
    CourseMode.objects.create(course_id=COURSE_KEY, mode_slug="professional", mode_display_name="Professional")
    assert CourseEnrollment.enroll(user, COURSE_KEY).mode == "professional"
    assert CourseMode.mode_for_course(COURSE_KEY, "audit") is None


def test_a_missing_course_is_enrolled_into_unless_asked(user: User, emitted: Emitted) -> None:
    with pytest.raises(NonExistentCourseError):
        CourseEnrollment.enroll(user, COURSE_KEY, check_access=True)
    assert emitted.types == []
    CourseEnrollment.enroll(user, COURSE_KEY)
    assert emitted[1][1].course.display_name == ""


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"enrollment_start": DAY}, EnrollmentClosedError),
        ({"enrollment_end": -DAY}, EnrollmentClosedError),
        ({"invitation_only": True}, EnrollmentClosedError),
        ({"max_student_enrollments_allowed": 0}, CourseFullError),
    ],
)
def test_a_course_refuses_only_where_access_is_checked(
    user: User, course: CourseOverview, fields: dict[str, Any], error: type[Exception]
) -> None:
    for name, value in fields.items():
        setattr(course, name, timezone.now() + value if isinstance(value, timedelta) else value)
    course.save()
    with pytest.raises(error):
        CourseEnrollment.enroll(user, COURSE_KEY, check_access=True)
    assert CourseEnrollment.enroll(user, COURSE_KEY).is_active


def test_an_active_enrollment_is_refused_only_where_access_is_checked(user: User, course: CourseOverview) -> None:
    CourseEnrollment.enroll(user, COURSE_KEY, check_access=True)
    with pytest.raises(AlreadyEnrolledError):
        CourseEnrollment.enroll(user, COURSE_KEY, check_access=True)


def test_an_invitation_opens_a_course_that_is_invite_only(user: User, course: CourseOverview) -> None:
    course.invitation_only = True
    course.save()
    invitation = CourseEnrollmentAllowed.objects.create(email=user.email, course_id=COURSE_KEY)
    CourseEnrollment.enroll(user, COURSE_KEY, check_access=True)
    invitation.refresh_from_db()
    assert invitation.user == user


def test_an_invitation_is_consumed_when_the_user_becomes_active(
    make_user: Callable[..., User], course: CourseOverview, client: Client, emitted: Emitted
) -> None:
    CourseEnrollmentAllowed.objects.create(email="new@example.com", course_id=COURSE_KEY, auto_enroll=True)
    user = make_user("new", is_active=False)
    registration = Registration.objects.create(user=user)
    assert emitted.types == []

    assert client.get(f"/activate/{registration.activation_key}").status_code == 200

    assert emitted.types == [CHANGED, CREATED]
    assert CourseEnrollmentAllowed.objects.get().user == user


def test_a_prevented_enrollment_rolls_the_activation_back(
    make_user: Callable[..., User], course: CourseOverview, settings: Any
) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(steps.PreventEnrollment)
    CourseEnrollmentAllowed.objects.create(email="new@example.com", course_id=COURSE_KEY, auto_enroll=True)
    registration = Registration.objects.create(user=make_user("new", is_active=False))
    with pytest.raises(EnrollmentNotAllowed, match=r"No enrollment\."), transaction.atomic():
        registration.activate()
    assert not User.objects.get(username="new").is_active


def test_filters_prevent_and_change(
    user: User, course: CourseOverview, settings: Any, emitted: Emitted, logged_in: Client
) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(steps.PreventEnrollment)
    with pytest.raises(EnrollmentNotAllowed, match=r"No enrollment\."):
        CourseEnrollment.enroll(user, COURSE_KEY)
    answer = _change(logged_in, "enroll")
    assert (answer.status_code, answer.content) == (400, b"No enrollment.")
    assert emitted.types == []

    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(steps.EnrollAsHonor, steps.PreventUnenrollment)
    assert CourseEnrollment.enroll(user, COURSE_KEY).mode == "honor"
    with pytest.raises(UnenrollmentNotAllowed, match=r"No way out\."):
        CourseEnrollment.unenroll(user, COURSE_KEY)
    assert _change(logged_in, "unenroll").content == b"No way out."
    assert CourseEnrollment.is_enrolled(user, COURSE_KEY)


def _change(client: Client, action: str, course_id: object = COURSE_KEY) -> Any:
    return client.post("/change_enrollment", {"enrollment_action": action, "course_id": str(course_id)})


def test_enrolling_over_http(logged_in: Client, course: CourseOverview, emitted: Emitted) -> None:
    assert _change(logged_in, "enroll").status_code == 200
    assert (_change(logged_in, "enroll").status_code, _change(logged_in, "enroll").content) == (
        400,
        b"Could not enroll",
    )
    assert _change(logged_in, "unenroll").status_code == 200
    assert emitted.types == [CHANGED, CREATED, CHANGED, COMPLETED]
    assert _change(logged_in, "unenroll").content == b"You are not enrolled in this course"
    assert _change(logged_in, "enroll", "no key").content == b"Invalid course id"
    assert _change(logged_in, "dance").content == b"Enrollment action is invalid"


def test_enrolling_over_http_needs_a_login(client: Client, course: CourseOverview) -> None:
    assert _change(client, "enroll").status_code == 403


@pytest.mark.django_db(transaction=True)
def test_a_request_that_fails_rolls_its_enrollment_back(
    user: User, course: CourseOverview, client: Client, emitted: Emitted
) -> None:
    with pytest.raises(FailsOnPurposeError):
        client.post("/testing/enroll_then_fail", {"username": user.username, "course_id": str(COURSE_KEY)})
    assert emitted.types == [CHANGED, CREATED]
    assert not CourseEnrollment.objects.exists()
