"""The events of the golden files: arguments and metadata with fixed ids and times."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from opaque_keys.edx.keys import CourseKey, UsageKey
from opaque_keys.edx.locator import LibraryLocatorV2, LibraryUsageLocatorV2
from openedx_events.analytics.data import TrackingLogData
from openedx_events.content_authoring import data as authoring
from openedx_events.data import EventsMetadata
from openedx_events.learning import data as learning

COURSE_KEY = CourseKey.from_string("course-v1:edX+DemoX+2026")
BLOCK_KEY = UsageKey.from_string("block-v1:edX+DemoX+2026+type@problem+block@p1")
TIME = datetime(2026, 11, 22, 6, 21, 0, 577024, tzinfo=UTC)


def metadata(event_type: str) -> EventsMetadata:
    return EventsMetadata(
        event_type=event_type,
        id=UUID("e2fbb7a8-e63c-11f1-9818-02fc00000001"),
        minorversion=0,
        source="openedx/lms/web",
        sourcehost="lms.example.com",
        time=TIME,
        sourcelib=(10, 2, 1),
    )


def user(**changes: object) -> learning.UserData:
    pii = learning.UserPersonalData(username="learner1", email="learner1@example.com", name="Zoë Ünal 🎓")
    return learning.UserData(**{"id": 6, "is_active": True, "pii": pii, **changes})


def course() -> learning.CourseData:
    return learning.CourseData(course_key=COURSE_KEY, display_name="Demonstration Course", start=TIME)


def enrollment(*, is_active: bool) -> dict[str, object]:
    return {
        "enrollment": learning.CourseEnrollmentData(
            user=user(),
            course=course(),
            mode="audit",
            is_active=is_active,
            creation_date=datetime(2026, 11, 22, 6, 21, 0, 449157, tzinfo=UTC),
        )
    }


def certificate() -> dict[str, object]:
    return {
        "certificate": learning.CertificateData(
            user=user(),
            course=course(),
            mode="verified",
            grade="0.91",
            download_url="https://lms.example.com/certificates/1?a=b&c=d",
            name="Zoë Ünal",
            current_status="downloadable",
            previous_status="generating",
        )
    }


def grade() -> dict[str, object]:
    return {
        "grade": learning.PersistentCourseGradeData(
            user_id=6,
            course=course(),
            course_edited_timestamp=datetime(2026, 11, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            course_version="v1",
            grading_policy_hash="hash=",
            percent_grade=0.875,
            letter_grade="B",
            passed_timestamp=None,
        )
    }


def cohort() -> dict[str, object]:
    return {"cohort": learning.CohortData(user=user(), course=course(), name="Group A")}


def notification() -> dict[str, object]:
    return {
        "notification_data": learning.UserNotificationData(
            user_ids=[6, 7, 8],
            notification_type="new_response",
            content_url="https://lms.example.com/discussions/1",
            app_name="discussion",
            course_key=COURSE_KEY,
            context={"post_title": "Hello", "replier": {"name": "Ada"}, "empty": {}, "token": "never sent"},
        )
    }


def certificate_config() -> dict[str, object]:
    signatory = authoring.CertificateSignatoryData(
        image=io.BytesIO(b"\x89PNG"), name="Ada", organization="edX", title="Professor"
    )
    return {
        "certificate_config": authoring.CertificateConfigData(
            certificate_type="verified", course_key=COURSE_KEY, title="Certificate", signatories=[signatory]
        )
    }


def xblock() -> dict[str, object]:
    return {"xblock_info": authoring.XBlockData(usage_key=BLOCK_KEY, block_type="problem")}


def library_block() -> dict[str, object]:
    library = LibraryLocatorV2.from_string("lib:edX:geometry")
    usage = LibraryUsageLocatorV2.from_string("lb:edX:geometry:problem:p1")
    return {"library_block": authoring.LibraryBlockData(library_key=library, usage_key=usage)}


def submission() -> dict[str, object]:
    answer = learning.ORASubmissionAnswer(
        parts=[{"text": "First line\nsecond"}, {"text": ""}], file_names=["essay.pdf"], file_sizes=[1024]
    )
    return {
        "submission": learning.ORASubmissionData(
            uuid="0f1a",
            anonymous_user_id="anonymous",
            location=str(BLOCK_KEY),
            attempt_number=1,
            created_at=TIME,
            submitted_at=TIME,
            answer=answer,
        )
    }


def tracking() -> dict[str, object]:
    return {
        "tracking_log": TrackingLogData(
            name="edx.course.enrollment.activated",
            timestamp=TIME,
            data='{"mode": "audit", "csrfmiddlewaretoken": "never sent"}',
            context='{"user_id": 6, "course_id": "course-v1:edX+DemoX+2026"}',
        )
    }


EVENTS: Mapping[str, tuple[str, Callable[[], dict[str, object]]]] = {
    "SESSION_LOGIN_COMPLETED": ("org.openedx.learning.auth.session.login.completed.v1", lambda: {"user": user()}),
    "STUDENT_REGISTRATION_COMPLETED": (
        "org.openedx.learning.student.registration.completed.v1",
        lambda: {"user": user(is_active=False)},
    ),
    "COURSE_ENROLLMENT_CREATED": (
        "org.openedx.learning.course.enrollment.created.v1",
        lambda: enrollment(is_active=True),
    ),
    "COURSE_UNENROLLMENT_COMPLETED": (
        "org.openedx.learning.course.unenrollment.completed.v1",
        lambda: enrollment(is_active=False),
    ),
    "CERTIFICATE_CREATED": ("org.openedx.learning.certificate.created.v1", certificate),
    "PERSISTENT_GRADE_SUMMARY_CHANGED": ("org.openedx.learning.course.persistent_grade_summary.changed.v1", grade),
    "COHORT_MEMBERSHIP_CHANGED": ("org.openedx.learning.cohort_membership.changed.v1", cohort),
    "USER_NOTIFICATION_REQUESTED": ("org.openedx.learning.user.notification.requested.v1", notification),
    "COURSE_CERTIFICATE_CONFIG_CHANGED": (
        "org.openedx.content_authoring.course.certificate_config.changed.v1",
        certificate_config,
    ),
    "XBLOCK_PUBLISHED": ("org.openedx.content_authoring.xblock.published.v1", xblock),
    "LIBRARY_BLOCK_CREATED": ("org.openedx.content_authoring.library_block.created.v1", library_block),
    "ORA_SUBMISSION_CREATED": ("org.openedx.learning.ora.submission.created.v1", submission),
    "TRACKING_EVENT_EMITTED": ("org.openedx.analytics.tracking.event.emitted.v1", tracking),
}
"""Python name -> event_type and the arguments' factory."""
