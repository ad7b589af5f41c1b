"""People and their enrollments, under the platform's import path."""

from common.djangoapps.student.models.course_enrollment import (
    AlreadyEnrolledError,
    CourseEnrollment,
    CourseEnrollmentAllowed,
    CourseEnrollmentException,
    CourseFullError,
    EnrollmentClosedError,
    EnrollmentNotAllowed,
    NonExistentCourseError,
    UnenrollmentNotAllowed,
)
from common.djangoapps.student.models.user import Registration, UserProfile

__all__ = [
    "AlreadyEnrolledError",
    "CourseEnrollment",
    "CourseEnrollmentAllowed",
    "CourseEnrollmentException",
    "CourseFullError",
    "EnrollmentClosedError",
    "EnrollmentNotAllowed",
    "NonExistentCourseError",
    "Registration",
    "UnenrollmentNotAllowed",
    "UserProfile",
]
