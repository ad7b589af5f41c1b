"""Everything this package asks of edx-platform, and the only module that imports from it.

The imports stand inside the functions: the CMS, the tests and the management commands load this package where
the platform's apps are not there. Interfaces: ``common.djangoapps.student.models``,
``openedx.core.djangoapps.content.course_overviews.models``, ``common.djangoapps.course_modes.models`` and
``openedx.core.djangoapps.user_api.models``, as Teak to Verawood have them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import pre_save
from django.dispatch import Signal
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from openedx_webhooks.exceptions import EnrollmentRefused


def existing_courses(keys: Iterable[CourseKey]) -> set[str]:
    """Return the ids, among ``keys``, of courses that exist: from SQL alone, never from the modulestore.

    Compared letter by letter here: MySQL ignores case, and an enrollment under another spelling of a course's
    id would be one in no course.
    """
    from openedx.core.djangoapps.content.course_overviews.models import CourseOverview  # noqa: PLC0415

    wanted = list(keys)
    found = CourseOverview.objects.filter(id__in=wanted).values_list("id", flat=True)
    return {str(key) for key in found} & {str(key) for key in wanted}


def find_user(email: str) -> Any:
    """Return the user of an email address, active or not, or None; case does not count on any database.

    MySQL's collation takes more for the same, so what it finds is compared again. Of several, the one with the
    very spelling wins, then an active one, then the oldest.
    """
    users = get_user_model().objects.filter(email__iexact=email)
    same = [user for user in users if _is_same(user.email, email)]
    return min(same, key=lambda user: (user.email != email, not user.is_active, user.pk), default=None)


def _is_same(stored: str, email: str) -> bool:
    """Compare as an address is: ASCII, without case. The Kelvin sign in lower case is a k, and no other letter's."""
    return stored.isascii() and stored.lower() == email.lower()


def is_retired(email: str, user: AbstractBaseUser | None) -> bool:
    """Return whether this account, or the account that once had this address, is retired or about to be.

    A request for retirement replaces the address at once and keeps the original until the retirement is
    complete; afterwards only the platform's salted hash of it is left (``is_email_retired``).
    """
    from common.djangoapps.student import models as student  # noqa: PLC0415
    from openedx.core.djangoapps.user_api.models import UserRetirementStatus  # noqa: PLC0415

    if user is not None:
        return bool(UserRetirementStatus.objects.filter(user_id=user.pk).exists())
    found = UserRetirementStatus.objects.filter(original_email__iexact=email)
    if any(_is_same(original, email) for original in found.values_list("original_email", flat=True)):
        return True
    is_email_retired = getattr(student, "is_email_retired", None)
    return bool(is_email_retired and is_email_retired(email))


def course_modes(key: CourseKey) -> set[str]:
    """Return the slugs of the modes in which a learner can take this course now."""
    from common.djangoapps.course_modes.models import CourseMode  # noqa: PLC0415

    return {mode.slug for mode in CourseMode.modes_for_course(key)}


def default_mode(modes: Collection[str]) -> str:
    """Return the mode that the platform enrolls into where none is named, given the course's modes."""
    from common.djangoapps.course_modes.models import CourseMode  # noqa: PLC0415

    default = str(CourseMode.DEFAULT_MODE_SLUG)
    return next((slug for slug in (default, "audit", "honor") if slug in modes), default)


@dataclass(slots=True)
class _Enrolling:
    """The enrollment that ``enroll`` is making, and whether its row was written."""

    user_id: int
    course_id: CourseKey
    written: bool = False

    def concerns(self, enrollment: Any) -> bool:
        return (enrollment.user_id, enrollment.course_id) == (self.user_id, self.course_id)


_enrolling: ContextVar[_Enrolling | None] = ContextVar("openedx_webhooks_enrolling", default=None)


def connect() -> None:
    """Have the row of an enrollment that ``enroll`` makes looked at before the platform writes it."""
    if apps.is_installed("common.djangoapps.student"):
        pre_save.connect(
            _keep_enrolled, sender="student.CourseEnrollment", weak=False, dispatch_uid="openedx_webhooks.edx_platform"
        )


def _keep_enrolled(sender: Any, instance: Any, **_signal: Any) -> None:
    """Raise AlreadyEnrolledError where the row that ``enroll`` is about to write is an active enrollment by now.

    The platform asks filters for seconds, and then writes over what it finds. Locked, the row is read as it is,
    whatever the isolation. Everybody else's writing passes, and so does what follows upon ours.
    """
    from common.djangoapps.student import models as student  # noqa: PLC0415

    enrolling = _enrolling.get()
    if enrolling is None or enrolling.written or instance.pk is None or not enrolling.concerns(instance):
        return
    if sender.objects.select_for_update().filter(pk=instance.pk, is_active=True).exists():
        raise student.AlreadyEnrolledError
    enrolling.written = True


@contextmanager
def _guarded(user: Any, key: CourseKey) -> Iterator[_Enrolling]:
    enrolling = _Enrolling(user.pk, key)
    token = _enrolling.set(enrolling)
    try:
        yield enrolling
    finally:
        _enrolling.reset(token)


