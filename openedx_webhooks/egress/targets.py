"""A URL, read strictly once, so that no two parsers can disagree about which host it means.

Pure. The clients send to ``Target.url``, the normalised spelling, never to what a person typed.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote

import idna

from openedx_webhooks.exceptions import InvalidURL

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"(?P<scheme>[^:/?#]*):(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?")
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^\[\]]*?)(?::(?P<port>[^:\]]*))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE = "/%:@!$&'()*+,;=~-._"
_LONGEST_NAME = 253


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """A name in lower-case ASCII (IDNA-encoded, no trailing dot), or an address without brackets."""
    port: int
    is_literal: bool
    """True where the host is an address, not a name."""
    url: str
    """The whole URL, normalised; the fragment is left out."""


@functools.lru_cache(maxsize=4096)
def parse_url(url: str) -> Target:
    """Return the target of an absolute http(s) URL.

    Raises InvalidURL with a sentence that names the wrong part. Odd spellings of addresses (``127.1``,
    ``0x7f.1``, ``2130706433``), user names, zone ids and control characters are refused, not repaired.
    """
    if _CONTROL.search(url):
        raise InvalidURL("The URL holds a control character.")
    match = _URL.fullmatch(url)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _DEFAULT_PORTS:
        raise InvalidURL(f"The scheme must be http or https; it is {scheme!r}.")
    if match["authority"] is None:
        raise InvalidURL(f"The URL must begin with {scheme}:// and a host.")
    host_text, port = _split_authority(match["authority"], _DEFAULT_PORTS[scheme])
    host, is_literal = _host(host_text)
    shown = f"[{host}]" if ":" in host else host
    place = shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}"
    tail = _quoted(match["path"] or "/") + ("" if match["query"] is None else "?" + _quoted(match["query"], "?"))
    return Target(scheme=scheme, host=host, port=port, is_literal=is_literal, url=f"{scheme}://{place}{tail}")


def encode_name(text: str) -> str:
    """Return a host name in lower-case ASCII, without the dot at its end.

    Names beyond ASCII are encoded by IDNA 2008 with the UTS 46 mapping, as browsers do. Underscores pass,
    for the names of containers have them. Raises InvalidURL, also for a name that could be read as an address.
    """
    name = text.lower() if text.isascii() else _idna(text)
    name = name.removesuffix(".")
    if not name:
        raise InvalidURL("The host is empty.")
    if len(name) > _LONGEST_NAME:
        raise InvalidURL(f"The host name is longer than {_LONGEST_NAME} characters.")
    labels = name.split(".")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise InvalidURL(f"The host {text!r} is not a host name: its part {label!r} cannot be used.")
    if _NUMERIC.fullmatch(labels[-1]):
        raise InvalidURL(f"The host {text!r} is not a host name, and not an IPv4 address in its usual form (1.2.3.4).")
    return name


def _split_authority(authority: str, default_port: int) -> tuple[str, int]:
    if "@" in authority:
        raise InvalidURL("The URL holds a user name or password; send an Authorization header instead.")
    if "\\" in authority:
        raise InvalidURL("The host holds a backslash.")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise InvalidURL("The bracket around the IPv6 address is not closed, or something follows it.")
    host, port = match["host"], match["port"]
    if not host:
        raise InvalidURL("The host is empty.")
    return host, _port(port) if port else default_port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise InvalidURL(f"The port must be a number from 1 to 65535; it is {text!r}.")
    return int(text)


def _host(text: str) -> tuple[str, bool]:
    """Return the host and whether it is an address."""
    if text.startswith("["):
        return _ipv6(text), True
    if ":" in text:
        raise InvalidURL("An IPv6 address must stand in brackets: http://[2001:db8::1]:8000/.")
    try:
        return str(ipaddress.IPv4Address(text)), True
    except ValueError:
        return encode_name(text), False


def _ipv6(text: str) -> str:
    if "%" in text:
        raise InvalidURL("The IPv6 address holds a zone id, which names a network card of this machine.")
    try:
        return str(ipaddress.IPv6Address(text[1:-1]))
    except ValueError as error:
        raise InvalidURL(f"The host {text!r} is not an IPv6 address.") from error


def _idna(text: str) -> str:
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError as error:  # idna's own errors are UnicodeErrors
        raise InvalidURL(f"The host {text!r} is not a host name: {error}.") from error


def _quoted(text: str, also_safe: str = "") -> str:
    try:
        return quote(text, safe=_SAFE + also_safe)
    except UnicodeEncodeError as error:
        raise InvalidURL(
            "The path or query holds a character that cannot be sent (half of a surrogate pair)."
        ) from error
