"""Enrolling and unenrolling, with the platform's filters, events and traps.

The order is the platform's: filter, checks (only when asked for), row, CHANGED, then CREATED or
UNENROLLMENT_COMPLETED. Everything happens in the caller's transaction.
"""

from typing import Any, Self

from common.djangoapps.course_modes.models import CourseMode
from common.djangoapps.student.models.user import user_data
from django.contrib.auth.models import User
from django.db import models
from django.db.models import Q, QuerySet
from opaque_keys.edx.django.models import CourseKeyField
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.learning.data import CourseData, CourseEnrollmentData
from openedx_events.learning.signals import (
    COURSE_ENROLLMENT_CHANGED,
    COURSE_ENROLLMENT_CREATED,
    COURSE_UNENROLLMENT_COMPLETED,
)
from openedx_filters.learning.filters import CourseEnrollmentStarted, CourseUnenrollmentStarted


class CourseEnrollmentException(Exception):
    """Whatever keeps a user from enrolling or unenrolling."""


class NonExistentCourseError(CourseEnrollmentException):
    """There is no such course."""


class EnrollmentClosedError(CourseEnrollmentException):
    """The course's enrollment is not open to this user."""


class CourseFullError(CourseEnrollmentException):
    """The course has as many learners as it takes."""


class AlreadyEnrolledError(CourseEnrollmentException):
    """The user is enrolled already."""


class EnrollmentNotAllowed(CourseEnrollmentException):
    """A filter prevented the enrollment."""


class UnenrollmentNotAllowed(CourseEnrollmentException):
    """A filter prevented the unenrollment."""


class CourseEnrollmentManager(models.Manager["CourseEnrollment"]):
    """Counts enrollments."""

    def num_enrolled_in(self, course_id: CourseKey) -> int:
        """Return how many are actively enrolled."""
        return self.filter(course_id=course_id, is_active=True).count()

    def is_course_full(self, course: CourseOverview) -> bool:
        """Return whether the course takes nobody more."""
        limit = course.max_student_enrollments_allowed
        return limit is not None and self.num_enrolled_in(course.id) >= limit