def enroll(user: Any, key: CourseKey, *, mode: str | None, check_access: bool) -> bool:
    """Enroll a user; return False, and change nothing, where the user is enrolled already.

    ``is_enrolled`` is asked first: ``enroll`` on an active enrollment would downgrade a verified learner and
    send CREATED a second time. One that becomes active while filters are asked is seen before it is written
    (``_keep_enrolled``); where there was nothing to write, what ``enroll`` did is undone. Without a mode, who comes
    back has the mode of then. Raises EnrollmentRefused.
    """
    from common.djangoapps.student import models as student  # noqa: PLC0415

    if student.CourseEnrollment.is_enrolled(user, key):
        return False
    if not _has_profile(user):
        raise EnrollmentRefused("The account of this email address has no profile")
    try:
        with transaction.atomic(), _guarded(user, key) as enrolling:
            enrollment = student.CourseEnrollment.enroll(
                user, key, mode=mode or _mode_of_then(user, key), check_access=check_access
            )
            if enrolling.concerns(enrollment) and not enrolling.written:
                raise student.AlreadyEnrolledError
    except student.AlreadyEnrolledError:
        return False
    except student.CourseEnrollmentException as error:
        raise EnrollmentRefused(_refusal(error, key)) from error
    return True


def _mode_of_then(user: Any, key: CourseKey) -> str | None:
    """Return the mode that somebody who left had, where the course still has it; None leaves it to the platform."""
    from common.djangoapps.student.models import CourseEnrollment  # noqa: PLC0415

    mode = CourseEnrollment.objects.filter(user=user, course_id=key).values_list("mode", flat=True).first()
    return mode if mode and mode in course_modes(key) else None


def allow(email: str, key: CourseKey, *, check_access: bool) -> bool:
    """Let whoever gets an account with this address be enrolled; return False where that is so already.

    The platform consumes the allowance when the account becomes active. One that another account has consumed
    (it changed its address since) is not given out twice. Neither is one of another address that the database
    takes for this one (to MySQL's collations é is e, and ß is ss; LIKE and = differ in that): there is room for
    one of the two. Raises EnrollmentRefused.
    """
    from common.djangoapps.student.models import CourseEnrollmentAllowed  # noqa: PLC0415

    alike = Q(email__iexact=email) | Q(email=email)
    found = list(CourseEnrollmentAllowed.objects.filter(alike, course_id=key))
    allowance = next((row for row in found if _is_same(row.email, email)), None)
    if allowance is None and found:
        raise EnrollmentRefused(f"The database takes another address, which is allowed into course {key}, for this one")
    if allowance is None:
        if check_access:
            _check_open(key)
        CourseEnrollmentAllowed.objects.create(email=email, course_id=key, auto_enroll=True)
        return True
    if allowance.user_id is not None:
        raise EnrollmentRefused(f"The allowance for course {key} was used by an account that has another address now")
    if allowance.auto_enroll:
        return False
    allowance.auto_enroll = True
    allowance.save(update_fields=["auto_enroll"])
    return True


def _has_profile(user: Any) -> bool:
    """Say no to accounts made on the command line: the platform's events read the name from the profile."""
    try:
        return user.profile is not None
    except ObjectDoesNotExist:
        return False


def _refusal(error: Exception, key: CourseKey) -> str:
    """Return the sentence for one of the platform's enrollment errors, which mostly carry none themselves."""
    from common.djangoapps.student import models as student  # noqa: PLC0415

    if isinstance(error, student.EnrollmentClosedError):
        return f"Enrollment in course {key} is closed"
    if isinstance(error, student.CourseFullError):
        return f"Course {key} is full"
    if isinstance(error, student.NonExistentCourseError):
        return f"Course {key} does not exist"
    return str(error) or f"Enrollment in course {key} is not allowed"


def _check_open(key: CourseKey) -> None:
    """Refuse what ``enroll(check_access=True)`` would refuse to somebody without an invitation."""
    from common.djangoapps.student import models as student  # noqa: PLC0415
    from openedx.core.djangoapps.content.course_overviews.models import CourseOverview  # noqa: PLC0415

    course = CourseOverview.objects.get(id=key)
    now = timezone.now()
    early = course.enrollment_start is not None and now < course.enrollment_start
    late = course.enrollment_end is not None and now >= course.enrollment_end
    if course.invitation_only or early or late:
        raise EnrollmentRefused(f"Enrollment in course {key} is closed")
    if student.CourseEnrollment.objects.is_course_full(course):
        raise EnrollmentRefused(f"Course {key} is full")


def retirement_signal() -> Signal | None:
    """Return the signal that is sent, with ``user``, while an account is retired; None where there is no platform."""
    try:
        from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_MISC  # noqa: PLC0415
    except ImportError:
        return None
    signal: Signal = USER_RETIRE_LMS_MISC
    return signal


def retired_email(user: Any) -> str:
    """Return the address that an account had before its retirement was asked for, which replaced it; else its own."""
    from openedx.core.djangoapps.user_api.models import UserRetirementStatus  # noqa: PLC0415

    status = UserRetirementStatus.objects.filter(user=user).first()
    return str(status.original_email if status else user.email)
