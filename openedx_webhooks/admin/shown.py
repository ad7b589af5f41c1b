"""What was sent and received, as a person reads it: pretty, and without credentials. Decides nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from openedx_webhooks.data import Encoding
from openedx_webhooks.models import Attempt, Event, lines
from openedx_webhooks.payloads.redaction import is_credential

REQUEST_HEADERS = frozenset(
    {
        "accept",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Headers of a request whose value is shown. All others are the operator's own: credentials more often than not."""
LOCATIONS = frozenset({"content-location", "location"})
"""Headers of a response whose value is a URL, of which the path may be a credential."""
HIDDEN = "••••••••"
_FORMS = (Encoding.FORM, Encoding.LEGACY_FORM)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownAttempt:
    """One attempt, as the page shows it."""

    number: int
    started_at: datetime
    duration: int
    url: str
    status: int | None
    kind: str
    """``delivered`` or ``failed``: the colour."""
    error: str
    response_headers: str
    response_body: str


def attempt(row: Attempt, url: Callable[[str], str] = str) -> ShownAttempt:
    """Return an attempt without what its receiver meant to be kept secret, its URLs as ``url`` shows them."""
    return ShownAttempt(
        number=row.number,
        started_at=row.started_at,
        duration=row.duration,
        url=url(row.url),
        status=row.status,
        kind="delivered" if row.status is not None and 200 <= row.status < 300 else "failed",
        error=row.error,
        response_headers=headers(row.response_headers, url=url),
        response_body=pretty(row.response_body),
    )


def headers(text: str, shown: Container[str] | None = None, url: Callable[[str], str] = str) -> str:
    """Return ``Name: value`` lines with the values hidden that are credentials, or that are not in ``shown``.

    Values that are URLs are as ``url`` shows them.
    """
    return "\n".join(_header(line, shown, url) for line in text.splitlines())


def _header(line: str, shown: Container[str] | None, url: Callable[[str], str]) -> str:
    name, colon, value = line.partition(":")
    key = name.strip().lower()
    if colon and key in LOCATIONS:
        return f"{name}: {url(value.strip())}"
    hidden = is_credential(key) or (shown is not None and key not in shown)
    return f"{name}: {HIDDEN}" if colon and hidden else line


def body(event: Event | None, encoding: str) -> str:
    """Return the body that a delivery sends, spread over lines; the bytes themselves stay as they are.

    Where the bodies cannot be read, which fails a delivery as unreadable, this is the text that the row holds.
    """
    if event is None:
        return ""
    text = event.body if encoding == Encoding.DEFAULT else _other_body(event, encoding)
    if text is None:
        return event.other_bodies or ""
    if encoding in _FORMS:
        return "\n".join(f"{key} = {value}" for key, value in parse_qsl(text, keep_blank_values=True))
    return pretty(text)


def _other_body(event: Event, encoding: str) -> str | None:
    try:
        text = json.loads(event.other_bodies or "{}").get(encoding, "")
    except (AttributeError, RecursionError, ValueError):
        return None
    return text if isinstance(text, str) else None


def pretty(text: str) -> str:
    """Return JSON spread over lines; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def clip(text: str, length: int) -> str:
    """Return a text of at most ``length`` characters, with an ellipsis where it went on."""
    return text if len(text) <= length else text[: length - 1] + "…"


def breakable(name: str) -> str:
    """Return an event's name as HTML that may be broken over lines behind a dot or an underscore."""
    parts = re.split(r"(?<=[._])", name)
    return format_html_join(mark_safe("<wbr>"), "{}", ((part,) for part in parts))


def moment(value: datetime | None) -> str:
    """Return a time to the second, in the site's zone, short enough for a column."""
    return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}" if value else "-"


def host(url: str) -> str:
    """Return the host and port of a URL, short enough for a column."""
    return clip(lines.host(url), 40)
