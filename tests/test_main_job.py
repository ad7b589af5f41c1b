"""The main job, over HTTP against the stand-in LMS: register, log in, enroll, and the URL has it, signed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from common.djangoapps.student.models import CourseEnrollment, Registration
from django.core import management
from django.test import Client
from opaque_keys.edx.keys import CourseKey
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview

from openedx_webhooks import wakeup
from openedx_webhooks.models import Delivery, Event, Webhook
from openedx_webhooks.testing import Receiver
from tests.lms.testing_views import FailsOnPurposeError

pytestmark = pytest.mark.django_db(transaction=True)

COURSE = "course-v1:edX+DemoX+2026"
REGISTRATION = {
    "username": "ada",
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "password": "correct horse battery",
    "honor_code": "true",
    "terms_of_service": "true",
}
REGISTERED = "org.openedx.learning.student.registration.completed.v1"
LOGGED_IN = "org.openedx.learning.auth.session.login.completed.v1"
CHANGED = "org.openedx.learning.course.enrollment.changed.v1"
CREATED = "org.openedx.learning.course.enrollment.created.v1"


@pytest.fixture
def learner(client: Client) -> Client:
    CourseOverview.objects.create(id=CourseKey.from_string(COURSE), display_name="Demonstration Course")
    register(client)
    return client


def register(client: Client) -> None:
    assert client.post("/api/user/v2/account/registration/", REGISTRATION).status_code == 200
    key = Registration.objects.get(user__username="ada").activation_key
    assert client.get(f"/activate/{key}").status_code < 400


def log_in(client: Client) -> None:
    form = {"email_or_username": REGISTRATION["email"], "password": REGISTRATION["password"]}
    response = client.post("/api/user/v2/account/login_session/", form)
    assert response.status_code == 200, response.content


def enroll(client: Client) -> None:
    response = client.post("/change_enrollment", {"enrollment_action": "enroll", "course_id": COURSE})
    assert response.status_code == 200, response.content


def types(requests: list[Any]) -> list[str]:
    return [request.json()["event_metadata"]["event_type"] for request in requests]


def test_registration_login_and_enrollment_arrive_signed(receiver: Receiver, client: Client, capsys: Any) -> None:
    webhooks = [Webhook.objects.create(event="*", webhook_url=receiver.url(f"/{n}")) for n in range(2)]
    receiver.trust([str(webhook.secret) for webhook in webhooks])
    CourseOverview.objects.create(id=CourseKey.from_string(COURSE), display_name="Demonstration Course")
    register(client)
    log_in(client)
    enroll(client)
    assert receiver.requests == [], "nothing leaves within a request"
    management.call_command("webhooks_deliver", "--once")
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(receiver.requests)} delivered, 0 failed, 0 pending"
    for path in ("/0", "/1"):
        got = [request for request in receiver.requests if request.path == path]
        for event_type in (REGISTERED, LOGGED_IN, CHANGED, CREATED):
            assert types(got).count(event_type) == 1
        assert all(request.verified for request in got)
        assert all(request.message_id == request.json()["event_metadata"]["id"] for request in got)
    (created,) = [r for r in receiver.requests if r.path == "/0" and types([r]) == [CREATED]]
    enrollment = created.json()["enrollment"]
    assert enrollment["course"]["course_key"] == COURSE
    assert enrollment["user"]["pii"] == {"username": "ada", "email": "ada@example.com", "name": "Ada Lovelace"}


def test_an_enrollment_that_is_rolled_back_sends_nothing(learner: Client, receiver: Receiver) -> None:
    Webhook.objects.create(event="COURSE_ENROLLMENT_*", webhook_url=receiver.url())
    with pytest.raises(FailsOnPurposeError):
        learner.post("/testing/enroll_then_fail", {"username": "ada", "course_id": COURSE})
    assert not CourseEnrollment.objects.exists()
    assert not Event.objects.exists()
    management.call_command("webhooks_deliver", "--once")
    assert receiver.requests == []


def test_changed_and_created_keep_their_id_on_every_attempt(learner: Client, receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_RETRY_SCHEDULE = [0, 0, 0, 0]
    for path in ("/0", "/1"):
        Webhook.objects.create(event="COURSE_ENROLLMENT_*", webhook_url=receiver.url(path))
    seen: set[tuple[str, str]] = set()

    def first_time_fails(request: Any) -> int:
        key = (request.path, request.message_id)
        if key in seen:
            return 200
        seen.add(key)
        return 500

    receiver.answer(first_time_fails)
    log_in(learner)
    enroll(learner)
    while Delivery.objects.exclude(status="delivered").exists():
        management.call_command("webhooks_deliver", "--once")
    for path in ("/0", "/1"):
        got = [request for request in receiver.requests if request.path == path]
        assert sorted(types(got)) == [CHANGED, CHANGED, CREATED, CREATED]
        assert len({request.message_id for request in got}) == 2
        assert len({request.body for request in got}) == 2


@pytest.fixture
def eager_celery() -> Iterator[None]:
    """As in ``tutor dev``, which has no workers: a task that is sent runs at once, in the request."""
    eager = current_app.conf.task_always_eager
    current_app.conf.task_always_eager = True
    yield
    current_app.conf.task_always_eager = eager


def test_where_celery_has_no_workers_a_thread_delivers_and_never_the_request(
    learner: Client, receiver: Receiver, settings: Any, eager_celery: None
) -> None:
    """The learner has the response while the receiver still holds its answer back."""
    settings.OPENEDX_WEBHOOKS_DISPATCH = "auto"
    Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=receiver.url())
    may_answer, answered = threading.Event(), threading.Event()

    def hold(request: Any) -> int:
        may_answer.wait(10)
        answered.set()
        return 200

    receiver.answer(hold)
    log_in(learner)
    assert not answered.is_set(), "the request waited for the receiver"
    (got,) = receiver.wait_for(1)
    assert types([got]) == [LOGGED_IN]
    may_answer.set()
    wakeup.stop()
    assert Delivery.objects.get().status == "delivered"


@pytest.mark.parametrize(("chosen", "drains"), [("auto", "celery"), ("none", "none")])
def test_dispatch_follows_celery(chosen: str, drains: str, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_DISPATCH = chosen
    assert wakeup.dispatch() == drains


def test_dispatch_is_a_thread_where_celery_is_eager(settings: Any, eager_celery: None) -> None:
    settings.OPENEDX_WEBHOOKS_DISPATCH = "auto"
    assert wakeup.dispatch() == "thread"
