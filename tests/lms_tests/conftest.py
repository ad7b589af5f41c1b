"""People, courses and a record of what the stand-in LMS emits."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from django.test import Client
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.tooling import OpenEdxPublicSignal, load_all_signals

COURSE_KEY = CourseKey.from_string("course-v1:edX+DemoX+2026")
PASSWORD = "correct horse"


class Emitted(list[tuple[str, Any]]):
    """(last parts of the event_type, data) of each event, in order."""

    @property
    def types(self) -> list[str]:
        return [name for name, _data in self]


@pytest.fixture
def emitted() -> Iterator[Emitted]:
    load_all_signals()
    record = Emitted()

    def receive(signal: OpenEdxPublicSignal, **kwargs: Any) -> None:
        name = signal.event_type.removeprefix("org.openedx.learning.")
        record.append((name, next(kwargs[argument] for argument in signal.init_data)))

    for signal in OpenEdxPublicSignal.all_events():
        signal.connect(receive, weak=False, dispatch_uid="lms_tests")
    yield record
    for signal in OpenEdxPublicSignal.all_events():
        signal.disconnect(dispatch_uid="lms_tests")


@pytest.fixture
def course() -> CourseOverview:
    return CourseOverview.objects.create(id=COURSE_KEY, display_name="Demonstration Course")


@pytest.fixture
def make_user() -> Callable[..., User]:
    def make(username: str = "learner1", **fields: Any) -> User:
        user = User.objects.create_user(username, f"{username}@example.com", PASSWORD, **fields)
        UserProfile.objects.create(user=user, name=f"Name of {username}")
        return user

    return make


@pytest.fixture
def user(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def logged_in(user: User, client: Client) -> Client:
    client.force_login(user)
    return client
