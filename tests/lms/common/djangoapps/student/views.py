"""Enrolling, unenrolling and activating over HTTP."""

from common.djangoapps.student.models import (
    CourseEnrollment,
    CourseEnrollmentException,
    EnrollmentNotAllowed,
    Registration,
    UnenrollmentNotAllowed,
)
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseForbidden
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey


@require_POST
def change_enrollment(request: HttpRequest) -> HttpResponse:
    """``POST /change_enrollment`` with ``enrollment_action`` (enroll, unenroll) and ``course_id``: 200, 400 or 403."""
    user = request.user
    if not isinstance(user, User):
        return HttpResponseForbidden()
    try:
        course_key = CourseKey.from_string(request.POST.get("course_id", ""))
    except InvalidKeyError:
        return HttpResponseBadRequest("Invalid course id")
    match request.POST.get("enrollment_action"):
        case "enroll":
            return _enroll(user, course_key)
        case "unenroll":
            return _unenroll(user, course_key)
        case _:
            return HttpResponseBadRequest("Enrollment action is invalid")


def _enroll(user: User, course_key: CourseKey) -> HttpResponse:
    try:
        CourseEnrollment.enroll(user, course_key, check_access=True)
    except EnrollmentNotAllowed as exc:
        return HttpResponseBadRequest(str(exc))
    except CourseEnrollmentException:
        return HttpResponseBadRequest("Could not enroll")
    return HttpResponse()


def _unenroll(user: User, course_key: CourseKey) -> HttpResponse:
    if not CourseEnrollment.is_enrolled(user, course_key):
        return HttpResponseBadRequest("You are not enrolled in this course")
    try:
        CourseEnrollment.unenroll(user, course_key)
    except UnenrollmentNotAllowed as exc:
        return HttpResponseBadRequest(str(exc))
    return HttpResponse()


def activate_account(request: HttpRequest, key: str) -> HttpResponse:
    """``GET /activate/<key>``: make the account active; 404 where the key is unknown."""
    registration = get_object_or_404(Registration, activation_key=key)
    if not registration.user.is_active:
        registration.activate()
    return HttpResponse("Your account is active.")
