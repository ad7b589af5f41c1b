"""Values that cross the rooms, and that nobody changes. No Django, no behaviour beyond reading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class of what is made for each delivery: frozen to the type checker alone, and not hashable.

    A dataclass that is frozen at run time takes five to seven times as long to make, a NamedTuple one and a half times.
    """
    return dataclass(slots=True)(cls)


class Encoding(StrEnum):
    """How a body is written: a webhook's format together with its form switch, fixed at emission."""

    DEFAULT = "default"
    FORM = "form"
    CLOUDEVENTS = "cloudevents"
    LEGACY = "legacy"
    LEGACY_FORM = "legacy_form"


class Failure(StrEnum):
    """Why a request brought no answer."""

    TIMEOUT = "timeout"
    """The total deadline passed: DNS, connect, TLS, headers and body together."""
    DNS = "dns"
    """The host name has no address, or the resolver had no room for it."""
    ADDRESS = "address"
    """The egress policy refuses the address; nothing was sent."""
    URL = "url"
    """The URL can never be called; nothing was sent."""
    LOCAL = "local"
    """This process could not send: no socket to be had, or it is ending. Says nothing about the receiver."""
    CONFIGURATION = "configuration"
    """The webhook's secret or custom headers cannot be used; nothing was sent."""
    CONNECTION = "connection"
    """Refused, reset or unreachable."""
    TLS = "tls"
    """The certificate or the handshake failed."""
    PROTOCOL = "protocol"
    """What came back is not HTTP."""


@value
class Request:
    """One POST to make."""

    url: str
    headers: Mapping[str, str]
    """Everything to send beside Host, Content-Length, Connection and Accept-Encoding."""
    body: bytes
    timeout: float
    """Seconds for the whole exchange: DNS, connect, TLS, headers and body."""


@value
class Reply:
    """What a receiver answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; the last of a repeated header."""
    body: bytes = b""
    """The first bytes, as they came (never decompressed), at most as many as the caller asked for."""
    truncated: bool = False
    """True if the body went on behind what is kept."""


@value
class Outcome:
    """How a request ended: with a reply, or with a failure and a sentence about it."""

    started_at: datetime
    """When the attempt began, aware, in UTC."""
    duration: float
    """Seconds from the start to the end."""
    reply: Reply | None = None
    failure: Failure | None = None
    detail: str = ""
    """For a person: what failed and, where there is one, the mend."""
    allow: str = ""
    """With ``Failure.ADDRESS``: the exact ``ALLOWED_NETWORKS`` entry that would allow it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """A live webhook, as much of it as the request needs to write the outbox."""

    webhook_id: int
    pattern: str
    """A signal's Python name, an event_type, or a glob over either."""
    encoding: Encoding
    courses: tuple[str, ...] = ()
    """Globs over course keys; none: every course."""
    organizations: tuple[str, ...] = ()
    """Globs over the organisations of course keys; none: every organisation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """What a webfilter does when its receiver does not answer with success."""

    halt: bool = False
    redirect: str = ""
    """Where the learner is sent; empty: nowhere, a message alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebfilterSubscription:
    """A live webfilter, as much of it as asking it and applying its reply needs. Read outside the ORM."""

    webfilter_id: int
    pattern: str
    """A filter's class name, a filter_type, or a glob over either."""
    url: str
    encoding: Encoding
    secret: str = field(default="", repr=False)
    previous_secret: str = field(default="", repr=False)
    previous_secret_until: datetime | None = None
    headers: str = field(default="", repr=False)
    """The operator's own, one ``Name: value`` on each line."""
    timeout: float | None = None
    """Seconds; None: ``FILTER_TIMEOUT``."""
    courses: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    filtering: bool = True
    """Whether ``data`` of its replies is applied."""
    halting: bool = True
    """Whether its replies and its failures may halt."""
    shadow: bool = False
    """Called and recorded, nothing applied."""
    allow_html: bool = False
    on_4xx: Switch = Switch()
    on_5xx: Switch = Switch()
    on_request_exception: Switch = Switch()
