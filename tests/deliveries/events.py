"""Real events for the tests of this room, sent through the platform's own signals."""

from __future__ import annotations

from datetime import UTC, datetime

from opaque_keys.edx.keys import CourseKey
from openedx_events.learning.data import CourseData, CourseEnrollmentData, UserData, UserPersonalData
from openedx_events.learning.signals import COURSE_ENROLLMENT_CREATED, SESSION_LOGIN_COMPLETED


def a_user(number: int = 1) -> UserData:
    pii = UserPersonalData(username=f"learner{number}", email=f"learner{number}@example.com", name="Ada")
    return UserData(id=number, is_active=True, pii=pii)


def log_in(number: int = 1) -> None:
    SESSION_LOGIN_COMPLETED.send_event(user=a_user(number))


def enroll(course: str = "course-v1:edX+DemoX+2026", name: str = "Demonstration") -> None:
    COURSE_ENROLLMENT_CREATED.send_event(
        enrollment=CourseEnrollmentData(
            user=a_user(),
            course=CourseData(course_key=CourseKey.from_string(course), display_name=name),
            mode="audit",
            is_active=True,
            creation_date=datetime(2026, 11, 22, 6, 21, tzinfo=UTC),
        )
    )
