"""One pass through the demo over HTTP: register, activate, log in, enroll, and wait for the deliveries."""

import http.cookiejar
import json
import re
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

from tests.lms.demo.site import COURSES, DemoError

EXPECTED = (
    "STUDENT_REGISTRATION_COMPLETED",
    "SESSION_LOGIN_COMPLETED",
    "COURSE_ENROLLMENT_CHANGED",
    "COURSE_ENROLLMENT_CREATED",
)
PATIENCE = 30
"""Seconds to wait for the deliveries."""


def run(url: str) -> Iterator[str]:
    """Do the pass and yield lines for a person; raise DemoError where something is missing or does not verify."""
    browser = Browser(url)
    name = f"learner-{secrets.token_hex(3)}"
    course = next(iter(COURSES))
    browser.sign_up(name, secrets.token_urlsafe(9))
    browser.post("/change_enrollment", enrollment_action="enroll", course_id=course)
    yield f"{name} registered, logged in and enrolled in {course} at {url}."
    state = _wait_for_deliveries(browser)
    for entry in state["entries"]:
        verdict = "signature verified" if entry["verified"] else "SIGNATURE DOES NOT VERIFY"
        yield f"  {entry['event']:<32} webhook-id {entry['message_id']:<40} {verdict}"
    _check(state["entries"])
    yield f"{len(state['entries'])} deliveries received, each once, all verified."


def _wait_for_deliveries(browser: "Browser") -> dict[str, Any]:
    """Return the inbox's state once all that is expected came and nothing waits in the outbox."""
    deadline = time.monotonic() + PATIENCE
    while True:
        state: dict[str, Any] = json.loads(browser.get("/demo/inbox.json"))
        missing = set(EXPECTED) - {entry["event"] for entry in state["entries"]}
        if not missing and state["outbox"]["waiting"] == 0:
            return state
        if time.monotonic() > deadline:
            what = f"these did not arrive: {', '.join(sorted(missing))}" if missing else "deliveries still wait"
            raise DemoError(f"After {PATIENCE} s {what}. The outbox: {state['outbox']}")
        time.sleep(0.1)


def _check(entries: list[dict[str, Any]]) -> None:
    if unverified := [entry["event"] for entry in entries if not entry["verified"]]:
        raise DemoError(f"The signature does not verify: {', '.join(unverified)}")
    if sorted(entry["event"] for entry in entries) != sorted(EXPECTED):
        raise DemoError(f"Not each event arrived once: {', '.join(entry['event'] for entry in entries)}")


class Browser:
    """A client with cookies, which sends Django's CSRF token as a page's script does, and takes no proxy."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self._cookies)
        )

    def get(self, path: str) -> str:
        """Return the body of a page; raise DemoError unless it is a success."""
        return self._open(urllib.request.Request(self.url + path))

    def post(self, path: str, **form: str) -> str:
        """Post a form and return the body; raise DemoError unless it is a success."""
        token = next((cookie.value for cookie in self._cookies if cookie.name == "csrftoken"), "") or ""
        data = urllib.parse.urlencode(form).encode()
        return self._open(urllib.request.Request(self.url + path, data, {"X-CSRFToken": token}))

    def sign_up(self, username: str, password: str) -> None:
        """Register, follow the activation link that an e-mail would carry, and log in."""
        self.get("/")
        form = {"email": f"{username}@example.com", "name": "Grace Learner", "country": "AR"}
        self.post("/api/user/v2/account/registration/", username=username, password=password, **form)
        link = re.search(r'href="(/activate/\w+)"', self.get("/"))
        if link is None:
            raise DemoError("The page shows no activation link to the new account.")
        self.get(link[1])
        self.post("/api/user/v2/account/login_session/", email_or_username=username, password=password)

    def _open(self, request: urllib.request.Request) -> str:
        try:
            with self._opener.open(request, timeout=30) as response:
                return str(response.read().decode())
        except urllib.error.HTTPError as error:
            body = error.read().decode(errors="replace")[:300]
            raise DemoError(f"{request.get_method()} {request.full_url}: HTTP {error.code} {body}") from error
        except OSError as error:
            raise DemoError(f"{request.get_method()} {request.full_url}: {error}") from error
