"""What becomes of a delivery after an attempt. Pure: decides, and touches nothing.

Source: Standard Webhooks 1.0.0, "Operational considerations": 2xx is success, 410 means disable, everything else,
3xx included, is a failure and is retried; ``retry-after`` is honoured.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from openedx_webhooks.data import Failure, Outcome

LONGEST_RETRY_AFTER = 86400.0
"""Seconds; a receiver that asks for more gets this."""
REFUSED_PACE = 60.0
"""Seconds between two looks at an address that policy refuses; nothing is sent by them."""
LOCAL_PACE = 5.0
"""Seconds after which what this process could not send is due again."""
JITTER = 0.1
"""The share of a delay that chance may add; never earlier than the schedule says."""
LONGEST_HOLD = 3600.0
"""Seconds; a ``Retry-After`` holds back the whole webhook for at most this long."""
_HOST = re.compile(r"[\w.:\[\]-]+")
_PARKING = frozenset({Failure.ADDRESS, Failure.URL, Failure.CONFIGURATION})


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What to write about one attempt."""

    status: str
    """A ``Delivery.Status`` value."""
    counts: bool = True
    """Whether this was an attempt: a refused address is not one."""
    delay: float | None = None
    """With ``pending``: seconds until the next attempt is due; None puts back the due time it had."""
    reason: str = ""
    """With ``failed``: a ``Delivery.Reason`` value."""
    error: str = ""
    """A sentence for the log; empty after a success."""
    hold: float = 0.0
    """Seconds for which nothing at all goes to this webhook."""
    refused: bool = False
    """Whether policy refuses the address, or the webhook cannot be called as it is: the delivery is parked."""

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.status == "delivered"

    @property
    def about_receiver(self) -> bool:
        """Whether it says anything about the receiver's health."""
        return self.counts or self.refused


DELIVERED = Verdict(status="delivered")
DELETED = Verdict(status="failed", counts=False, reason="deleted")
"""For a delivery whose webhook is no longer there."""
UNREADABLE = Verdict(status="failed", counts=False, reason="unreadable", error="Its event or body cannot be read.")
"""For a delivery whose event is no longer there, or was written by a version that this one does not know."""


def judge(outcome: Outcome, attempt: int, schedule: Sequence[float], chance: float) -> Verdict:
    """Return what becomes of a delivery.

    ``attempt`` counts from 1 and includes this one; ``schedule`` holds the seconds before each attempt;
    ``chance`` is a number from 0 to 1.
    """
    if outcome.failure in _PARKING:
        return Verdict(status="pending", counts=False, error=outcome.detail, hold=REFUSED_PACE, refused=True)
    if outcome.failure is Failure.LOCAL:
        return Verdict(status="pending", counts=False, delay=LOCAL_PACE, error=outcome.detail)
    status = outcome.reply.status if outcome.reply else None
    if status is not None and 200 <= status < 300:
        return DELIVERED
    if status == 410:
        return Verdict(status="failed", reason="gone", error="The receiver answered 410: the webhook is switched off.")
    error, wait = describe(outcome), retry_after(outcome)
    hold = min(wait, LONGEST_HOLD)
    if attempt >= len(schedule):
        return Verdict(status="failed", reason="exhausted", error=error, hold=hold)
    return Verdict(status="pending", delay=max(schedule[attempt] * (1 + JITTER * chance), wait), error=error, hold=hold)


def describe(outcome: Outcome) -> str:
    """Return one readable line about an attempt that did not succeed."""
    if outcome.reply is None:
        return outcome.detail or str(outcome.failure)
    status = outcome.reply.status
    if 300 <= status < 400:
        target = _destination(outcome.reply.headers.get("location", ""))
        return f"Answered {status}, a redirect to {target}; redirects are not followed."
    return f"Answered {status}."


def _destination(location: str) -> str:
    """Return where a redirect leads, by scheme and host alone: its path may be a credential, as the webhook's is."""
    if not location:
        return "nowhere"
    try:
        scheme, netloc, *_ = urlsplit(location)
    except ValueError:
        return "what is no URL"
    host = netloc.rpartition("@")[2]
    if not host:
        return "another path"
    if not _HOST.fullmatch(host):
        return "what is no URL"
    return f"{scheme}://{host}" if scheme else host


def retry_after(outcome: Outcome) -> float:
    """Return the seconds that the receiver asks to wait, 0 where it does not; RFC 9110, section 10.2.3."""
    text = outcome.reply.headers.get("retry-after", "").strip() if outcome.reply else ""
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        until = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    return min(max(_seconds_between(outcome.started_at, until), 0.0), LONGEST_RETRY_AFTER)


def _seconds_between(start: datetime, end: datetime) -> float:
    return (end if end.tzinfo else end.replace(tzinfo=start.tzinfo)).timestamp() - start.timestamp()


def probe_pace(failures: int) -> float:
    """Return the seconds to leave a failing webhook alone, after so many failures in a row.

    The first two are taken for chance; then 1, 2, 4 ... up to 30 seconds, so that what waits for a dead receiver
    does not use up its attempts in a burst.
    """
    return 0.0 if failures < 3 else min(2.0 ** (failures - 3), 30.0)
