"""What an operator writes: headers and patterns, one on each line, and URLs as others may see them. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from openedx_webhooks.exceptions import InvalidHeaders

RESERVED_HEADERS = frozenset(
    {
        # Set by this package on every request.
        "content-type",
        "user-agent",
        # Set by the HTTP client; another value would let the receiver read another request than the signed one.
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # For the proxy, not for the receiver; OPENEDX_WEBHOOKS_PROXY carries its own credentials.
        "proxy-authorization",
        "proxy-connection",
    }
)
RESERVED_PREFIX = "webhook-"
MAX_HEADERS = 50
MAX_HEADER = 4096
"""Characters of one line; most servers refuse 8 KiB and more for all headers together."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token, RFC 9110 section 5.6.2."""
_VALUE = re.compile(r"[\t\x20-\x7e]*")


def parse_headers(text: str | None) -> dict[str, str]:
    """Return the headers of ``Name: value`` lines, in their order and spelling; blank lines are passed over.

    Raises InvalidHeaders, naming the line, for what cannot be sent: no name, a name that is no token
    (RFC 9110), a value beyond printable ASCII (the two HTTP clients would encode it differently), a name that
    is reserved or stands twice. The message never holds a value: values are credentials more often than not.
    """
    headers: dict[str, str] = {}
    seen: set[str] = set()
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        name, value = _header(number, line)
        if name.lower() in seen:
            raise InvalidHeaders(f"Line {number}: {name} stands twice; a header is sent once.")
        seen.add(name.lower())
        headers[name] = value
    if len(headers) > MAX_HEADERS:
        raise InvalidHeaders(f"There are {len(headers)} headers; at most {MAX_HEADERS} are sent.")
    return headers


def _header(number: int, line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not colon or not _NAME.fullmatch(name):
        raise InvalidHeaders(f"Line {number}: write 'Name: value', with a name of letters, digits and hyphens.")
    if name.lower() in RESERVED_HEADERS or name.lower().startswith(RESERVED_PREFIX):
        raise InvalidHeaders(f"Line {number}: {name} is set by the delivery itself; remove the line.")
    if not _VALUE.fullmatch(value):
        raise InvalidHeaders(f"Line {number}: the value of {name} may hold printable ASCII characters alone.")
    if len(line) > MAX_HEADER:
        raise InvalidHeaders(f"Line {number}: {name} is longer than {MAX_HEADER} characters.")
    return name, value


def parse_patterns(text: str | None) -> tuple[str, ...]:
    """Return the patterns, one per line, without the blanks around them; blank lines are passed over."""
    return tuple(line.strip() for line in _lines(text) if line.strip())


def host(url: str) -> str:
    """Return the host and port of a URL, and nothing else of it, because a path may be a credential."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "-"
    except ValueError:
        return "-"


def _lines(text: str | None) -> list[str]:
    # Not splitlines(): it also splits at characters that a header must not hold, and would hide them.
    return (text or "").replace("\r\n", "\n").split("\n")
