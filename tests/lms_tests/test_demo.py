"""The demo as a person runs it: a process of its own, its pages over HTTP, a signal to end it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lms.demo.once import EXPECTED, Browser
from tests.lms.demo.site import COURSES

REPOSITORY = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tests.lms.demo"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEBHOOKS_", "DJANGO_"))}
    # A proxy of the environment would keep the demo from reaching itself, if anything asked it.
    return {**kept, "DEMO_DIRECTORY": str(tmp_path / "demo"), "http_proxy": "http://127.0.0.1:9"}


def run(environment: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        cwd=REPOSITORY,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_one_pass_prints_what_was_delivered(environment: dict[str, str]) -> None:
    done = run(environment, ONCE="1")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(r"^  (\w+) +webhook-id (\S+) +signature verified$", done.stdout, re.MULTILINE)
    assert sorted(event for event, _id in lines) == sorted(EXPECTED)
    assert len({message_id for _event, message_id in lines}) == len(EXPECTED)
    assert list(Path(environment["DEMO_DIRECTORY"]).iterdir()) == []


def test_a_busy_port_is_a_clear_message(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = run(environment, PORT=str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(
        rf"^Port {port} cannot be used \(.+\)\. Choose another: make demo PORT=\d+$", done.stderr, re.MULTILINE
    )
    assert "Traceback" not in done.stderr


def test_a_port_that_is_none(environment: dict[str, str]) -> None:
    done = run(environment, PORT="eighty")
    assert done.returncode == 1
    assert "PORT must be a number below 65536; it is 'eighty'." in done.stderr
    assert "Traceback" not in done.stderr


@contextlib.contextmanager
def served(environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], Browser, str]]:
    """Run the demo; the value is its process, a browser on it, and the admin's password."""
    process = subprocess.Popen(
        COMMAND, cwd=REPOSITORY, env={**environment, "PORT": "0"}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        welcome = ""
        while "Ctrl-C" not in welcome:
            line = process.stdout.readline()
            assert line, f"The demo ended: {welcome}"
            welcome += line
        url, password = re.search(r"LMS +(\S+)/ ", welcome), re.search(r"password: (\S+)", welcome)
        assert url, welcome
        assert password, welcome
        yield process, Browser(url[1]), password[1]
    finally:
        process.kill()
        process.communicate()


def wait_until(browser: Browser, happened: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    """Return the inbox's entries once they are as they should be."""
    deadline = time.monotonic() + 60
    while True:
        entries: list[dict[str, Any]] = json.loads(browser.get("/demo/inbox.json"))["entries"]
        if happened(entries):
            return entries
        assert time.monotonic() < deadline, entries
        time.sleep(0.1)


def test_a_person_sees_retries_happen(environment: dict[str, str]) -> None:
    with served(environment) as (process, browser, password):
        for path in ("/", "/inbox", "/register", "/login"):
            assert 'href="/static/demo/demo.css"' in browser.get(path)
        for name in ("demo.css", "demo.js"):
            assert browser.get(f"/static/demo/{name}")
        browser.post("/api/user/v2/account/login_session/", email_or_username="admin", password=password)
        assert "webhook" in browser.get("/admin/openedx_webhooks/webhook/").lower()

        browser.post("/demo/mood", mood="failing")
        browser.post("/change_enrollment", enrollment_action="enroll", course_id=next(iter(COURSES)))
        entries = wait_until(browser, lambda entries: any(entry["attempt"] >= 2 for entry in entries))
        again = next(entry for entry in entries if entry["attempt"] >= 2)
        assert (again["answer"], again["verified"]) == ("500 Internal Server Error", True)

        browser.post("/demo/mood", mood="healthy")
        entries = wait_until(browser, lambda entries: any(entry["ok"] and entry["attempt"] >= 2 for entry in entries))
        healed = next(entry for entry in entries if entry["ok"] and entry["attempt"] >= 2)
        first = next(entry for entry in entries if entry["message_id"] == healed["message_id"])
        assert (first["ok"], first["body"]) == (False, healed["body"])

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        assert "Stopped." in process.stdout.read()
