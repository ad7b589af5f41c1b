"""Realistic arguments for every filter, by the name of the argument, and a change that a reply may make to each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from common.djangoapps.student.models import CourseEnrollment
from django.contrib.auth.models import User
from django.db.models import FilteredRelation
from django.http import HttpResponse, QueryDict
from opaque_keys.edx.keys import CourseKey, UsageKey

from openedx_webhooks.catalog.filters import Filter

COURSE = CourseKey.from_string("course-v1:edX+DemoX+2026")
BLOCK = UsageKey.from_string("block-v1:edX+DemoX+2026+type@vertical+block@v1")


class Block:
    """What an XBlock shows of itself."""

    scope_ids = SimpleNamespace(usage_id=BLOCK, block_type="vertical")
    display_name = "A unit"


class Fragment:
    """What a web fragment shows of itself."""

    def __init__(self, content: str) -> None:
        self.content = content

    def add_content(self, content: str) -> None:
        self.content += content

    def to_dict(self) -> dict[str, Any]:
        return {"content": self.content}


class FormDescription:
    """What a form description shows of itself: overrides are recorded until the fields are added."""

    def __init__(self) -> None:
        self.method, self.submit_url, self.overrides = "post", "/login", {}

    def override_field_properties(self, field_name: str, /, **properties: Any) -> None:
        self.overrides.setdefault(field_name, {}).update(properties)


class Opaque:
    """An object of the platform that nothing is known about."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def _context(_user: User) -> dict[str, Any]:
    return {
        "title": "Dashboard",
        "count": 2,
        "course": Opaque(),
        "courses": ["a"],
        "user": {"name": "Old"},
        "none": None,
    }


_BY_NAME: Mapping[str, Callable[[User], Any]] = {
    "user": lambda user: user,
    "form_data": lambda _: QueryDict("username=new&email=new@example.com&name=Old&password=secret", mutable=True),
    "course_key": lambda _: COURSE,
    "mode": lambda _: "audit",
    "enrollment": lambda user: CourseEnrollment(id=1, user=user, course_id=COURSE, mode="audit"),
    "status": lambda _: "downloadable",
    "grade": lambda _: Opaque(percent=0.5, passed=True, letter_grade="B"),
    "generation_mode": lambda _: "batch",
    "current_membership": lambda user: Opaque(user=user),
    "target_cohort": lambda _: Opaque(name="cohort"),
    "custom_template": lambda _: Opaque(),
    "template_name": lambda _: "dashboard.html",
    "block": lambda _: Block(),
    "fragment": lambda _: Fragment("<p>Old</p>"),
    "view": lambda _: "student_view",
    "url": lambda _: "https://example.com/about",
    "org": lambda _: "edX",
    "course_home_url": lambda _: "https://example.com/home",
    "redirect_url": lambda _: "/dashboard",
    "schedules": lambda _: User.objects.annotate(enrollment=FilteredRelation("courseenrollment")),
    "enrollments": lambda _: CourseEnrollment.objects.all(),
    "readonly_fields": lambda _: {"email", "name"},
    "tabs": lambda _: [{"tab_id": "a", "title": "A", "url": "/a", "sort_order": 1}],
    "form_desc": lambda _: FormDescription(),
    "running_pipeline": lambda _: {"kwargs": {"response": {"access_token": "TOKEN"}}, "backend": "google"},
    "current_provider": lambda _: Opaque(provider_id="oa2-google", skip_registration_form=False, name="Google"),
    "response": lambda _: HttpResponse("<html>"),
    "extra_context": lambda _: {},
    "command_contextmanager": lambda _: contextlib.nullcontext(),
    "command_name": lambda _: "migrate",
    "service_variant": lambda _: "lms",
    "price": lambda _: 100,
    "course_mode_data": lambda _: Opaque(slug="verified", currency="usd"),
    "enrollments_data": lambda _: [{"course_id": str(COURSE), "mode": "audit"}],
    "view_name": lambda _: "index",
    "start_date": lambda _: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "requester_is_backend_service": lambda _: False,
    "user_id": lambda user: user.pk,
    "course_id": lambda _: str(COURSE),
}

CHANGES: Mapping[str, tuple[Any, Callable[[Any], Any], Any]] = {
    "form_data": ({"name": "New"}, lambda form: form["name"], "New"),
    "course_key": ("course-v1:edX+Other+1", str, "course-v1:edX+Other+1"),
    "mode": ("honor", str, "honor"),
    "status": ("notpassing", str, "notpassing"),
    "generation_mode": ("self", str, "self"),
    "template_name": ("other/page.html", str, "other/page.html"),
    "fragment": ({"content": "<b>New</b>"}, lambda fragment: fragment.content, "<b>New</b>"),
    "url": ("https://example.org/new", str, "https://example.org/new"),
    "course_home_url": ("/new", str, "/new"),
    "redirect_url": ("/new", str, "/new"),
    "schedules": ({"filter": {"enrollment__mode": "honor"}}, lambda rows: "honor" in str(rows.query), True),
    "enrollments": ({"exclude": {"mode__in": ["honor"]}}, lambda rows: "honor" in str(rows.query), True),
    "readonly_fields": (["bio"], set, {"email", "name", "bio"}),
    "tabs": ([{"tab_id": "b"}], list, [{"tab_id": "b"}]),
    "form_desc": ({"email": {"label": "Mail"}}, lambda form: form.overrides, {"email": {"label": "Mail"}}),
    "price": (90, int, 90),
    "enrollments_data": ([{"course_id": "x", "extra": 1}], list, [{"course_id": "x", "extra": 1}]),
    "extra_context": ({"brand": "B"}, dict, {"brand": "B"}),
}
"""By argument: what a reply wants, how to look at the result, and what to see."""

IN_DICTS = ({"title": "New", "added": {"deep": [1]}}, lambda d: (d["title"], d["added"]), ("New", {"deep": [1]}))
"""The same for every other dict: contexts and serialized objects."""


def arguments(found: Filter, user: User) -> dict[str, Any]:
    """Return what the platform passes to ``run_filter``."""
    return {name: _BY_NAME.get(name, _context)(user) for name in found.arguments}
