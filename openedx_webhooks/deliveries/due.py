"""Which webhooks have deliveries due: by a bounded peek at what came due, else by a walk over all webhooks.

The peek reads at most ``PEEK`` entries of one index and names every webhook that has something due, however many
webhooks there are. Where more is due it cannot tell, and the walk asks the webhooks themselves, slice by slice with
one short index read each: a webhook with a hundred thousand deliveries waiting hides no other.

A look is *recent* where it passes over what came due long ago. Another connection's snapshot (a dump, a report) keeps
the index entries of all that was delivered since; a recent look never reads them. What it passes over is found by the
next whole look: see ``stream``. Each statement names its index, so that no optimizer chooses.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.deliveries.sql import again, by_index
from openedx_webhooks.models.clock import fetch, microseconds, numbers, utc_later_sql, utc_now_sql
from openedx_webhooks.models.webhook import effective_timeout

SLICE = 500
"""Webhooks looked at by one query of the walk."""
PEEK = 500
"""Deliveries that a peek reads at most."""
PEEK_PACE = 1.0
"""Seconds after a peek that could not tell until the next: so much is due that the walk finds it anyway."""
RECENT = 5.0
"""Seconds; what came due longer ago is passed over by a recent look."""


@dataclass(kw_only=True, slots=True)
class Walk:
    """Where the turn over the live webhooks stands, from one claim to the next."""

    cursor: int = 0
    """The id behind which the next slice begins; 0 at the beginning of a turn."""
    capped: bool = False
    """True when this turn passed over webhooks whose deliveries are due and have no room."""
    recent: bool = False
    """Whether this turn looks only at what came due within ``RECENT`` seconds."""
    among: frozenset[int] | None = None
    """The webhooks that have something due, as the peek saw them; None where all have to be asked."""
    next_peek: dict[bool, float] = field(default_factory=dict)
    """When the next recent (True) or whole (False) turn may peek again, on the monotonic clock."""
    longest: float = math.inf
    """Seconds; webhooks with a longer timeout are passed over."""

    def begin(self, *, recent: bool) -> None:
        """Begin a turn."""
        self.cursor, self.capped, self.recent, self.among = 0, False, recent, None


@dataclass(frozen=True, slots=True)
class Due:
    """A live webhook with something due."""

    webhook_id: int
    timeout: float
    """Seconds of one attempt."""
    failing: bool
    """It has been failing, or refused, when its health was last written."""


class Looker:
    """Looks for one drain."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._now = utc_now_sql(connection)
        self._later = utc_later_sql(connection)

    def next_slice(self, walk: Walk) -> list[Due]:
        """Return the webhooks of the turn's next slice that have something due, by id; move the walk on."""
        if walk.cursor == 0 and time.monotonic() >= walk.next_peek.get(walk.recent, 0.0):
            walk.among = self._peek(walk)
            walk.next_peek[walk.recent] = time.monotonic() + PEEK_PACE if walk.among is None else 0.0
        if walk.among is not None and not walk.among:
            return []
        first, params = self._first(walk)
        among = "" if walk.among is None else f" AND wh.id IN ({numbers(sorted(walk.among))})"
        sql = f"""
            SELECT x.id, x.timeout, x.failing, x.first <= {self._now} FROM (
                SELECT w.id, w.timeout, w.failing, {first} AS first
                  FROM (SELECT wh.id, wh.timeout, h.failing_since IS NOT NULL OR h.refused_at IS NOT NULL AS failing
                          FROM openedx_webhooks_webhook wh
                          LEFT JOIN openedx_webhooks_webhookhealth h ON h.webhook_id = wh.id
                         WHERE wh.id > %s{among} AND {live_sql(self._connection)} ORDER BY wh.id LIMIT {SLICE}) w) x
             ORDER BY x.id"""
        rows = again(lambda: fetch(self._connection, sql, [*params, walk.cursor]), connection=self._connection)
        walk.cursor = rows[-1][0] if len(rows) == SLICE else 0
        return [Due(row[0], effective_timeout(row[1]), bool(row[2])) for row in rows if row[3]]

    def _first(self, walk: Walk) -> tuple[str, list[int]]:
        """Return the expression for when a webhook's first delivery is due, and its parameters."""
        if walk.among is not None:  # the peek has said that something is
            return self._now, []
        since, params = self.since(walk)
        index = by_index(self._connection, "openedx_webhooks_claim")
        first = f"""(SELECT d.due_at FROM openedx_webhooks_delivery d {index}
                      WHERE d.status = 'pending' AND d.webhook_id = w.id{since} ORDER BY d.due_at LIMIT 1)"""
        return first, params

    def since(self, walk: Walk) -> tuple[str, list[int]]:
        """Return the condition on ``due_at`` of a recent look, and its parameters; empty for a whole one."""
        return (f" AND due_at > {self._later}", [microseconds(-RECENT)]) if walk.recent else ("", [])

    def _peek(self, walk: Walk) -> frozenset[int] | None:
        since, params = self.since(walk)
        return peek(self._connection, f"due_at <= {self._now}{since}", params)


