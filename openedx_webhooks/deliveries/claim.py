"""Take due deliveries: a plain read of candidates, then one UPDATE by primary key that writes a token.

Measured (docs/decisions/0002): a locking range scan slows down with every snapshot that another connection holds, and
deadlocks with the learners' INSERTs. The walk over the live webhooks, in slices and with one short index read each, is
fair: a webhook with a hundred thousand deliveries waiting takes no more of a claim than any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.data import Encoding
from openedx_webhooks.deliveries.rooms import Rooms
from openedx_webhooks.deliveries.sql import again, read_committed
from openedx_webhooks.models.clock import execute, fetch, microseconds, utc_later_sql, utc_now_sql

SLICE = 500
"""Webhooks looked at by one query."""
TAKE = 50
"""Webhooks that one claim takes deliveries of."""
LEASE_MARGIN = 30.0
"""Seconds that a lease is longer than its delivery's timeout."""
LONGEST_LEASE = 60.0 + LEASE_MARGIN
"""Seconds; a lease that lies further ahead was written before the clock stepped back, and counts as expired."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One claimed delivery."""

    delivery_id: int
    event_id: int
    webhook_id: int
    encoding: Encoding
    size: int
    """Bytes of the body."""
    attempts: int
    """Made before this one."""
    token: str
    """The claim; what is recorded without it changes nothing."""


