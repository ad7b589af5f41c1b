"""What the documentation shows to integrators runs as it stands there, against real deliveries and filters."""

from __future__ import annotations

import os
import queue
import runpy
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User
from opaque_keys.edx.keys import CourseKey
from openedx_filters.learning.filters import CourseEnrollmentStarted

from openedx_webhooks import api, signing
from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Delivery, Event, Webfilter, Webhook
from openedx_webhooks.webfilters import record
from tests.deliveries.events import log_in

SNIPPETS = Path(__file__).parents[2] / "docs" / "snippets"
LOGIN = "org.openedx.learning.auth.session.login.completed.v1"
COURSE = CourseKey.from_string("course-v1:edX+DemoX+2026")

pytestmark = pytest.mark.django_db(transaction=True)


class Service:
    """A snippet that serves, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.url = url
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._lines.put(line.strip())

    def line(self) -> str:
        return self._lines.get(timeout=30)


@contextmanager
def serving(name: str, secret: str) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(SNIPPETS / name)],
        env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        until(lambda: listens(port) or process.poll() is not None)
        assert process.poll() is None, f"{name} has ended"
        yield Service(process, f"http://127.0.0.1:{port}/hooks/openedx")
    finally:
        process.kill()
        process.communicate()


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["receive.py", "receive_without_library.py"])
def test_a_receiver_takes_what_is_signed_and_nothing_else(name: str) -> None:
    secret = signing.generate_secret()
    with serving(name, secret) as service:
        webhook = Webhook.objects.create(event="SESSION_LOGIN_COMPLETED", webhook_url=service.url, secret=secret)
        log_in()
        engine.drain()
        delivery = Delivery.objects.get()
        assert (delivery.status, delivery.last_status) == ("delivered", 204)
        assert service.line() == f"{Event.objects.get().message_id} {LOGIN}"

        # While the secret rotates, two signatures come, and either one suffices.
        api.rotate_secret(webhook.pk)
        log_in(2)
        engine.drain()
        assert Delivery.objects.latest("pk").status == "delivered"

        Webhook.objects.update(secret=signing.generate_secret(), previous_secret=None)
        log_in(3)
        engine.drain()
        refused = Delivery.objects.latest("pk")
        assert (refused.status, refused.last_status, refused.last_error) == ("pending", 401, "Answered 401.")


@pytest.fixture
def learners() -> dict[str, User]:
    found = {
        name: User.objects.create(username=name, email=f"{name}@{name}.example.com") for name in ("free", "blocked")
    }
    for user in found.values():
        UserProfile.objects.create(user=user, name=user.username)
    return found


def test_the_webfilter_service_prevents_and_changes_enrollments(learners: dict[str, User]) -> None:
    secret = signing.generate_secret()
    with serving("webfilter.py", secret) as service:
        webfilter = Webfilter(event="CourseEnrollmentStarted", webhook_url=service.url, secret=secret)
        webfilter.full_clean()
        webfilter.save()
        try:
            _user, _key, mode = run_filter(learners["free"], "audit")
            assert mode == "honor"
            assert run_filter(learners["free"], "verified")[2] == "verified"
            with pytest.raises(CourseEnrollmentStarted.PreventEnrollment, match="Please ask your manager first"):
                run_filter(learners["blocked"], "audit")
        finally:
            assert record.flush()


def run_filter(user: User, mode: str) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode=mode)


def test_a_webhook_is_configured_in_code(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(SNIPPETS / "create_webhook.py"))
    webhook = Webhook.objects.get()
    assert (webhook.event, webhook.enabled, webhook.format) == ("COURSE_ENROLLMENT_CREATED", True, "default")
    assert capsys.readouterr().out.strip() == webhook.secret
    signing.decode_secret(webhook.secret or "")


def test_every_snippet_is_tried_here() -> None:
    tried = {"receive.py", "receive_without_library.py", "webfilter.py", "create_webhook.py"}
    assert {path.name for path in SNIPPETS.glob("*.py")} == tried
