"""What is too large, too much, or hostile is answered in the envelope, and never with a 500."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from common.djangoapps.student.models import CourseEnrollment, CourseEnrollmentAllowed
from django.contrib.auth.models import User
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openedx_webhooks.lernito.throttling import OrderThrottle
from openedx_webhooks.models import LernitoOrder
from tests.lernito.conftest import COURSES, EMAIL, PATH, Shop, signature

pytestmark = pytest.mark.usefixtures("courses")


def envelope(answer: Any) -> tuple[int, Any]:
    content = answer.json()
    assert content["success"] is (answer.status_code == 200)
    assert isinstance(content["message"], (str, dict))
    return answer.status_code, content["message"]


def test_a_body_at_and_over_the_limit(shop: Shop, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_BODY = 2048
    order = json.dumps({"email": EMAIL, "courseIds": list(COURSES)}).encode()
    assert shop.signed(order.ljust(2048)).status_code == 200
    assert envelope(shop.signed(order.ljust(2049))) == (413, "The body is larger than 2048 bytes")


class Counting(io.BytesIO):
    """A stream that knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("declared", ["10000000", "2049", "9" * 5000, "", "-1", "x"])
def test_a_large_body_is_not_read(shop: Shop, settings: Any, declared: str) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_BODY = 2048
    stream = Counting(b" " * 10_000_000)
    answer = shop.client.generic(
        "POST", PATH, content_type="application/json", **{"wsgi.input": stream, "CONTENT_LENGTH": declared}
    )
    assert envelope(answer)[0] == (413 if declared.isdecimal() else 401)
    assert stream.taken == 0


def test_a_body_that_is_longer_than_declared(settings: Any) -> None:
    """As an ASGI server hands over a chunked one: no length, and a stream that goes on."""
    from django.core.handlers.asgi import ASGIRequest

    from openedx_webhooks.lernito import urls

    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_BODY = 2048
    stream = Counting(b" " * 10_000_000)
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": [(b"content-type", b"application/json")]}
    answer = urls.urlpatterns[0].callback(ASGIRequest({**scope, "query_string": b""}, stream)).render()
    assert (answer.status_code, json.loads(answer.content)["success"]) == (413, False)
    assert stream.taken <= 2049


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "é"]
)
def test_other_content_types(shop: Shop, content_type: str) -> None:
    answer = shop.post(b"{}", content_type=content_type, x_lernito_signature=signature(b"{}"))
    assert envelope(answer) == (415, "Content-Type must be application/json")


def test_a_charset_is_no_other_content_type(shop: Shop, user: User) -> None:
    body = json.dumps({"email": EMAIL, "courseIds": list(COURSES)}).encode()
    answer = shop.post(body, content_type="application/json; charset=utf-8", x_lernito_signature=signature(body))
    assert answer.status_code == 200


