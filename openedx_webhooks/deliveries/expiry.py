"""Fail what has been parked for longer than the retention, or has no webhook: with a reason, never deleted unsaid."""

from __future__ import annotations

import logging
import time
from itertools import pairwise

from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks import app_settings
from openedx_webhooks.deliveries.sql import again
from openedx_webhooks.models.clock import execute, fetch, microseconds, numbers, utc_later_sql, utc_now_sql

log = logging.getLogger(__name__)

PACE = 600.0
"""Seconds between two looks of one process."""
CHUNK = 500
MOST = 5000
"""Rows of one look."""
GAPS = 50
"""Ranges of ids that one query looks into."""
LAST_ID = 2**31
"""Behind the last id that a webhook may have."""
EVER = 86400.0 * 3650
"""Seconds; later than anything is due."""
_WAITING = (
    "SELECT DISTINCT webhook_id FROM openedx_webhooks_delivery"
    " WHERE status = 'pending' AND webhook_id BETWEEN %s AND %s"
)
_next_look = 0.0


def expire(connection: BaseDatabaseWrapper, *, now: float | None = None) -> int:
    """Fail parked deliveries that came due more than ``RETENTION_DAYS`` ago, and orphans; return how many.

    Looks at most once in ten minutes per process, and does at most ``MOST`` rows in one look, because a drain holds
    its results meanwhile; what is left is done at the next. ``now`` is on the monotonic clock.
    """
    global _next_look  # noqa: PLW0603
    now = time.monotonic() if now is None else now
    if now < _next_look:
        return 0
    expired = _fail_all(connection, _parked(connection), "expired", _retention(), MOST)
    if expired:
        log.warning("openedx_webhooks: %s deliveries expired while their webhooks were parked", expired)
    # Recorded by a process that had not yet seen the deletion.
    deleted = _fail_all(connection, _without_webhook(connection), "deleted", EVER, MOST - expired)
    _next_look = now + (PACE if expired + deleted < MOST else 0.0)
    return expired + deleted


def _fail_all(connection: BaseDatabaseWrapper, webhook_ids: list[int], reason: str, before: float, most: int) -> int:
    failed = 0
    for webhook_id in webhook_ids:
        while failed < most and (piece := _fail_piece(connection, webhook_id, reason, before)):
            failed += piece
    return failed


def _retention() -> float:
    return -86400.0 * app_settings.RETENTION_DAYS()


def _parked(connection: BaseDatabaseWrapper) -> list[int]:
    """Return the webhooks whose deliveries may expire; what waits for one that is switched off waits on."""
    rows = again(
        lambda: fetch(
            connection,
            "SELECT wh.id FROM openedx_webhooks_webhook wh"
            " LEFT JOIN openedx_webhooks_webhookhealth h ON h.webhook_id = wh.id"
            " WHERE wh.enabled AND (h.paused_at IS NOT NULL OR h.refused_at IS NOT NULL)",
        ),
        connection=connection,
    )
    return [row[0] for row in rows]


def _without_webhook(connection: BaseDatabaseWrapper) -> list[int]:
    """Return the ids under which deliveries wait for no webhook: in the gaps between the ids that there are.

    What waits for the others is not read, however much it is.
    """
    edges = [0, *_webhooks(connection), LAST_ID]
    gaps = [(lower + 1, upper - 1) for lower, upper in pairwise(edges) if upper - lower > 1]
    found: set[int] = set()
    for start in range(0, len(gaps), GAPS):
        piece = gaps[start : start + GAPS]
        sql = " UNION ALL ".join([_WAITING] * len(piece))
        params = [bound for gap in piece for bound in gap]
        found |= {row[0] for row in again(lambda s=sql, p=params: fetch(connection, s, p), connection=connection)}  # type: ignore[misc]
    # One that was made in the meantime is in the table by now.
    return sorted(found - set(_webhooks(connection))) if found else []


def _webhooks(connection: BaseDatabaseWrapper) -> list[int]:
    sql = "SELECT id FROM openedx_webhooks_webhook ORDER BY id"
    return [row[0] for row in again(lambda: fetch(connection, sql), connection=connection)]


def _fail_piece(connection: BaseDatabaseWrapper, webhook_id: int, reason: str, before: float) -> int:
    """Fail at most ``CHUNK`` of a webhook's pending deliveries that came due ``before`` seconds from now."""
    candidates = (
        "SELECT id FROM openedx_webhooks_delivery WHERE status = 'pending' AND webhook_id = %s"
        f" AND due_at < {utc_later_sql(connection)} ORDER BY due_at LIMIT {CHUNK}"
    )
    rows = again(lambda: fetch(connection, candidates, [webhook_id, microseconds(before)]), connection=connection)
    if not rows:
        return 0
    ids = [row[0] for row in rows]
    sql = (
        "UPDATE openedx_webhooks_delivery SET status = 'failed', reason = %s, token = NULL,"
        f" finished_at = {utc_now_sql(connection)} WHERE id IN ({numbers(ids)}) AND status = 'pending'"
    )
    return again(lambda: execute(connection, sql, [reason]), connection=connection)
