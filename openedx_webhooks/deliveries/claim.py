"""Take due deliveries: a plain read of candidates, then a lock by primary key, past locked rows, that writes a token.

Measured (docs/decisions/0002): a locking range scan slows down with every snapshot that another connection holds, and
deadlocks with the learners' INSERTs. One short index read per webhook that has something due (``due``) is fair: a
webhook with a hundred thousand deliveries waiting takes no more of a claim than any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Hashable, Iterable, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.data import value
from openedx_webhooks.deliveries.due import Looker, Walk
from openedx_webhooks.deliveries.rooms import Rooms
from openedx_webhooks.deliveries.sql import again, by_index, read_committed, skip_locked
from openedx_webhooks.models.clock import execute, fetch, microseconds, numbers, utc_later_sql, utc_now_sql
from openedx_webhooks.models.webhook import MAX_TIMEOUT

TAKE = 50
"""Webhooks that one claim takes deliveries of."""
LEASE_MARGIN = 30.0
"""Seconds that a lease is longer than its delivery's timeout."""
LONGEST_LEASE = MAX_TIMEOUT + LEASE_MARGIN
"""Seconds; a lease that lies further ahead was written before the clock stepped back, and counts as expired."""


@value
class Job:
    """One claimed delivery."""

    key: tuple[int, str]
    """The delivery's id and the claim's token: what is recorded without it changes nothing."""
    delivery_id: int
    event_id: int
    webhook_id: int
    encoding: str
    """An ``Encoding``; of a row that a later version wrote, perhaps none that is known here."""
    size: int
    """Bytes of the body."""
    attempts: int
    """Made before this one."""
    due_at: str
    """As the database writes it: what is put back where the address is refused, so that the order stays."""


@value
class _Candidate:
    id: int
    webhook_id: int
    size: int


class Claimer:
    """Claims for one drain."""

    def __init__(self, connection: BaseDatabaseWrapper, rooms: Rooms) -> None:
        self._connection = connection
        self._rooms = rooms
        self._looker = Looker(connection)
        self._now = utc_now_sql(connection)
        self._later = utc_later_sql(connection)

    def claim(self, walk: Walk) -> list[Job]:
        """Take due deliveries of the next slice of webhooks that have room; empty where there are none."""
        found = self._looker.next_slice(walk)
        for webhook in found:
            self._rooms.learn(webhook.webhook_id, failing=webhook.failing)
        timeouts = {webhook.webhook_id: webhook.timeout for webhook in found if webhook.timeout <= walk.longest}
        shares = self._rooms.shares(list(timeouts))
        walk.capped = walk.capped or len(timeouts) < len(found) or any(not share for _, share in shares)
        shares = [(webhook_id, share) for webhook_id, share in shares if share]
        if len(shares) > TAKE:
            walk.cursor = shares[TAKE - 1][0]
        candidates = self._fit(self._candidates(shares[:TAKE], walk), walk)
        if not candidates:
            return []
        token = uuid.uuid4().hex
        jobs = again(lambda: self._lease(candidates, timeouts, token), connection=self._connection)
        for job in jobs:
            self._rooms.start(job.webhook_id, job.size)
        return jobs

    def _candidates(self, shares: Sequence[tuple[int, int]], walk: Walk) -> list[_Candidate]:
        since, params_since = self._looker.since(walk)
        select = f"""SELECT id, webhook_id, size FROM openedx_webhooks_delivery
                      {by_index(self._connection, "openedx_webhooks_claim")}
                      WHERE status = 'pending' AND webhook_id = %s AND due_at <= {self._now}{since}
                      ORDER BY due_at, id LIMIT %s"""
        # SQLite takes no ORDER BY inside a UNION; a query each costs little there.
        pieces = [shares] if self._connection.vendor == "mysql" else [[share] for share in shares]
        found: list[_Candidate] = []
        for piece in pieces:
            if not piece:
                continue
            sql = " UNION ALL ".join([f"({select})"] * len(piece)) if len(piece) > 1 else select
            params = [number for webhook_id, room in piece for number in (webhook_id, *params_since, room)]
            rows = again(lambda s=sql, p=params: fetch(self._connection, s, p), connection=self._connection)  # type: ignore[misc]
            found += [_Candidate(*row) for row in rows]
        return found

    def _fit(self, candidates: Iterable[_Candidate], walk: Walk) -> list[_Candidate]:
        """Cut what there is no memory for; one delivery always fits into an empty drain. The walk goes on behind it."""
        taken: list[_Candidate] = []
        free_bytes = self._rooms.free_bytes
        for candidate in candidates:
            if candidate.size > free_bytes and (self._rooms.in_flight or taken):
                walk.capped = True
                walk.cursor = taken[-1].webhook_id if taken else walk.cursor
                break
            free_bytes -= candidate.size
            taken.append(candidate)
        return taken

    def _lease(self, candidates: Sequence[_Candidate], timeouts: dict[int, float], token: str) -> list[Job]:
        """Write the token into those that are still pending, and that nobody else has locked; return them."""
        read_committed(self._connection)
        with transaction.atomic(using=self._connection.alias):
            jobs = self._lock([candidate.id for candidate in candidates], token)
            by_timeout: dict[float, list[int]] = {}
            for job in jobs:
                by_timeout.setdefault(timeouts[job.webhook_id], []).append(job.delivery_id)
            for timeout, ids in by_timeout.items():
                execute(
                    self._connection,
                    f"UPDATE openedx_webhooks_delivery SET status = 'leased', token = %s, due_at = {self._later}"
                    f" WHERE id IN ({numbers(ids)})",
                    [token, microseconds(timeout + LEASE_MARGIN)],
                )
        return jobs

    def _lock(self, ids: Sequence[int], token: str) -> list[Job]:
        # By primary key alone, and passing over locked rows: whoever holds one of them delays no other webhook. A
        # token that is ours already was written by a try whose answer was lost.
        rows = fetch(
            self._connection,
            "SELECT id, event_id, webhook_id, encoding, size, attempts, CAST(due_at AS CHAR)"
            f" FROM openedx_webhooks_delivery WHERE id IN ({numbers(ids)}) AND (status = 'pending' OR token = %s)"
            f" {skip_locked(self._connection)}",
            [token],
        )
        return [Job((row[0], token), *row) for row in rows]


def sweep(connection: BaseDatabaseWrapper, own: Collection[Hashable] = ()) -> int:
    """Make deliveries due again whose lease ended: their worker died. Return how many.

    ``own`` are the keys of what the caller has under way itself, and knows to be alive.
    """
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
    # Row by row and by token: what a late worker has recorded in the meantime stays as it is. What was never tried
    # takes its old place in the order.
    sql = (
        "UPDATE openedx_webhooks_delivery SET status = 'pending', token = NULL,"
        f" due_at = CASE WHEN attempts = 0 AND created < {now} THEN created ELSE {now} END WHERE id = %s AND token = %s"
    )
    dead = [tuple(row) for row in rows if tuple(row) not in own]
    return sum(again(lambda r=row: execute(connection, sql, r), connection=connection) for row in dead)  # type: ignore[misc]
