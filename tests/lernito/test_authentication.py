"""Which signatures are accepted; nothing here needs Django."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from openedx_webhooks import signing
from openedx_webhooks.exceptions import SignatureError, TimestampError
from openedx_webhooks.lernito.authentication import HEADER, Scheme, parse, verify
from tests.lernito.conftest import SECRET, signature

BODY = b'{"email": "a@example.com",  "courseIds": ["course-v1:edX+DemoX+2026"]}'
NOW = 1_790_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def check(body: bytes, headers: dict[str, str], secrets: Any = (SECRET,), **options: Any) -> Scheme:
    return verify(body, headers, secrets, now=NOW, **options)


def test_the_raw_body() -> None:
    assert check(BODY, {HEADER: signature(BODY)}) is Scheme.LERNITO
    assert check(BODY, {HEADER: f" {signature(BODY).upper()} "}) is Scheme.LERNITO
    assert check(b"no JSON", {HEADER: signature(b"no JSON")}) is Scheme.LERNITO


@pytest.mark.parametrize("separators", [None, (",", ":")])
def test_the_sorted_json_of_the_same_data(separators: tuple[str, str] | None) -> None:
    signed = json.dumps(json.loads(BODY), sort_keys=True, separators=separators).encode()
    assert signed != BODY
    assert check(BODY, {HEADER: signature(signed)}) is Scheme.SORTED_JSON


def test_several_secrets_while_one_rotates() -> None:
    for secret in ("new", "old"):
        assert check(BODY, {HEADER: signature(BODY, secret)}, ("new", "old")) is Scheme.LERNITO
    with pytest.raises(SignatureError):
        check(BODY, {HEADER: signature(BODY, "older")}, ("new", "old"))


@pytest.mark.parametrize("wrong", ["", " ", "x", "é" * 64, signature(b""), signature(BODY, ""), signature(BODY)[:-1]])
def test_what_is_refused(wrong: str) -> None:
    with pytest.raises(SignatureError):
        check(BODY, {HEADER: wrong})


def test_no_secret_accepts_nothing() -> None:
    for headers in ({HEADER: signature(BODY, "")}, standard(b""), {}):
        with pytest.raises(SignatureError):
            check(BODY, headers, ())


def standard(key: bytes, body: bytes = BODY, timestamp: int = NOW) -> dict[str, str]:
    return signing.headers([key], "msg_1", timestamp, body)


WHSEC = signing.generate_secret()


@pytest.mark.parametrize(
    ("secret", "key"),
    [(WHSEC, signing.decode_secret(WHSEC)), (WHSEC, WHSEC.encode()), (SECRET, SECRET.encode())],
    ids=["the bytes it stands for", "its own letters", "no whsec_ value"],
)
def test_standard_webhooks(secret: str, key: bytes) -> None:
    assert check(BODY, standard(key), ("other", secret)) is Scheme.STANDARD


def test_the_reference_library_signs_for_us() -> None:
    from datetime import UTC, datetime

    for secret in (WHSEC, "whsec_" + base64.b64encode(SECRET.encode()).decode()):
        signed = Webhook(secret).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
        headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": signed}
        assert check(BODY, headers, (WHSEC, SECRET)) is Scheme.STANDARD


@pytest.mark.parametrize("offset", [-301, 301, -86400])
def test_standard_webhooks_outside_the_tolerance(offset: int) -> None:
    headers = standard(SECRET.encode(), timestamp=NOW + offset)
    with pytest.raises(TimestampError):
        check(BODY, headers)
    with pytest.raises(TimestampError):
        check(BODY, {**headers, HEADER: signature(BODY)})


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_standard_webhooks_within_the_tolerance(offset: int) -> None:
    assert check(BODY, standard(SECRET.encode(), timestamp=NOW + offset)) is Scheme.STANDARD


@pytest.mark.parametrize(
    "key",
    [b"", b"the former secret", b"another", SECRET.encode()[:-1], WHSEC.encode()[:-1]],
    ids=["empty", "former", "another", "nearly", "nearly a whsec_ value"],
)
def test_standard_webhooks_by_another_key(key: bytes) -> None:
    for require_standard in (False, True):
        with pytest.raises(SignatureError, match=r"^No signature matches[.]$"):
            check(BODY, standard(key), (SECRET, WHSEC, "new"), require_standard=require_standard)


def test_standard_webhooks_can_be_required() -> None:
    with pytest.raises(SignatureError):
        check(BODY, {HEADER: signature(BODY)}, require_standard=True)
    assert check(BODY, standard(SECRET.encode()), require_standard=True) is Scheme.STANDARD


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"NaN", b"[Infinity]", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any of json's own
        parse(body)
    with pytest.raises(SignatureError):
        check(body, {HEADER: signature(b"other")})


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_any_data_is_accepted_in_both_spellings(data: Any) -> None:
    body = json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    for separators in (None, (",", ":")):
        signed = json.dumps(data, sort_keys=True, separators=separators).encode()
        assert check(body, {HEADER: signature(signed)}) in (Scheme.SORTED_JSON, Scheme.LERNITO)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=80), st.text(max_size=80), st.text(max_size=80), st.text(max_size=20))
def test_nothing_passes_without_the_secret(body: bytes, mine: str, theirs: str, message_id: str, stamp: str) -> None:
    assume(mine.strip().lower() != signature(body))
    headers = {HEADER: mine}
    with pytest.raises(SignatureError):
        check(body, headers)
    headers |= {"webhook-signature": theirs, "webhook-id": message_id, "webhook-timestamp": stamp}
    with pytest.raises(SignatureError):
        check(body, headers)


@settings(max_examples=150, deadline=None)
@given(JSON, JSON)
def test_a_signature_is_of_its_own_data_alone(data: Any, other: Any) -> None:
    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    assume(text(data) != text(other) and not any(isinstance(v, float) and math.isinf(v) for v in (data, other)))
    with pytest.raises(SignatureError):
        check(text(other).encode(), {HEADER: signature(text(data).encode())})


KEYS = (SECRET.encode(), WHSEC.encode(), signing.decode_secret(WHSEC))
MESSAGES = st.fixed_dictionaries(
    {
        "message_id": st.text(min_size=1, max_size=20),
        "timestamp": st.integers(NOW - signing.TOLERANCE, NOW + signing.TOLERANCE),
        "body": st.binary(max_size=200),
    }
)


def refused(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError, match=r"^No signature matches[.]$"):
        check(body, headers, (SECRET, WHSEC))


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.binary(max_size=80))
def test_standard_webhooks_in_time_by_any_other_key(message: Any, key: bytes) -> None:
    assume(key.rstrip(b"\0") not in KEYS)  # HMAC pads a key with zeros
    refused(message["body"], signing.headers([key], **message))
    refused(message["body"], signing.headers([b"", key, b"x"], **message))


@settings(max_examples=150, deadline=None)
@given(MESSAGES, st.sampled_from(KEYS), MESSAGES)
def test_standard_webhooks_in_time_of_any_other_message(message: Any, key: bytes, other: Any) -> None:
    """Its id, its time and its body are signed, by ``v1`` alone."""
    body, headers = message["body"], signing.headers([key], **message)
    assert check(body, headers, (SECRET, WHSEC)) is Scheme.STANDARD
    assume(all(message[name] != other[name] for name in message))
    refused(body, {**headers, "webhook-id": other["message_id"]})
    refused(body, {**headers, "webhook-timestamp": str(other["timestamp"])})
    refused(other["body"], headers)
    refused(body, {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", "v1a,")})
