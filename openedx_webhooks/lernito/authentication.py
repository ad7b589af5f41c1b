"""Who sent this order: the signature of a raw body, judged before anything in it is used.

Three ways to sign are accepted, with any of the site's secrets:

- ``X-Lernito-Signature``: the hex HMAC-SHA256 of the raw body;
- the same header over ``json.dumps(data, sort_keys=True)``, with Python's default separators or with
  ``(",", ":")``: clients sign that text and send another spelling of the same data;
- the headers of Standard Webhooks 1.0.0, which also hold the time of signing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

from openedx_webhooks import signing
from openedx_webhooks.exceptions import InvalidSecret, SignatureError

HEADER = "x-lernito-signature"
_SEPARATORS: tuple[tuple[str, str] | None, ...] = (None, (",", ":"))


class Scheme(StrEnum):
    """What was signed, and how."""

    LERNITO = "lernito"
    """The raw body, in X-Lernito-Signature."""
    SORTED_JSON = "sorted-json"
    """The sorted JSON of the body's data, in X-Lernito-Signature."""
    STANDARD = "standard"
    """Standard Webhooks."""


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    *,
    require_standard: bool = False,
    now: float | None = None,
) -> Scheme:
    """Return how ``body`` is signed; raise SignatureError where it is not.

    ``headers`` has lower-case names. Where the headers of Standard Webhooks are present they alone decide. That
    bounds nothing by itself: a copy passes without them, by an X-Lernito-Signature that was sent along. Only
    ``require_standard`` turns old copies away.
    """
    if require_standard or "webhook-signature" in headers:
        signing.verify(_standard_keys(secrets), headers, body, now=now)
        return Scheme.STANDARD
    signature = headers.get(HEADER, "")
    if not signature:
        raise SignatureError("The signature is missing.")
    if _matches(signature, secrets, [body]):
        return Scheme.LERNITO
    if _matches(signature, secrets, list(_sorted_spellings(body))):
        return Scheme.SORTED_JSON
    raise SignatureError("No signature matches.")


def parse(body: bytes) -> Any:
    """Return a body's data, as strict JSON; raise ValueError where it is none.

    NaN and Infinity are no JSON; nesting that Python cannot follow is refused like a syntax error.
    """
    try:
        return json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("The JSON is nested too deeply.") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON.")


def _sorted_spellings(body: bytes) -> Iterator[bytes]:
    try:
        data = parse(body)
        for separators in _SEPARATORS:
            yield json.dumps(data, sort_keys=True, separators=separators).encode()
    except (ValueError, RecursionError):
        return


def _matches(signature: str, secrets: Sequence[str], messages: Sequence[bytes]) -> bool:
    received = signature.strip().lower().encode("utf-8", "replace")
    expected = [hmac.new(s.encode(), m, hashlib.sha256).hexdigest().encode() for s in secrets for m in messages]
    # No early end: every pair is compared, so that the time tells nothing.
    matches = [hmac.compare_digest(e, received) for e in expected]
    return any(matches)


def _standard_keys(secrets: Sequence[str]) -> list[bytes]:
    """Return each secret's own bytes, and beside them what it decodes to where it is a ``whsec_`` value."""
    keys = []
    for secret in secrets:
        keys.append(secret.encode())
        try:
            keys.append(signing.decode_secret(secret))
        except InvalidSecret:
            continue
    return keys
