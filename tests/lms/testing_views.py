"""Views that the platform does not have: for tests alone."""

import json
from typing import Any

from common.djangoapps.student.models import CourseEnrollment
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import get_object_or_404
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from opaque_keys.edx.keys import CourseKey

from tests.lms.samples import send_sample


class FailsOnPurposeError(Exception):
    """What a view raises after it enrolled somebody."""


@csrf_exempt
@require_POST
def enroll_then_fail(request: HttpRequest) -> HttpResponse:
    """``POST /testing/enroll_then_fail`` with ``username`` and ``course_id``: enroll, then raise, which rolls back."""
    user = get_object_or_404(User, username=request.POST["username"])
    CourseEnrollment.enroll(user, CourseKey.from_string(request.POST["course_id"]))
    raise FailsOnPurposeError


@csrf_exempt
@require_POST
def emit(request: HttpRequest) -> HttpResponse:
    """``POST /testing/emit`` with ``event`` (a name or an event_type) and ``count``: send its sample that often."""
    try:
        for _ in range(int(request.POST.get("count", "1"))):
            send_sample(request.POST.get("event", ""))
    except LookupError:
        return HttpResponseNotFound("No such event.")
    return HttpResponse(status=204)


def who(request: HttpRequest) -> HttpResponse:
    """``GET /testing/who``: who is logged in, as JSON."""
    user: Any = request.user
    return HttpResponse(json.dumps({"username": user.get_username()}), content_type="application/json")
