"""What both clients share: checked headers, and outcomes in the same words. Pure but for the clock."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from openedx_webhooks.data import Failure, Outcome, Reply
from openedx_webhooks.egress import user_agent
from openedx_webhooks.exceptions import AddressRefused, InvalidHeaders

KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept. Less than the 5 s after which common servers close theirs: a request
sent into a connection that is just being closed is lost, and a POST is not sent again unasked."""

STOPPED = "The sender was stopped before the answer came."
CUT_OFF = "The connection broke off inside the answer."
NO_ANSWER = "The connection was closed without an answer."

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "expect"})
_ALWAYS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": user_agent()}
_CANONICAL = {"accept": "Accept", "user-agent": "User-Agent"}
_LONGEST_DETAIL = 500


class Stopwatch:
    """When an attempt began, when it must end, and what it is doing."""

    __slots__ = ("began", "deadline", "phase", "started_at", "timeout")

    def __init__(self, timeout: float) -> None:
        self.started_at = datetime.now(UTC)
        self.began = time.monotonic()
        self.timeout = timeout
        self.deadline = self.began + timeout
        self.phase = ""

    def left(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self.deadline - time.monotonic())

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Say what is being done, for the sentence about a timeout; it stays where it does not end well."""
        self.phase = f", while {phase}"
        yield
        self.phase = ""

    def replied(self, reply: Reply) -> Outcome:
        """Return the outcome of an answer; one that came after the deadline is a timeout, however whole it looks."""
        now = time.monotonic()
        if now >= self.deadline:
            return self.timed_out()
        return Outcome(started_at=self.started_at, duration=now - self.began, reply=reply)

    def timed_out(self) -> Outcome:
        """Return the outcome of a deadline that passed."""
        return self.failed(Failure.TIMEOUT, f"No whole answer within {self.timeout:g} s{self.phase}.")

    def refused(self, error: AddressRefused) -> Outcome:
        """Return the outcome of an address that policy refuses."""
        return self.failed(Failure.ADDRESS, str(error), error.allow)

    def failed(self, failure: Failure, detail: str, allow: str = "") -> Outcome:
        """Return the outcome of a failure, with a sentence on one line of at most 500 characters."""
        return Outcome(
            started_at=self.started_at,
            duration=time.monotonic() - self.began,
            failure=failure,
            detail=" ".join(detail[:_LONGEST_DETAIL].split()),
            allow=allow,
        )


def outgoing_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers to send, without those that the client writes itself.

    The answer is asked for as it is (``identity``): a compressed one could unpack to a gigabyte. Raises
    InvalidHeaders where a name or a value could end its line and begin another (header injection).
    """
    values = "".join(headers.values())
    if not values.isprintable() and _BAD_VALUE.search(values):  # the first is much faster, and as a rule enough
        name = next(name for name, value in headers.items() if _BAD_VALUE.search(value))
        raise InvalidHeaders(f"The value of the header {name!r} holds a line break or another control character.")
    result = _ALWAYS.copy()
    result.update(zip(_sent_as(*headers), map(str.strip, headers.values()), strict=True))
    result.pop("", None)
    return result


@functools.lru_cache(maxsize=1024)
def _sent_as(*names: str) -> tuple[str, ...]:
    """Return the names to send these headers under; empty for one of ours."""
    return tuple(map(_checked, names))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidHeaders(f"The header name {name!r} holds a character that no header name may hold.")
    lower = name.lower()
    if lower in _OURS:
        return ""
    return _CANONICAL.get(lower, name)


def incoming_headers(headers: Iterable[tuple[str, str]], charset: str) -> dict[str, str]:
    """Return an answer's headers by lower-case name, the last of a repeated one, as text that can be stored.

    ``charset`` is what the client read the bytes as; we read them as UTF-8, and what is not becomes U+FFFD.
    """
    return {name.lower(): value if value.isascii() else _reread(value, charset) for name, value in headers}


def _reread(value: str, charset: str) -> str:
    return value.encode(charset, "surrogateescape").decode("utf-8", "replace")
