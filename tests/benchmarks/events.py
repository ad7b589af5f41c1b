"""The events that are sent: the platform's own, of about 1 kB as they go over the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NAME = "COURSE_ENROLLMENT_CREATED"
FILLER = "An Introduction to Everything, in Twelve Chapters. "


def enrollment(characters: int = 480) -> Any:
    """Return the data of one enrollment, with a course name that long: 480 makes a body of about 1 kB."""
    from datetime import UTC, datetime

    from opaque_keys.edx.keys import CourseKey
    from openedx_events.learning.data import CourseData, CourseEnrollmentData

    from tests.deliveries.events import a_user

    course = CourseData(
        course_key=CourseKey.from_string("course-v1:edX+DemoX+2026"),
        display_name=(FILLER * (characters // len(FILLER) + 1))[:characters],
    )
    return CourseEnrollmentData(
        user=a_user(), course=course, mode="audit", is_active=True, creation_date=datetime(2026, 11, 22, tzinfo=UTC)
    )


def sender(characters: int = 480) -> Callable[[], object]:
    """Return a call that sends the event."""
    from openedx_events.learning.signals import COURSE_ENROLLMENT_CREATED

    data = enrollment(characters)
    return lambda: COURSE_ENROLLMENT_CREATED.send_event(enrollment=data)


def nothing() -> None:
    """Be a receiver that does nothing."""


@contextmanager
def received_by(call: Callable[[], object]) -> Iterator[None]:
    """Have one receiver that makes a call in place of ours."""
    from openedx_events.learning.signals import COURSE_ENROLLMENT_CREATED

    from openedx_webhooks import handlers

    def receive(**_arguments: object) -> None:
        call()

    uid = "openedx_webhooks.handlers.receive"
    COURSE_ENROLLMENT_CREATED.disconnect(dispatch_uid=uid)
    COURSE_ENROLLMENT_CREATED.connect(receive, weak=False, dispatch_uid="benchmark")
    try:
        yield
    finally:
        COURSE_ENROLLMENT_CREATED.disconnect(dispatch_uid="benchmark")
        COURSE_ENROLLMENT_CREATED.connect(handlers.receive, weak=False, dispatch_uid=uid)
