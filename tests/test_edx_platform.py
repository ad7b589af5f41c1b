"""What the endpoint asks of the platform, against the stand-in's interfaces and a release's own additions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student import models as student
from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.learning.signals import COURSE_ENROLLMENT_CREATED

from openedx_webhooks import edx_platform
from openedx_webhooks.exceptions import EnrollmentRefused
from tests.lernito import steps

pytestmark = pytest.mark.django_db
KEY = CourseKey.from_string("course-v1:edX+DemoX+2026")
EMAIL = "learner1@example.com"


def make_user(username: str = "learner1", email: str = EMAIL, **fields: Any) -> User:
    user = User.objects.create_user(username, email, **fields)
    student.UserProfile.objects.create(user=user, name="Ada")
    return user


def test_existing_courses_are_those_of_the_very_spelling() -> None:
    CourseOverview.objects.create(id=KEY)
    other = CourseKey.from_string("course-v1:EDX+DEMOX+2026")
    assert edx_platform.existing_courses([KEY, other]) == {str(KEY)}
    assert edx_platform.existing_courses([other]) == set()
    assert edx_platform.existing_courses([]) == set()


def test_of_several_users_the_very_spelling_then_the_active_then_the_oldest() -> None:
    made = [
        make_user("a", "Learner1@example.com", is_active=False),
        make_user("b", "LEARNER1@example.com"),
        make_user("c", "learner1@EXAMPLE.com"),
    ]
    assert edx_platform.find_user("LEARNER1@EXAMPLE.COM") in (made[1], made[2])
    assert edx_platform.find_user("learner1@example.com") == made[2]  # Django writes a domain in lower case
    assert edx_platform.find_user("Learner1@example.com") == made[0]
    assert edx_platform.find_user("learner2@example.com") is None
    assert edx_platform.find_user("learner_@example.com") is None
    assert edx_platform.find_user("%") is None


def test_a_letter_whose_lower_case_is_anothers() -> None:
    """The Kelvin sign in lower case is a k, also to collations; who registered with it is somebody else."""
    make_user("a", "learner\u212a@example.com")
    assert edx_platform.find_user("learnerk@example.com") is None


def test_a_completed_retirement_leaves_only_the_platforms_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real platform's student models have ``is_email_retired``."""
    assert not edx_platform.is_retired(EMAIL, None)
    monkeypatch.setattr(student, "is_email_retired", lambda email: email == EMAIL, raising=False)
    assert edx_platform.is_retired(EMAIL, None)
    assert not edx_platform.is_retired(EMAIL, make_user())


def test_modes() -> None:
    assert edx_platform.course_modes(KEY) == {"audit"}
    for slug in ("verified", "honor"):
        CourseMode.objects.create(course_id=KEY, mode_slug=slug, mode_display_name=slug)
    assert edx_platform.course_modes(KEY) == {"verified", "honor"}
    assert edx_platform.default_mode({"verified", "honor"}) == "honor"
    assert edx_platform.default_mode({"verified", "audit", "honor"}) == "audit"
    assert edx_platform.default_mode({"verified"}) == "audit"


def test_a_course_that_is_gone_since() -> None:
    with pytest.raises(EnrollmentRefused, match=r"^Course course-v1:edX[+]DemoX[+]2026 does not exist$"):
        edx_platform.enroll(make_user(), KEY, mode=None, check_access=True)


def test_a_filter_that_gives_no_reason(settings: Any) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.PreventWithoutAWord)
    with pytest.raises(EnrollmentRefused, match=r"^Enrollment in course course-v1:edX[+]DemoX[+]2026 is not allowed$"):
        edx_platform.enroll(make_user(), KEY, mode=None, check_access=False)


@pytest.fixture
def meanwhile(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any, Any], None]], None]:
    """Have something happen while an enrollment is in its filter."""
    CourseOverview.objects.create(id=KEY)
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.Meanwhile)
    return lambda happens: monkeypatch.setattr(steps.Meanwhile, "happens", happens, raising=False)


@pytest.mark.parametrize("mode", ["verified", "audit"])
@pytest.mark.parametrize("check_access", [True, False])
def test_enrolled_by_somebody_else_in_between(meanwhile: Any, check_access: bool, mode: str) -> None:
    """It is noticed, and what was done is undone: here, on one connection, with the row of the other's.

    ``tests/lernito/test_concurrency.py`` has the other on a connection of its own.
    """

    def enroll(user: Any, key: Any) -> None:
        student.CourseEnrollment.objects.create(user=user, course_id=key, mode=mode)

    meanwhile(enroll)
    assert edx_platform.enroll(make_user(), KEY, mode=None, check_access=check_access) is False


def test_other_enrollments_are_changed_while_one_is_made(meanwhile: Any) -> None:
    """The guard is for the row of the order alone, until it is written, and for nobody outside of an order."""
    user = make_user()
    other = student.CourseEnrollment.objects.create(user=user, course_id=CourseKey.from_string("course-v1:edX+B+1"))

    def upgrade(enrollment: Any, **_event: Any) -> None:
        row = student.CourseEnrollment.objects.get(user_id=enrollment.user.id, course_id=enrollment.course.course_key)
        row.update_enrollment(mode="honor")

    meanwhile(lambda user, key: other.update_enrollment(mode="verified"))
    COURSE_ENROLLMENT_CREATED.connect(upgrade)
    try:
        assert edx_platform.enroll(user, KEY, mode=None, check_access=False) is True
    finally:
        COURSE_ENROLLMENT_CREATED.disconnect(upgrade)
    found = student.CourseEnrollment.objects.filter(user=user, is_active=True)
    assert sorted(found.values_list("mode", flat=True)) == ["honor", "verified"]
    student.CourseEnrollment.enroll(user, KEY, mode="audit")
    assert student.CourseEnrollment.objects.get(course_id=KEY).mode == "audit"


def test_a_filter_that_names_another_course(settings: Any) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configured(steps.Elsewhere)
    for course_id in (KEY, steps.Elsewhere.course_key):
        CourseOverview.objects.create(id=course_id)
    assert edx_platform.enroll(make_user(), KEY, mode=None, check_access=False) is True
    assert student.CourseEnrollment.objects.get().course_id == steps.Elsewhere.course_key