def test_too_many_orders(shop: Shop, settings: Any, user: User) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = "2/hour"
    assert [shop.order().status_code, shop.signed(b"{").status_code] == [200, 400]
    answer = shop.order()
    assert envelope(answer) == (429, "Too many requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 3600
    body = json.dumps({"email": EMAIL, "courseIds": list(COURSES)}).encode()
    for forged in ("1.2.3.4", "1.2.3.4, " * 1000):
        answer = shop.post(body, x_forwarded_for=forged, x_lernito_signature=signature(body))
        assert envelope(answer)[0] == 429
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = None
    assert shop.order().status_code == 200


def test_what_nobody_signed_does_not_lock_the_shop_out(
    shop: Shop, settings: Any, user: User, caplog: pytest.LogCaptureFixture
) -> None:
    """They may share an address: a proxy's, a cloud's. Nor does it fill the log."""
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = "2/hour"
    unsigned = [shop.post(b"{}", **headers).status_code for headers in ({}, {"x_lernito_signature": "0" * 64}, {})]
    assert unsigned == [401, 401, 429]
    assert caplog.text.count("openedx_webhooks: an order was not accepted") == 2
    assert [shop.client.get(PATH).status_code for _ in range(3)] == [405] * 3
    assert [shop.client.get("/api/lernito/").status_code for _ in range(3)] == [404] * 3
    assert [shop.order().status_code for _ in range(3)] == [200, 200, 429]


def forwarded(shop: Shop, chain: str, *, signed: bool = True) -> int:
    body = json.dumps({"email": EMAIL, "courseIds": list(COURSES)}).encode()
    headers = {"x_lernito_signature": signature(body)} if signed else {}
    return int(shop.post(body, x_forwarded_for=chain, **headers).status_code)


@pytest.mark.parametrize("signed", [True, False])
def test_a_site_that_counts_its_proxies_limits_their_clients(shop: Shop, settings: Any, signed: bool) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = "1/hour"
    settings.REST_FRAMEWORK = {"NUM_PROXIES": 1}
    clients = enumerate(("1.2.3.4", "1.2.3.5", "1.2.3.4"))
    statuses = [forwarded(shop, f"6.6.6.{n}, {client}", signed=signed) for n, client in clients]
    taken = 200 if signed else 401
    assert statuses == [taken, taken, 429]


@pytest.mark.parametrize(("proxies", "source"), [(None, "127.0.0.1"), (1, "1.2.3.4"), (2, "6.6.6.6")])
def test_the_record_names_the_address_that_is_counted(shop: Shop, settings: Any, proxies: Any, source: str) -> None:
    settings.REST_FRAMEWORK = {"NUM_PROXIES": proxies}
    assert forwarded(shop, "6.6.6.6, 1.2.3.4") == 200
    assert LernitoOrder.objects.get().source == source


def test_a_server_that_knows_no_address(shop: Shop) -> None:
    """As behind a Unix socket."""
    shop.client.defaults["REMOTE_ADDR"] = ""
    assert shop.order().status_code == 200
    assert LernitoOrder.objects.get().source == ""


def test_the_time_to_come_back_is_never_now(shop: Shop, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = "1/second"
    monkeypatch.setattr(OrderThrottle, "timer", staticmethod(lambda: moments.pop(0)))
    moments = [100.0, 100.9]
    assert shop.post(b"{}").status_code == 401
    assert shop.post(b"{}").headers["Retry-After"] == "1"


@pytest.mark.parametrize("rate", ["often", "0/minute", "5/fortnight", 600, "5/"])
def test_a_rate_that_is_none_is_the_default(shop: Shop, settings: Any, user: User, rate: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE = rate
    assert shop.order().status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 60_000, b'{"a":' * 10_000, b"NaN", b"9" * 5_000])
def test_broken_json(shop: Shop, body: bytes) -> None:
    assert envelope(shop.signed(body)) == (400, "Malformed JSON")
    assert envelope(shop.post(body, x_lernito_signature="0" * 64)) == (401, "Invalid signature")


@pytest.mark.parametrize("data", [[], "text", 7, None, True, [{}]])
def test_json_that_is_no_order(shop: Shop, data: Any) -> None:
    status, message = envelope(shop.signed(json.dumps(data).encode()))
    assert (status, list(message)) == (400, ["non_field_errors"])


def test_too_many_courses(shop: Shop, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_LERNITO_MAX_COURSES = 2
    assert shop.order().status_code == 200
    assert envelope(shop.order(course_ids=[*COURSES, "x"])) == (
        400,
        {"courseIds": ["At most 2 courses fit in one order"]},
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "no address"},
        {"email": "a" * 250 + "@example.com"},
        {"email": "nul\x00@example.com"},
        {"email": "\ud800@example.com"},
        {"email": "josé@example.com"},
        {"email": "ada@नी\u200d.example"},
        {"email": "ada@" + "é" * 60 + ".example"},
        {"email": "a" * 64 + "@" + "é." * 28 + "example"},
        {"email": None},
        {"email": ["a@example.com"]},
        {"courseIds": []},
        {"courseIds": COURSES[0]},
        {"courseIds": [None]},
        {"courseIds": ["x" * 256]},
        {"courseIds": ["\ud800"]},
        {"courseIds": [COURSES[0] + "\x00"]},
        {"courseIds": [[COURSES[0]]]},
        {"name": "n" * 256},
        {"family": "\ud800"},
        {"username": {"a": 1}},
        {"mode": "m" * 101},
    ],
)
def test_fields_over_their_limits(shop: Shop, user: User, fields: dict[str, Any]) -> None:
    order = {"email": EMAIL, "courseIds": list(COURSES), **fields}
    status, message = envelope(shop.signed(json.dumps(order).encode()))
    assert (status, list(message)) == (400, list(fields))
    assert not LernitoOrder.objects.exists()


@pytest.mark.parametrize(
    "name", ["Zoë 😀", "Robert'); DROP TABLE auth_user;--", "<script>", "%s %(x)s {}", "\u202eevil"]
)
def test_hostile_and_foreign_texts(shop: Shop, name: str) -> None:
    assert shop.order(name=name, family=name, username=name).status_code == 200
    assert envelope(shop.order(course_ids=[f"course-v1:{name}"]))[0] == 400
    assert envelope(shop.order(mode=name)) == (400, f"Mode {name} is not available in course {COURSES[0]}")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ORDERS = st.fixed_dictionaries(
    {
        "email": st.emails() | st.sampled_from([EMAIL, EMAIL.upper()]) | ANYTHING,
        "courseIds": st.lists(st.sampled_from(COURSES) | st.text() | ANYTHING, max_size=4) | ANYTHING,
    },
    optional=dict.fromkeys(("name", "family", "username", "mode", "other"), ANYTHING),
)
BOUNDED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@BOUNDED
@given(ORDERS | ANYTHING)
def test_any_signed_body_is_answered(shop: Shop, user: User, data: Any) -> None:
    status, _message = envelope(shop.signed(json.dumps(data).encode()))
    assert status in (200, 400)


@BOUNDED
@given(ORDERS, st.text(max_size=70), st.sampled_from(["x-lernito-signature", "webhook-signature"]))
def test_any_wrong_signature_is_refused(shop: Shop, user: User, data: Any, wrong: str, header: str) -> None:
    body = json.dumps(data).encode()
    headers = {header: wrong.encode("utf-8", "replace").decode("latin-1"), "webhook-id": "x", "webhook-timestamp": "1"}
    answer = shop.client.post(PATH, data=body, content_type="application/json", headers=headers)
    assert envelope(answer) == (401, "Invalid signature")
    assert not CourseEnrollment.objects.exists()
    assert not CourseEnrollmentAllowed.objects.exists()


@BOUNDED
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(shop: Shop, body: bytes) -> None:
    assert envelope(shop.signed(body))[0] == 400
    assert envelope(shop.post(body))[0] == 401
