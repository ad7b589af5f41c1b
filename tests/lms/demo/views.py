"""The demo's pages, and the JSON that its inbox is drawn from."""

from typing import Any

from common.djangoapps.student.models import CourseEnrollment, Registration
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview

from openedx_webhooks.deliveries import due
from openedx_webhooks.models import Delivery
from tests.lms.demo import inbox

A_WEEK = 7 * 86_400.0
"""Seconds."""


@ensure_csrf_cookie
def home(request: HttpRequest) -> HttpResponse:
    """Show the courses, with what one may do, beside the inbox."""
    user = request.user if isinstance(request.user, User) else None
    enrollments = CourseEnrollment.objects.filter(user=user, is_active=True) if user else []
    enrolled = {enrollment.course_id for enrollment in enrollments}
    courses = [
        {"key": str(course.id), "name": course.display_name, "org": course.org, "enrolled": course.id in enrolled}
        for course in CourseOverview.objects.order_by("display_name")
    ]
    context = {"page": "home", "courses": courses, "activation": _activation(user), **_inbox()}
    return render(request, "demo/home.html", context)


def _inbox() -> dict[str, Any]:
    return {"moods": inbox.MOODS, "inbox_url": inbox.current().url}


def _activation(user: User | None) -> Registration | None:
    """Return what the e-mail to a new account would carry, until its link was followed."""
    if user is None or user.is_active:
        return None
    return Registration.objects.filter(user=user).first()


@ensure_csrf_cookie
def register(request: HttpRequest) -> HttpResponse:
    """Show the form that posts to the registration API."""
    return render(request, "demo/register.html", {"page": "register"})


@ensure_csrf_cookie
def login(request: HttpRequest) -> HttpResponse:
    """Show the form that posts to the login API."""
    return render(request, "demo/login.html", {"page": "login"})


@ensure_csrf_cookie
def show_inbox(request: HttpRequest) -> HttpResponse:
    """Show the inbox by itself."""
    return render(request, "demo/inbox.html", {"page": "inbox", **_inbox()})


# Polled every second: no transaction, which would take SQLite's write lock.
@transaction.non_atomic_requests
def inbox_json(request: HttpRequest) -> JsonResponse:
    """``GET /demo/inbox.json?after=<number>``: what came since, the inbox's mood, and the outbox's state."""
    after = request.GET.get("after", "0")
    box = inbox.current()
    return JsonResponse(
        {
            "run": box.run,
            "mood": box.mood,
            "entries": box.entries(int(after) if after.isdigit() else 0),
            "outbox": _outbox(),
        }
    )


@require_POST
@transaction.non_atomic_requests
def change_mood(request: HttpRequest) -> HttpResponse:
    """``POST /demo/mood`` with ``mood``: 204, or 400 where there is no such mood."""
    try:
        inbox.current().mood = request.POST.get("mood", "")
    except ValueError:
        return HttpResponseBadRequest("No such mood.")
    return HttpResponse(status=204)


def _outbox() -> dict[str, Any]:
    """Return how many deliveries wait, arrived and failed, and the seconds to the next attempt."""
    counts = dict(Delivery.objects.values_list("status").annotate(Count("id")).order_by())
    return {
        "waiting": counts.get(Delivery.Status.PENDING, 0) + counts.get(Delivery.Status.LEASED, 0),
        "delivered": counts.get(Delivery.Status.DELIVERED, 0),
        "failed": counts.get(Delivery.Status.FAILED, 0),
        "next_in": due.seconds_to_next(connection, within=A_WEEK),
    }