class CourseEnrollment(models.Model):
    """A user in a course; unenrolling makes the row inactive.

    .. no_pii: A stand-in for tests.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE)
    course = models.ForeignKey(CourseOverview, db_constraint=False, on_delete=models.DO_NOTHING)
    created = models.DateTimeField(auto_now_add=True, null=True, db_index=True)
    is_active = models.BooleanField(default=True)
    mode = models.CharField(default=CourseMode.DEFAULT_MODE_SLUG, max_length=100)

    objects = CourseEnrollmentManager()

    class Meta:
        app_label = "student"
        unique_together = (("user", "course"),)
        ordering = ("user", "course")

    def __str__(self) -> str:
        return f"[CourseEnrollment] {self.user}: {self.course_id}; active: ({self.is_active})"

    @property
    def course_overview(self) -> CourseOverview | None:
        """The course, or None where there is none."""
        return CourseOverview.objects.filter(id=self.course_id).first()

    @classmethod
    def get_enrollment(cls, user: User, course_key: CourseKey) -> Self | None:
        """Return the row, active or not, or None."""
        return cls.objects.filter(user=user, course_id=course_key).first()

    @classmethod
    def is_enrolled(cls, user: User, course_key: CourseKey) -> bool:
        """Return whether the user is actively enrolled."""
        return cls.objects.filter(user=user, course_id=course_key, is_active=True).exists()

    @classmethod
    def enrollment_mode_for_user(cls, user: User, course_id: CourseKey) -> tuple[str | None, bool | None]:
        """Return (mode, is_active), or (None, None)."""
        enrollment = cls.get_enrollment(user, course_id)
        return (enrollment.mode, enrollment.is_active) if enrollment else (None, None)

    @classmethod
    def is_enrollment_closed(cls, user: User, course: CourseOverview) -> bool:
        """Return whether the dates, or an invitation that is missing, keep this user out."""
        if CourseEnrollmentAllowed.may_enroll(user, course.id):
            return False
        return course.invitation_only or not course.is_enrollment_open()

    @classmethod
    def enroll(  # noqa: PLR0917 - the platform's signature
        cls,
        user: User,
        course_key: CourseKey,
        mode: str | None = None,
        check_access: bool = False,
        can_upgrade: bool = False,
        enterprise_uuid: Any = None,
    ) -> Self:
        """Enroll a user, and return the row.

        Without ``check_access`` nothing is refused but by a filter: a course that is closed, full or missing is
        enrolled into, an active enrollment is sent again, and a mode of None turns it into the default's.
        """
        try:
            user, course_key, mode = CourseEnrollmentStarted.run_filter(user=user, course_key=course_key, mode=mode)
        except CourseEnrollmentStarted.PreventEnrollment as exc:
            raise EnrollmentNotAllowed(str(exc)) from exc
        if check_access:
            cls._check_access(user, course_key, can_upgrade)
        enrollment = cls.get_or_create_enrollment(user, course_key)
        enrollment.update_enrollment(is_active=True, mode=_default_mode(course_key) if mode is None else mode)
        enrollment._send(COURSE_ENROLLMENT_CREATED)
        return enrollment

    @classmethod
    def _check_access(cls, user: User, course_key: CourseKey, can_upgrade: bool) -> None:
        try:
            course = CourseOverview.get_from_id(course_key)
        except CourseOverview.DoesNotExist as exc:
            raise NonExistentCourseError from exc
        if cls.is_enrollment_closed(user, course) and not can_upgrade:
            raise EnrollmentClosedError
        if cls.objects.is_course_full(course):
            raise CourseFullError
        if cls.is_enrolled(user, course_key):
            raise AlreadyEnrolledError

    @classmethod
    def get_or_create_enrollment(cls, user: User, course_key: CourseKey) -> Self:
        """Return the row; a new one is not active yet, and claims the user's invitation."""
        enrollment, created = cls.objects.get_or_create(
            user=user, course_id=course_key, defaults={"mode": CourseMode.DEFAULT_MODE_SLUG, "is_active": False}
        )
        if created:
            invitations = CourseEnrollmentAllowed.objects.filter(email=user.email, course_id=course_key)
            invitations.filter(user__isnull=True).update(user=user)
        return enrollment

    @classmethod
    def unenroll(cls, user: User, course_id: CourseKey, skip_refund: bool = False) -> None:
        """Unenroll a user; somebody who never enrolled is passed over."""
        enrollment = cls.get_enrollment(user, course_id)
        if enrollment is None:
            return
        try:
            enrollment = CourseUnenrollmentStarted.run_filter(enrollment=enrollment)
        except CourseUnenrollmentStarted.PreventUnenrollment as exc:
            raise UnenrollmentNotAllowed(str(exc)) from exc
        enrollment.update_enrollment(is_active=False, skip_refund=skip_refund)
        enrollment._send(COURSE_UNENROLLMENT_COMPLETED)

    def update_enrollment(
        self, mode: str | None = None, is_active: bool | None = None, skip_refund: bool = False
    ) -> None:
        """Write what changes, and send CHANGED where something did; the mode is taken as it is given."""
        changed = (is_active is not None and is_active != self.is_active) or (mode is not None and mode != self.mode)
        if is_active is not None:
            self.is_active = is_active
        if mode is not None:
            self.mode = mode
        if changed:
            self.save()
            self._send(COURSE_ENROLLMENT_CHANGED)

    def _send(self, signal: Any) -> None:
        signal.send_event(enrollment=self._as_data())

    def _as_data(self) -> CourseEnrollmentData:
        course = self.course_overview
        name = {"display_name": course.display_name_with_default} if course else {}
        return CourseEnrollmentData(
            user=user_data(self.user),
            course=CourseData(course_key=self.course_id, **name),
            mode=self.mode,
            is_active=self.is_active,
            creation_date=self.created,
        )


class CourseEnrollmentAllowed(models.Model):
    """An invitation of an e-mail address into a course, for somebody who may have no account yet.

    .. no_pii: A stand-in for tests.
    """

    email = models.CharField(max_length=255, db_index=True)
    course_id = CourseKeyField(max_length=255, db_index=True)
    auto_enroll = models.BooleanField(default=False)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE)
    created = models.DateTimeField(auto_now_add=True, null=True, db_index=True)

    class Meta:
        app_label = "student"
        unique_together = (("email", "course_id"),)

    def __str__(self) -> str:
        return f"[CourseEnrollmentAllowed] {self.email}: {self.course_id}"

    @classmethod
    def for_user(cls, user: User) -> QuerySet[Self]:
        """Return the user's invitations: those of the address that nobody else claimed."""
        return cls.objects.filter(email=user.email).filter(Q(user__isnull=True) | Q(user=user))

    @classmethod
    def may_enroll(cls, user: User, course_key: CourseKey) -> bool:
        """Return whether an invitation opens the course to this user."""
        return bool(user.email) and cls.for_user(user).filter(course_id=course_key).exists()


def _default_mode(course_key: CourseKey) -> str:
    """Return the mode of who asks for none: audit or honor where the course has it, else its first."""
    modes = CourseMode.modes_for_course_dict(course_key)
    preferred = [slug for slug in (CourseMode.AUDIT, CourseMode.HONOR) if slug in modes]
    return preferred[0] if preferred else next(iter(modes))