def peek(connection: BaseDatabaseWrapper, condition: str, params: list[int]) -> frozenset[int] | None:
    """Return the webhooks of all pending deliveries whose ``due_at`` is so; None where they are ``PEEK`` or more.

    Parked deliveries are among them: whether a webhook is live is asked of the webhook.
    """
    index = by_index(connection, "openedx_webhooks_due")
    sql = f"""
        SELECT x.webhook_id, COUNT(*) FROM (
            SELECT webhook_id FROM openedx_webhooks_delivery {index}
             WHERE status = 'pending' AND {condition} ORDER BY due_at LIMIT {PEEK}) x
         GROUP BY x.webhook_id"""
    rows = again(lambda: fetch(connection, sql, params), connection=connection)
    return None if sum(count for _, count in rows) >= PEEK else frozenset(webhook_id for webhook_id, _ in rows)


def live_sql(connection: BaseDatabaseWrapper) -> str:
    """Return the condition on ``wh`` (Webhook) and ``h`` (its health, or NULL) under which deliveries go out."""
    return f"wh.enabled AND h.paused_at IS NULL AND (h.hold_until IS NULL OR h.hold_until <= {utc_now_sql(connection)})"


def seconds_to_next(connection: BaseDatabaseWrapper, within: float) -> float | None:
    """Return the seconds until the next pending delivery of a live webhook may go out, if that is ``within`` seconds.

    0 where something may go out at once, None where nothing may in that time; what a hold keeps back counts from the
    end of the hold.
    """
    among = peek(connection, f"due_at <= {utc_later_sql(connection)}", [microseconds(within)])
    if among is not None and not among:
        return None
    if connection.vendor == "mysql":
        since_now = f"TIMESTAMPDIFF(MICROSECOND, {utc_now_sql(connection)}, y.at) / 1000000"
        greatest = "GREATEST(x.first, COALESCE(x.hold_until, x.first))"
    else:
        since_now = "(julianday(y.at) - julianday('now')) * 86400.0"
        greatest = "MAX(x.first, COALESCE(x.hold_until, x.first))"
    these = "" if among is None else f" AND wh.id IN ({numbers(sorted(among))})"
    sql = f"""
        SELECT MIN({since_now}) FROM (SELECT {greatest} AS at FROM (
            SELECT h.hold_until, (SELECT d.due_at FROM openedx_webhooks_delivery d
                      {by_index(connection, "openedx_webhooks_claim")}
                      WHERE d.status = 'pending' AND d.webhook_id = wh.id ORDER BY d.due_at LIMIT 1) AS first
              FROM openedx_webhooks_webhook wh
              LEFT JOIN openedx_webhooks_webhookhealth h ON h.webhook_id = wh.id
             WHERE wh.enabled AND h.paused_at IS NULL{these}) x WHERE x.first IS NOT NULL) y"""
    value = again(lambda: fetch(connection, sql), connection=connection)[0][0]
    seconds = None if value is None else max(float(value), 0.0)
    return seconds if seconds is not None and seconds <= within else None
