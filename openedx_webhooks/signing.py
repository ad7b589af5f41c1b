"""Standard Webhooks signatures: make them, check them, rotate their secrets.

Source: the Standard Webhooks specification 1.0.0. Pure: no Django, no clock but the one given. The one
place where Standard Webhooks signatures are compared.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Mapping

from openedx_webhooks.exceptions import InvalidSecret, SignatureError, TimestampError

PREFIX = "whsec_"
TOLERANCE = 5 * 60
"""Seconds that a signed timestamp may lie in the past or in the future."""


def generate_secret() -> str:
    """Return a new secret: ``whsec_`` and the base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def decode_secret(secret: str) -> bytes:
    """Return the key bytes of a ``whsec_`` secret (the prefix may be missing).

    Raises InvalidSecret unless it is standard base64 of 24 to 64 bytes.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSecret("A secret is 'whsec_' and base64; this one is not base64.") from error
    if not 24 <= len(key) <= 64:
        raise InvalidSecret(f"A secret holds 24 to 64 bytes; this one holds {len(key)}.")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one ``v1,<base64>`` signature: HMAC-SHA256 over ``{id}.{timestamp}.{body}``."""
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def headers(keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three Standard Webhooks headers, with one signature per key.

    ``timestamp`` is Unix seconds of this attempt. Several keys sign while a secret rotates.
    """
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(key, message_id, timestamp, body) for key in keys),
    }


def verify(keys: Iterable[bytes], received: Mapping[str, str], body: bytes, *, now: float | None = None) -> None:
    """Check the three headers against a raw body; any one matching signature of any key suffices.

    ``received`` has lower-case names. Raises TimestampError where the timestamp lies outside the tolerance,
    SignatureError for everything else that is wrong. Entries that cannot be read are passed over.
    """
    message_id = received.get("webhook-id", "")
    signatures = received.get("webhook-signature", "").split()
    if not message_id or not signatures:
        raise SignatureError("The headers webhook-id and webhook-signature are required.")
    timestamp = _timestamp(received.get("webhook-timestamp", ""), time.time() if now is None else now)
    expected = [sign(key, message_id, timestamp, body) for key in keys]
    # No early end: every pair is compared, so that the time tells nothing.
    matches = [hmac.compare_digest(e.encode(), s.encode("utf-8", "replace")) for e in expected for s in signatures]
    if not any(matches):
        raise SignatureError("No signature matches.")


def _timestamp(text: str, now: float) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SignatureError("The header webhook-timestamp must be Unix seconds.")
    if abs(now - int(text)) > TOLERANCE:
        raise TimestampError("The timestamp lies outside the tolerance of five minutes.")
    return int(text)
