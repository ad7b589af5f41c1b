"""A site with a secret and courses, and a client that signs its orders."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.learning.signals import COURSE_ENROLLMENT_CHANGED, COURSE_ENROLLMENT_CREATED

SECRET = "a secret of the shop"
PATH = "/api/lernito/webhook/"
COURSES = ("course-v1:edX+DemoX+2026", "course-v1:edX+Second+2026")
EMAIL = "learner1@example.com"


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Shop:
    """The external service: signs and posts through Django's client."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=True)

    def post(self, body: bytes, *, content_type: str = "application/json", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        # CONTENT_TYPE by name: Django's client leaves it out where the body is empty.
        return self.client.generic("POST", PATH, data=body, headers=named, CONTENT_TYPE=content_type)

    def signed(self, body: bytes) -> Any:
        return self.post(body, x_lernito_signature=signature(body))

    def order(self, email: str = EMAIL, course_ids: Any = COURSES, **fields: Any) -> Any:
        return self.signed(json.dumps({"email": email, "courseIds": list(course_ids), **fields}).encode())


@pytest.fixture(autouse=True)
def _site(settings: Any) -> Iterator[None]:
    settings.LERNITO_WEBHOOK_SECRET = SECRET
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def courses(db: None) -> list[CourseOverview]:
    return make_courses()


def make_courses() -> list[CourseOverview]:
    return [CourseOverview.objects.create(id=CourseKey.from_string(course_id)) for course_id in COURSES]


def make_user(email: str = EMAIL, *, is_active: bool = True) -> User:
    """Register and, as the platform does, activate only then."""
    user = User.objects.create_user(email.partition("@")[0].lower(), email, "correct horse", is_active=False)
    UserProfile.objects.create(user=user, name="Ada Learner")
    if is_active:
        user.is_active = True
        user.save()
    return user


@pytest.fixture
def user(db: None) -> User:
    return make_user()


@pytest.fixture
def emitted() -> Iterator[list[str]]:
    """Collect the enrollment events of a test, by name, in order."""
    names: list[str] = []

    def listen(name: str) -> Callable[..., None]:
        def receive(**_kwargs: Any) -> None:
            names.append(name)

        return receive

    signals = {"created": COURSE_ENROLLMENT_CREATED, "changed": COURSE_ENROLLMENT_CHANGED}
    for name, signal in signals.items():
        signal.connect(listen(name), weak=False, dispatch_uid=f"lernito-{name}")
    yield names
    for name, signal in signals.items():
        signal.disconnect(dispatch_uid=f"lernito-{name}")
