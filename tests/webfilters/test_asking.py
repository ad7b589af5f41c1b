"""How receivers are asked: all at once, signed, within their timeouts and the budget, on bounded threads."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from openedx_filters.learning.filters import (
    CourseEnrollmentStarted,
    DashboardRenderStarted,
    StudentLoginRequested,
    VerticalBlockChildRenderStarted,
)

from openedx_webhooks import signing, subscriptions
from openedx_webhooks.data import Failure, Request
from openedx_webhooks.models import Webfilter
from openedx_webhooks.testing import CLOSE, HANG, Answer, Receiver
from openedx_webhooks.webfilters import exchange
from tests.webfilters.arguments import COURSE, Block
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply

TERMS = exchange.Terms(allowed_networks=["127.0.0.1"], proxy=None, keep_body=10_000)


def enroll(user: User, mode: str | None = "audit") -> str | None:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode=mode)[2]


def question(webfilter_id: int, url: str, timeout: float = 30) -> exchange.Question:
    return exchange.Question(
        webfilter_id=webfilter_id, request=Request(url=url, headers={}, body=b"{}", timeout=timeout)
    )


def test_all_at_the_same_time(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    """Each answer waits for all five requests, so that asking one after another would never end in time."""
    together = threading.Barrier(5)

    def answer(_request: Any) -> Answer:
        together.wait(timeout=20)
        return data(mode="honor")

    receiver.answer(answer)
    for number in range(5):
        webfilter("CourseEnrollmentStarted", webhook_url=receiver.url(f"/{number}"), timeout=25)
    with override_settings(OPENEDX_WEBHOOKS_FILTER_BUDGET=30):
        assert enroll(learner) == "honor"
    assert {request.path for request in receiver.requests} == {f"/{number}" for number in range(5)}


def test_later_webfilters_win_whoever_answers_first(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User
) -> None:
    receiver.answer(
        lambda request: (
            Answer(delay=0.2, body=b'{"data": {"mode": "first"}}') if request.path == "/1" else data(mode="second")
        )
    )
    webfilter("CourseEnrollmentStarted", webhook_url=receiver.url("/1"))
    webfilter("CourseEnrollmentStarted", webhook_url=receiver.url("/2"))
    assert enroll(learner) == "second"


def test_the_first_halt_wins_and_nothing_is_saved(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    answers = {
        "/1": data(profile={"name": "Never"}),
        "/2": halt("PreventEnrollment", "Second"),
        "/3": halt("PreventEnrollment", "Third"),
    }
    receiver.answer(lambda request: answers[request.path])
    for path in answers:
        webfilter("CourseEnrollmentStarted", webhook_url=receiver.url(path))
    with pytest.raises(CourseEnrollmentStarted.PreventEnrollment, match="Second"):
        enroll(learner)
    learner.profile.refresh_from_db()
    assert learner.profile.name == "Old Name"
    assert [call.outcome for call in calls()] == ["discarded", "halted", "discarded"]


def test_the_budget_holds_whatever_the_other_side_does(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    """Whole answers would take minutes, and each webfilter has half of one; the bound leaves a slow machine room."""
    answers = [Answer(body=b'{"data": {}}', drip=5), HANG, Answer(body=b'{"data": {"mode": "late"}}', delay=100)]
    receiver.answer(lambda request: answers[int(request.path[1:])])
    for number in range(3):
        webfilter("CourseEnrollmentStarted", webhook_url=receiver.url(f"/{number}"), timeout=30)
    with override_settings(OPENEDX_WEBHOOKS_FILTER_BUDGET=0.3):
        assert enroll(learner) == "audit"
    assert [(call.outcome, call.status) for call in calls()] == [("failed", None)] * 3
    for call in calls():
        assert call.duration < 5_000
        within = re.search(r"within ([\d.]+) seconds", call.detail)
        assert within
        assert float(within[1]) <= 0.3


def test_an_answer_after_the_deadline_is_a_timeout(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("CourseEnrollmentStarted", timeout=0.1)
    receiver.answer(Answer(body=b'{"data": {"mode": "late"}}', delay=0.5), data(mode="honor"))
    assert enroll(learner) == "audit"
    assert "0.1 seconds" in calls()[0].detail


def test_signed_as_webhooks_are(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    row = webfilter("CourseEnrollmentStarted", headers="X-Api-Key: 42")
    receiver.trust(row.secret)
    enroll(learner)
    (request,) = receiver.requests
    assert request.verified
    assert request.message_id == request.json()["event_metadata"]["id"]
    assert request.headers["x-api-key"] == "42"
    assert request.headers["user-agent"].startswith("openedx-webhooks/")
    assert request.headers["content-type"] == "application/json"


def test_both_secrets_sign_while_one_rotates(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    row = webfilter("CourseEnrollmentStarted")
    old, new = row.secret, row.rotate_secret()
    for secret in (old, new):
        receiver.trust(secret)
        enroll(learner)
    assert [request.verified for request in receiver.requests] == [True, True]
    Webfilter.objects.get().rotate_secret()
    receiver.trust(old)
    enroll(learner)
    assert receiver.requests[-1].verified is False


def test_a_row_that_the_published_package_wrote_gets_a_secret(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User
) -> None:
    row = webfilter("CourseEnrollmentStarted")
    Webfilter.objects.filter(pk=row.pk).update(secret=None, format=None, shadow=None, allow_html=None)
    subscriptions.give_secrets()
    row.refresh_from_db()
    enroll(learner)
    row.refresh_from_db()
    signing.verify([signing.decode_secret(row.secret)], receiver.requests[0].headers, receiver.requests[0].body)


def test_connections_are_kept(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    webfilter("CourseEnrollmentStarted")
    for _ in range(3):
        enroll(learner)
    assert len({request.connection for request in receiver.requests}) == 1


@pytest.mark.parametrize(
    ("columns", "site", "expected"),
    [
        ({"headers": "no colon"}, {}, "Correct the webfilter."),
        ({"secret": "whsec_short"}, {}, "Correct the webfilter."),
        ({"webhook_url": "ftp://example.com/"}, {}, "http"),
        ({"webhook_url": "http://127.0.0.1:1/"}, {}, "refused"),
        ({}, {"OPENEDX_WEBHOOKS_ALLOWED_NETWORKS": []}, "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS"),
    ],
)
def test_what_cannot_be_asked(
    columns: dict[str, str],
    site: dict[str, Any],
    expected: str,
    *,
    webfilter: MakeWebfilter,
    learner: User,
    calls: Any,
) -> None:
    row = webfilter("CourseEnrollmentStarted")
    Webfilter.objects.filter(pk=row.pk).update(**columns)
    row.refresh_from_db()
    with override_settings(**site):
        assert enroll(learner) == "audit"
    (call,) = calls()
    assert call.outcome == "failed"
    assert expected in call.detail


@pytest.mark.parametrize("answer", [302, 304, 404, 500, CLOSE])
def test_what_is_no_success(
    answer: Any, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(answer if isinstance(answer, Answer) else reply({"data": {"mode": "x"}}, status=answer))
    assert enroll(learner) == "audit"
    assert calls()[0].outcome == "failed"


class TestLimitedTo:
    """Courses and organisations that a webfilter is asked about."""

    @pytest.mark.parametrize(
        ("columns", "is_asked"),
        [
            ({"courses": "course-v1:edX+*"}, True),
            ({"courses": "course-v1:MITx+*\ncourse-v1:edX+DemoX+2026"}, True),
            ({"courses": "course-v1:MITx+*"}, False),
            ({"organizations": "edX"}, True),
            ({"organizations": "MITx"}, False),
            ({"courses": "course-v1:edX+*", "organizations": "MITx"}, False),
        ],
    )
    def test_a_course(
        self, columns: dict[str, str], is_asked: bool, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        webfilter("CourseEnrollmentStarted", **columns)
        receiver.answer(data(mode="honor"))
        assert enroll(learner) == ("honor" if is_asked else "audit")
        assert len(receiver.requests) == is_asked

    def test_neither_the_page_nor_the_profile_is_read_for_another_course(
        self, webfilter: MakeWebfilter, receiver: Receiver, learner: User
    ) -> None:
        class Page(dict[str, Any]):
            def items(self) -> Any:
                raise AssertionError("The page was read.")

        for name in ("CourseEnrollmentStarted", "VerticalBlockChildRenderStarted"):
            webfilter(name, courses="course-v1:MITx+*")
        enroll(User.objects.get(pk=learner.pk))
        fresh = User.objects.get(pk=learner.pk)
        with CaptureQueriesContext(connection) as queries:
            enroll(fresh)
            VerticalBlockChildRenderStarted.run_filter(block=Block(), context=Page())
        assert not queries.captured_queries
        assert not receiver.requests

    def test_a_course_that_only_the_page_names(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        for courses in ("course-v1:edX+*", "course-v1:MITx+*"):
            webfilter("DashboardRenderStarted", courses=courses)
        DashboardRenderStarted.run_filter(context={"courses": [{"id": COURSE}]}, template_name="a.html")
        assert len(receiver.requests) == 1

    def test_a_filter_without_a_course(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("StudentLoginRequested", courses="*")
        StudentLoginRequested.run_filter(user=learner)
        assert not receiver.requests


class TestWhatIsSent:
    """Bodies, in each format."""

    def test_default(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("CourseEnrollmentStarted")
        enroll(learner, None)
        body = receiver.requests[0].json()
        assert set(body) == {"user", "profile", "course_key", "mode", "event_metadata"}
        assert body["user"]["email"] == "learner@example.com"
        assert body["profile"]["name"] == "Old Name"
        assert not {"password", "is_staff", "is_superuser", "meta"} & {*body["user"], *body["profile"]}
        assert (body["course_key"], body["mode"]) == (str(COURSE), None)
        assert body["event_metadata"]["event_type"] == CourseEnrollmentStarted.filter_type
        assert body["event_metadata"]["time"].endswith("Z")

    def test_form(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("CourseEnrollmentStarted", use_www_form_encoding=True)
        enroll(learner)
        form = parse_qs(receiver.requests[0].body.decode(), keep_blank_values=True)
        assert form["user_email"] == ["learner@example.com"]
        assert form["event_metadata_event_type"] == [CourseEnrollmentStarted.filter_type]
        assert receiver.requests[0].headers["content-type"] == "application/x-www-form-urlencoded"

    def test_legacy(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
        webfilter("CourseEnrollmentStarted", format="legacy")
        enroll(learner)
        body = receiver.requests[0].json()
        assert body["event_metadata"]["event_type"] == "CourseEnrollmentStarted"
        assert set(body["event_metadata"]) == {"event_type", "time"}
        assert "T" not in body["event_metadata"]["time"]
        assert {"username", "email", "date_joined"} <= set(body["user"])
        assert b"SESSION" not in receiver.requests[0].body

    def test_legacy_of_an_unknown_user(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("StudentLoginRequested", format="legacy")
        StudentLoginRequested.run_filter(user=None)
        assert set(receiver.requests[0].json()) == {"event_metadata"}

    def test_an_unknown_user(self, webfilter: MakeWebfilter, receiver: Receiver) -> None:
        webfilter("StudentLoginRequested")
        StudentLoginRequested.run_filter(user=None)
        assert receiver.requests[0].json()["user"] is None


class TestThreads:
    """Bounded per webfilter, made again after a fork."""

    def test_hanging_receivers_take_their_share_and_no_more(self, receiver: Receiver) -> None:
        receiver.answer(lambda request: HANG if request.path == "/hangs" else reply({}))
        outcomes: list[Any] = []
        learners = [
            threading.Thread(
                target=lambda: outcomes.extend(exchange.ask([question(1, receiver.url("/hangs"))], TERMS, budget=60)),
                daemon=True,
            )
            for _ in range(exchange.SHARE)
        ]
        for one in learners:
            one.start()
        receiver.wait_for(exchange.SHARE, timeout=30)
        (refused, healthy) = exchange.ask(
            [question(1, receiver.url("/hangs")), question(2, receiver.url("/healthy"))], TERMS, budget=60
        )
        assert refused.failure == Failure.CONNECTION
        assert "in flight already" in refused.detail
        assert healthy.reply is not None
        receiver.stop()
        for one in learners:
            one.join(timeout=30)
        assert len(outcomes) == exchange.SHARE
        assert all(outcome.reply is None for outcome in outcomes)

    def test_room_is_given_back_at_the_deadline(self, receiver: Receiver) -> None:
        """Its whole share is there again: none is refused, once the threads of the first have ended."""
        receiver.answer(HANG)
        questions = [question(3, receiver.url(), timeout=0.1) for _ in range(exchange.SHARE)]
        exchange.ask(questions, TERMS, budget=60)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            failures = {outcome.failure for outcome in exchange.ask(questions, TERMS, budget=60)}
            if failures == {Failure.TIMEOUT}:
                return
        raise AssertionError(failures)

    def test_a_child_asks_on_threads_of_its_own(self, receiver: Receiver) -> None:
        """A server forks after it has loaded, and perhaps asked."""
        receiver.answer(reply({}))
        script = textwrap.dedent(f"""
            import os, sys
            from openedx_webhooks.data import Request
            from openedx_webhooks.webfilters import exchange
            def ask():
                request = Request(url={receiver.url()!r}, headers={{}}, body=b"x", timeout=20)
                terms = exchange.Terms(allowed_networks=["127.0.0.1"], proxy=None, keep_body=100)
                questions = [exchange.Question(webfilter_id=1, request=request)] * 3
                return all(o.reply is not None for o in exchange.ask(questions, terms, budget=20))
            assert ask()
            child = os.fork()
            if child == 0:
                os._exit(0 if ask() else 1)
            _, status = os.waitpid(child, 0)
            sys.exit(os.waitstatus_to_exitcode(status) or not ask())
        """)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert len(receiver.requests) == 9
