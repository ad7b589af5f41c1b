"""The documented requests and answers, byte for byte, over HTTP against the stand-in LMS."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from common.djangoapps.student.models import CourseEnrollment, CourseEnrollmentAllowed
from django.urls import reverse
from opaque_keys.edx.keys import CourseKey

from openedx_webhooks import signing
from tests.lernito.conftest import COURSES, EMAIL, PATH, SECRET, make_courses, make_user, signature

pytestmark = pytest.mark.django_db(transaction=True)

RESULTS = '"results": [' + ", ".join(f'{{{{"courseId": "{c}", "result": "{{0}}"}}}}' for c in COURSES) + "]"
USER_VERIFIED = '{"success": true, "message": "User enrollment status verified for 2 course(s)", '
ALLOWANCE_VERIFIED = '{"success": true, "message": "Enrollment allowance verified for 2 course(s)", '
ORDER = {"email": EMAIL, "name": "Ada", "family": "Learner", "username": "learner1", "courseIds": list(COURSES)}


@pytest.fixture
def url(live_server: Any) -> str:
    make_courses()
    return f"{live_server.url}{PATH}"


def post(url: str, data: Any, **headers: str) -> tuple[int, str]:
    """Post and sign the way a careful client does: the bytes that are sent."""
    body = json.dumps(data).encode()
    headers = {"Content-Type": "application/json", "X-Lernito-Signature": signature(body), **headers}
    answer = requests.post(url, data=body, headers=headers, timeout=30)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.text


def test_an_existing_user_is_enrolled_once(url: str) -> None:
    user = make_user()
    assert post(url, ORDER) == (200, USER_VERIFIED + RESULTS.format("enrolled") + "}")
    assert post(url, ORDER) == (200, USER_VERIFIED + RESULTS.format("already_enrolled") + "}")
    rows = CourseEnrollment.objects.filter(user=user).values_list("course_id", "mode", "is_active")
    assert sorted((str(key), mode, active) for key, mode, active in rows) == [(c, "audit", True) for c in COURSES]


def test_a_new_user_is_allowed_once_and_enrolled_with_the_account(url: str) -> None:
    assert post(url, ORDER) == (200, ALLOWANCE_VERIFIED + RESULTS.format("allowed") + "}")
    assert post(url, ORDER) == (200, ALLOWANCE_VERIFIED + RESULTS.format("already_allowed") + "}")
    rows = CourseEnrollmentAllowed.objects.values_list("email", "course_id", "auto_enroll")
    assert sorted((email, str(key), auto) for email, key, auto in rows) == [(EMAIL, c, True) for c in COURSES]

    user = make_user(is_active=False)
    assert not CourseEnrollment.objects.exists()
    user.is_active = True
    user.save()
    assert sorted(str(e.course_id) for e in CourseEnrollment.objects.filter(user=user, is_active=True)) == sorted(
        COURSES
    )
    assert post(url, ORDER) == (200, USER_VERIFIED + RESULTS.format("already_enrolled") + "}")


def test_mounted_under_its_namespace() -> None:
    assert reverse("lernito:webhook") == PATH


INVALID = (401, '{"success": false, "message": "Invalid signature"}')


def test_a_wrong_signature(url: str) -> None:
    assert post(url, ORDER, **{"X-Lernito-Signature": signature(b"something else")}) == INVALID
    assert post(url, ORDER, **{"X-Lernito-Signature": ""}) == INVALID
    assert requests.post(url, json=ORDER, timeout=30).text == INVALID[1]
    assert not CourseEnrollmentAllowed.objects.exists()


@pytest.mark.parametrize("secret", [None, "", [], [""], 7, ["one", None], "lone \ud800"])
def test_no_usable_secret_is_the_operators_matter_alone(
    url: str, settings: Any, caplog: pytest.LogCaptureFixture, secret: Any
) -> None:
    settings.LERNITO_WEBHOOK_SECRET = secret
    assert post(url, ORDER) == INVALID
    body = json.dumps(ORDER).encode()
    assert post(url, ORDER, **{"X-Lernito-Signature": signature(body, "")}) == INVALID
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 2
    assert all("LERNITO_WEBHOOK_SECRET" in error for error in errors)


def test_a_course_that_does_not_exist(url: str) -> None:
    make_user()
    missing = "course-v1:edX+None+2026"
    expected = '{"success": false, "message": "Course course-v1:edX+None+2026 does not exist"}'
    assert post(url, {**ORDER, "courseIds": [COURSES[0], missing]}) == (400, expected)
    assert not CourseEnrollment.objects.exists()


def test_a_course_key_that_is_none(url: str) -> None:
    expected = '{"success": false, "message": "Invalid course key format: not-a-course"}'
    assert post(url, {**ORDER, "courseIds": [COURSES[0], "not-a-course"]}) == (400, expected)
    assert not CourseEnrollmentAllowed.objects.exists()


def test_missing_fields(url: str) -> None:
    expected = (
        '{"success": false, "message": {"email": ["This field is required"], "courseIds": ["This field is required"]}}'
    )
    assert post(url, {}) == (400, expected)
    assert post(url, {"name": "Ada"}, **{"Accept-Language": "de"}) == (400, expected)
    assert post(url, {"email": EMAIL}) == (
        400,
        '{"success": false, "message": {"courseIds": ["This field is required"]}}',
    )


def test_an_error_of_ours(url: str, settings: Any) -> None:
    make_user()
    settings.OPEN_EDX_FILTERS_CONFIG = {
        "org.openedx.learning.course.enrollment.started.v1": {
            "fail_silently": False,
            "pipeline": ["tests.lernito.steps.Break"],
        }
    }
    assert post(url, ORDER) == (500, '{"success": false, "message": "Internal server error"}')


def test_the_documented_signing_script(url: str) -> None:
    """It signs the sorted JSON and posts another spelling of it."""
    make_user()
    data = {"email": EMAIL, "name": "Zoë", "courseIds": list(COURSES)}
    signed = hmac.new(SECRET.encode(), json.dumps(data, sort_keys=True).encode(), hashlib.sha256).hexdigest()
    answer = requests.post(url, json=data, headers={"X-Lernito-Signature": signed}, timeout=30)
    assert (answer.status_code, answer.text) == (200, USER_VERIFIED + RESULTS.format("enrolled") + "}")


def test_two_secrets_while_one_rotates(url: str, settings: Any) -> None:
    settings.LERNITO_WEBHOOK_SECRET = ["the new one", SECRET]
    assert post(url, ORDER)[0] == 200
    settings.LERNITO_WEBHOOK_SECRET = ["the new one"]
    assert post(url, ORDER) == INVALID


def test_standard_webhooks_accepted_and_required(url: str, settings: Any) -> None:
    body = json.dumps(ORDER).encode()
    now = int(time.time())
    signed = signing.headers([SECRET.encode()], "msg_1", now, body)
    expired = signing.headers([SECRET.encode()], "msg_1", now - 600, body)
    assert post(url, ORDER, **signed) == (200, ALLOWANCE_VERIFIED + RESULTS.format("allowed") + "}")
    assert post(url, ORDER, **expired) == INVALID
    for key in (b"", b"another", SECRET.encode() + b"x"):
        assert post(url, ORDER, **signing.headers([key], "msg_1", now, body)) == INVALID
    settings.OPENEDX_WEBHOOKS_LERNITO_REQUIRE_STANDARD = True
    assert post(url, ORDER) == INVALID
    assert post(url, ORDER, **signed)[0] == 200


def test_the_documented_example_of_results(url: str) -> None:
    CourseEnrollment.enroll(make_user(), CourseKey.from_string(COURSES[0]))
    page = (Path(__file__).parents[2] / "docs" / "how-tos" / "lernito.rst").read_text()
    example = re.search(r"::\n\n(    \{\"success\": true(?:.*\n)+?)\n", page)
    assert example
    assert post(url, ORDER) == (200, " ".join(example[1].split()))


def test_a_body_over_the_limit(url: str, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_BODY = 2048
    expected = '{"success": false, "message": "The body is larger than 2048 bytes"}'
    assert post(url, {**ORDER, "name": "n" * 2048}) == (413, expected)


def test_another_content_type(url: str) -> None:
    expected = '{"success": false, "message": "Content-Type must be application/json"}'
    assert post(url, ORDER, **{"Content-Type": "application/x-www-form-urlencoded"}) == (415, expected)


def test_too_many_orders(url: str, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = "1/hour"
    assert post(url, ORDER)[0] == 200
    assert post(url, ORDER) == (429, '{"success": false, "message": "Too many requests"}')


def test_broken_json(url: str) -> None:
    for body in (b"", b"{", b'{"email": NaN}'):
        headers = {"Content-Type": "application/json", "X-Lernito-Signature": signature(body)}
        answer = requests.post(url, data=body, headers=headers, timeout=30)
        assert (answer.status_code, answer.text) == (400, '{"success": false, "message": "Malformed JSON"}')


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods(url: str, method: str) -> None:
    answer = requests.request(method, url, headers={"Accept": "text/html"}, timeout=30)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.text == ("" if method == "HEAD" else '{"success": false, "message": "Method not allowed"}')


def test_without_the_slash_and_elsewhere(url: str) -> None:
    make_user()
    body = json.dumps(ORDER).encode()
    headers = {"Content-Type": "application/json", "X-Lernito-Signature": signature(body)}
    assert requests.post(url.rstrip("/"), data=body, headers=headers, timeout=30).status_code == 200
    for elsewhere in ("orders/", "webhook/x", ""):
        answer = requests.post(url.replace("webhook/", elsewhere), data=body, headers=headers, timeout=30)
        assert (answer.status_code, answer.text) == (404, '{"success": false, "message": "Not found"}')


def test_accept_and_format_change_nothing(url: str) -> None:
    make_user()
    expected = (200, USER_VERIFIED + RESULTS.format("enrolled") + "}")
    assert post(f"{url}?format=html", ORDER, Accept="text/html") == expected
