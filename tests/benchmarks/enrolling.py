"""The enroll request over HTTP, with no webhook and with ten whose receivers take 200 ms."""

from __future__ import annotations

import statistics
from typing import Any

from tests.benchmarks import events, host, in_request
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rounds import Line, alternate, compare, timed

COURSE = "course-v1:edX+DemoX+2026"
EVENTS = 2
"""What one enrollment emits: CHANGED and CREATED."""
COUNT = 40


def run(receiver: Receiver, rounds: int) -> list[Line]:
    """Return the lines of this part. Needs ``host.enter`` before."""
    host.create(host.DATABASE)
    urls = [receiver.url(f"200/{number}") for number in range(10)]
    client = _a_learner()

    def enroll(webhooks: list[str]) -> list[float]:
        host.empty()
        host.subscribe("COURSE_ENROLLMENT_C*", webhooks)
        return timed(lambda: _post(client, "enroll"), COUNT, lambda: _post(client, "unenroll"))

    with host.waking_workers():
        pairs = alternate(lambda: enroll(urls), lambda: enroll([]), rounds)
    line = compare("An enroll request with ten webhooks at 200 ms / with none", pairs, unit="ms")
    return [line, _difference(receiver, pairs, rounds)]


def _a_learner() -> Any:
    from common.djangoapps.student.models import UserProfile
    from django.contrib.auth.models import User
    from django.test import Client
    from opaque_keys.edx.keys import CourseKey
    from openedx.core.djangoapps.content.course_overviews.models import CourseOverview

    CourseOverview.objects.create(id=CourseKey.from_string(COURSE), display_name=events.FILLER)
    user = User.objects.create_user("learner1", "learner1@example.com", "correct horse")
    UserProfile.objects.create(user=user, name="Ada")
    client = Client()
    client.force_login(user)
    return client


def _post(client: Any, action: str) -> None:
    answer = client.post("/change_enrollment", {"enrollment_action": action, "course_id": COURSE})
    if action == "enroll" and answer.status_code != 200:
        raise RuntimeError(f"The enroll request answered {answer.status_code}.")


def _difference(receiver: Receiver, pairs: list[Any], rounds: int) -> Line:
    """Compare what ten webhooks add to the request with savepoints and INSERTs in plain SQL, and one wake-up.

    The wake-up is published by a thread of the same process, while the next request runs.
    """
    from openedx_webhooks import wakeup

    host.empty()
    host.subscribe(events.NAME, [receiver.url(f"0/{number}") for number in range(10)])
    insert = in_request.insert_the_same(events.sender(100))
    plain = [
        statistics.median(in_request.each_in_a_transaction(insert, COUNT)) * EVENTS
        + statistics.median(timed(wakeup.publish, COUNT))
        for _ in range(rounds)
    ]
    added = [statistics.median(ten) - statistics.median(none) for ten, none in pairs]
    ratio = statistics.median(a / p for a, p in zip(added, plain, strict=True))
    return Line(
        what="What ten webhooks add to it / two savepoints, four INSERTs and one wake-up",
        ours=f"{statistics.median(added) * 1e3:.3g} ms",
        other=f"{statistics.median(plain) * 1e3:.3g} ms",
        ratio=ratio,
        at_most=1.5,
    )
