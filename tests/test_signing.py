"""Signatures: the specification's vectors, the reference library, and properties. Nothing is patched."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks import signing
from openedx_webhooks.exceptions import InvalidSecret, SignatureError, TimestampError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = signing.decode_secret(SECRET)


def test_the_published_vector() -> None:
    assert signing.sign(KEY, ID, TIMESTAMP, BODY) == SIGNATURE


def test_generated_secrets_are_long_and_new() -> None:
    first, second = signing.generate_secret(), signing.generate_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(signing.decode_secret(first)) == 32


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, "ä"])
def test_a_wrong_secret_is_named_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidSecret) as caught:
        signing.decode_secret(secret)
    assert secret.removeprefix("whsec_") == "" or secret.removeprefix("whsec_") not in str(caught.value)


@given(st.binary(min_size=24, max_size=64), st.text("abcdef0123456789-", min_size=1), st.binary())
def test_what_we_sign_verifies_here_and_in_the_reference_library(key: bytes, message_id: str, body: bytes) -> None:
    now = int(datetime.now(UTC).timestamp())
    headers = signing.headers([key], message_id, now, body)
    signing.verify([key], headers, body, now=now)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    oracle = standardwebhooks.Webhook("whsec_" + base64.b64encode(key).decode())
    assert oracle.sign(message_id, datetime.fromtimestamp(now, UTC), text) == headers["webhook-signature"]


@given(st.data())
def test_one_changed_byte_anywhere_is_noticed(data: st.DataObject) -> None:
    body = data.draw(st.binary(min_size=1, max_size=200))
    place = data.draw(st.integers(0, len(body) - 1))
    changed = body[:place] + bytes([body[place] ^ data.draw(st.integers(1, 255))]) + body[place + 1 :]
    headers = signing.headers([KEY], ID, TIMESTAMP, body)
    with pytest.raises(SignatureError):
        signing.verify([KEY], headers, changed, now=TIMESTAMP)
    with pytest.raises(SignatureError):
        signing.verify([KEY], {**headers, "webhook-id": "other"}, body, now=TIMESTAMP)
    with pytest.raises(SignatureError):
        signing.verify([KEY], {**headers, "webhook-timestamp": str(TIMESTAMP + 1)}, body, now=TIMESTAMP)


def test_while_a_secret_rotates_either_key_verifies() -> None:
    new, old = b"n" * 32, b"o" * 32
    headers = signing.headers([new, old], ID, TIMESTAMP, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    signing.verify([old], headers, BODY, now=TIMESTAMP)
    signing.verify([new], headers, BODY, now=TIMESTAMP)
    with pytest.raises(SignatureError):
        signing.verify([b"x" * 32], headers, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("distance", [-301, 301, 10**9])
def test_an_old_or_early_timestamp_is_refused(distance: int) -> None:
    headers = signing.headers([KEY], ID, TIMESTAMP, BODY)
    with pytest.raises(TimestampError):
        signing.verify([KEY], headers, BODY, now=TIMESTAMP + distance)
    signing.verify([KEY], headers, BODY, now=TIMESTAMP + 300)


@pytest.mark.parametrize("timestamp", ["", "now", "-5", "1e9", "1614265330.0", "\N{ARABIC-INDIC DIGIT FIVE}", "9" * 40])
def test_a_timestamp_that_is_none(timestamp: str) -> None:
    headers = {**signing.headers([KEY], ID, TIMESTAMP, BODY), "webhook-timestamp": timestamp}
    with pytest.raises(SignatureError):
        signing.verify([KEY], headers, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("rest", ["nonsense", "v1a,AAAA", "v1,", "v9,x", "v1,ä", ","])
def test_entries_that_cannot_be_read_are_passed_over(rest: str) -> None:
    headers = signing.headers([KEY], ID, TIMESTAMP, BODY)
    signing.verify([KEY], {**headers, "webhook-signature": f"{rest} {SIGNATURE}"}, BODY, now=TIMESTAMP)
    with pytest.raises(SignatureError):
        signing.verify([KEY], {**headers, "webhook-signature": rest}, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_is_required(missing: str) -> None:
    headers = signing.headers([KEY], ID, TIMESTAMP, BODY)
    del headers[missing]
    with pytest.raises(SignatureError):
        signing.verify([KEY], headers, BODY, now=TIMESTAMP)