@dataclass(kw_only=True, slots=True)
class Walk:
    """Where the walk over the live webhooks stands, from one claim to the next."""

    cursor: int = 0
    """The id behind which the next slice begins; 0 at the beginning of a turn."""
    capped: bool = False
    """True when this turn passed over webhooks whose deliveries are due and have no room."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    id: int
    webhook_id: int
    size: int


class Claimer:
    """Claims for one drain."""

    def __init__(self, connection: BaseDatabaseWrapper, rooms: Rooms, default_timeout: float) -> None:
        self._connection = connection
        self._rooms = rooms
        self._default_timeout = default_timeout
        self._now = utc_now_sql(connection)
        self._later = utc_later_sql(connection)

    def claim(self, walk: Walk) -> list[Job]:
        """Take due deliveries of the next slice of webhooks that have room; empty where there are none."""
        connection = self._connection
        due, timeouts = self._due_webhooks(walk)
        shares = [(w, min(self._rooms.room(w), self._rooms.free)) for w in due]
        walk.capped = walk.capped or any(share <= 0 for _, share in shares)
        shares = [(w, share) for w, share in shares if share > 0]
        if len(shares) > TAKE:
            walk.cursor = shares[TAKE - 1][0]
        candidates = self._fit(self._candidates(shares[:TAKE]))
        if not candidates:
            return []
        token = uuid.uuid4().hex
        jobs = again(lambda: self._lease(candidates, timeouts, token), connection=connection)
        for job in jobs:
            self._rooms.start(job.webhook_id, job.size)
        return jobs

    def _due_webhooks(self, walk: Walk) -> tuple[list[int], dict[int, float]]:
        """Return the webhooks of the next slice with something due, and the timeouts; move the walk on."""
        sql = f"""
            SELECT x.id, x.timeout, x.failing, x.first <= {self._now} FROM (
                SELECT w.id, w.timeout, w.failing,
                       (SELECT d.due_at FROM openedx_webhooks_delivery d
                         WHERE d.status = 'pending' AND d.webhook_id = w.id ORDER BY d.due_at LIMIT 1) AS first
                  FROM (SELECT wh.id, wh.timeout, h.failing_since IS NOT NULL AS failing
                          FROM openedx_webhooks_webhook wh
                          LEFT JOIN openedx_webhooks_webhookhealth h ON h.webhook_id = wh.id
                         WHERE wh.id > %s AND {live_sql(self._connection)} ORDER BY wh.id LIMIT {SLICE}) w) x
             ORDER BY x.id"""
        rows = again(lambda: fetch(self._connection, sql, [walk.cursor]), connection=self._connection)
        walk.cursor = rows[-1][0] if len(rows) == SLICE else 0
        due: list[int] = []
        timeouts: dict[int, float] = {}
        for webhook_id, timeout, failing, is_due in rows:
            if is_due:
                self._rooms.learn(webhook_id, failing=bool(failing))
                timeouts[webhook_id] = self._default_timeout if timeout is None else float(timeout)
                due.append(webhook_id)
        return due, timeouts

    def _candidates(self, shares: Sequence[tuple[int, int]]) -> list[_Candidate]:
        select = f"""SELECT id, webhook_id, size FROM openedx_webhooks_delivery
                      WHERE status = 'pending' AND webhook_id = %s AND due_at <= {self._now}
                      ORDER BY due_at, id LIMIT %s"""
        # SQLite takes no ORDER BY inside a UNION; a query each costs little there.
        pieces = [shares] if self._connection.vendor == "mysql" else [[share] for share in shares]
        found: list[_Candidate] = []
        for piece in pieces:
            if not piece:
                continue
            sql = " UNION ALL ".join([f"({select})"] * len(piece)) if len(piece) > 1 else select
            params: list[Any] = [value for share in piece for value in share]
            rows = again(lambda s=sql, p=params: fetch(self._connection, s, p), connection=self._connection)  # type: ignore[misc]
            found += [_Candidate(*row) for row in rows]
        return found

    def _fit(self, candidates: Iterable[_Candidate]) -> list[_Candidate]:
        """Cut what there is no socket or no memory for; one delivery always fits into an empty drain."""
        taken: list[_Candidate] = []
        free_bytes = self._rooms.free_bytes
        for candidate in candidates:
            fits = candidate.size <= free_bytes or (self._rooms.in_flight == 0 and not taken)
            if len(taken) >= self._rooms.free or not fits:
                break
            free_bytes -= candidate.size
            taken.append(candidate)
        return taken

    def _lease(self, candidates: Sequence[_Candidate], timeouts: dict[int, float], token: str) -> list[Job]:
        for timeout, group in groupby(
            sorted(candidates, key=lambda c: (timeouts[c.webhook_id], c.id)), key=lambda c: timeouts[c.webhook_id]
        ):
            ids = [c.id for c in group]
            read_committed(self._connection)
            execute(
                self._connection,
                f"UPDATE openedx_webhooks_delivery SET status = 'leased', token = %s, due_at = {self._later}"
                f" WHERE id IN ({marks(ids)}) AND status = 'pending'",
                [token, microseconds(timeout + LEASE_MARGIN), *ids],
            )
        ids = [c.id for c in candidates]
        rows = fetch(
            self._connection,
            "SELECT id, event_id, webhook_id, encoding, size, attempts FROM openedx_webhooks_delivery"
            f" WHERE id IN ({marks(ids)}) AND token = %s",
            [*ids, token],
        )
        return [
            Job(
                delivery_id=row[0],
                event_id=row[1],
                webhook_id=row[2],
                encoding=Encoding(row[3]),
                size=row[4],
                attempts=row[5],
                token=token,
            )
            for row in rows
        ]


def live_sql(connection: BaseDatabaseWrapper) -> str:
    """Return the condition on ``wh`` (Webhook) and ``h`` (its health, or NULL) under which deliveries go out."""
    return f"wh.enabled AND h.paused_at IS NULL AND (h.hold_until IS NULL OR h.hold_until <= {utc_now_sql(connection)})"


def marks(values: Sequence[object]) -> str:
    """Return as many parameter marks as there are values."""
    return ", ".join(["%s"] * len(values))


def sweep(connection: BaseDatabaseWrapper) -> int:
    """Make deliveries due again whose lease ended: their worker died. Return how many."""
    now, later = utc_now_sql(connection), utc_later_sql(connection)
    rows = again(
        lambda: fetch(
            connection,
            "SELECT id, token FROM openedx_webhooks_delivery"
            f" WHERE status = 'leased' AND (due_at < {now} OR due_at > {later})",
            [microseconds(LONGEST_LEASE + 10)],
        ),
        connection=connection,
    )
    # Row by row and by token: what a late worker has recorded in the meantime stays as it is.
    sql = (
        f"UPDATE openedx_webhooks_delivery SET status = 'pending', token = NULL, due_at = {now}"
        " WHERE id = %s AND token = %s"
    )
    return sum(again(lambda r=row: execute(connection, sql, r), connection=connection) for row in rows)  # type: ignore[misc]


def seconds_to_next(connection: BaseDatabaseWrapper) -> float | None:
    """Return the seconds until the next pending delivery of a live webhook may go out; None where nothing waits.

    0 where something may go out at once; what a hold keeps back counts from the end of the hold.
    """
    if connection.vendor == "mysql":
        since_now = f"TIMESTAMPDIFF(MICROSECOND, {utc_now_sql(connection)}, y.at) / 1000000"
        greatest = "GREATEST(x.first, COALESCE(x.hold_until, x.first))"
    else:
        since_now = "(julianday(y.at) - julianday('now')) * 86400.0"
        greatest = "MAX(x.first, COALESCE(x.hold_until, x.first))"
    sql = f"""
        SELECT MIN({since_now}) FROM (SELECT {greatest} AS at FROM (
            SELECT h.hold_until, (SELECT d.due_at FROM openedx_webhooks_delivery d
                      WHERE d.status = 'pending' AND d.webhook_id = wh.id ORDER BY d.due_at LIMIT 1) AS first
              FROM openedx_webhooks_webhook wh
              LEFT JOIN openedx_webhooks_webhookhealth h ON h.webhook_id = wh.id
             WHERE wh.enabled AND h.paused_at IS NULL) x WHERE x.first IS NOT NULL) y"""
    value = again(lambda: fetch(connection, sql), connection=connection)[0][0]
    return None if value is None else max(float(value), 0.0)
