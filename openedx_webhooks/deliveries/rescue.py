"""Bring back what the database's clock left behind when it stepped back: due times, and holds, that lie ahead.

Leases mend themselves, because none may lie far ahead. A due time may: without this, an event emitted just before
a step of an hour would wait for an hour.
"""

from __future__ import annotations

import logging

from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.deliveries.sql import again, by_index
from openedx_webhooks.models.clock import earlier_sql, execute, fetch, microseconds, numbers, utc_now_sql

log = logging.getLogger(__name__)

CHUNK = 500
"""Rows of one statement."""
MARGIN = 0.1
"""Seconds more: what was written just before the step is due now, and not at the very moment in which it was seen."""


def pull_back(connection: BaseDatabaseWrapper, seconds: float) -> int:
    """Make everything due so many seconds earlier that is due in the future; return how many deliveries."""
    now, by = utc_now_sql(connection), microseconds(seconds + MARGIN)
    holds = (
        f"UPDATE openedx_webhooks_webhookhealth SET hold_until = {earlier_sql(connection, 'hold_until')}"
        f" WHERE hold_until > {now}"
    )
    again(lambda: execute(connection, holds, [by]), connection=connection)
    # From one index alone. What is recorded from here on is due by the new clock.
    index = by_index(connection, "openedx_webhooks_due")
    waiting = f"SELECT id FROM openedx_webhooks_delivery {index} WHERE status = 'pending' AND due_at > {now}"
    ids = sorted(row[0] for row in again(lambda: fetch(connection, waiting), connection=connection))
    for start in range(0, len(ids), CHUNK):
        _pull_back(connection, ids[start : start + CHUNK], by)
    _pull_events_back(connection, by)
    log.warning(
        "openedx_webhooks: the database's clock stepped back by %.0f seconds; %s waiting deliveries were made due"
        " as much earlier",
        seconds,
        len(ids),
    )
    return len(ids)


def _pull_back(connection: BaseDatabaseWrapper, ids: list[int], by: int) -> None:
    sql = (
        f"UPDATE openedx_webhooks_delivery SET due_at = {earlier_sql(connection, 'due_at')}"
        f" WHERE id IN ({numbers(ids)}) AND status = 'pending'"
    )
    again(lambda: execute(connection, sql, [by]), connection=connection)


def _pull_events_back(connection: BaseDatabaseWrapper, by: int) -> None:
    """Make the newest events as much older, from the last one on: they are what a step back is told by.

    Left ahead, they would have every later drain take the clock for stepped back once more.
    """
    now = utc_now_sql(connection)
    newest = f"SELECT id, created > {now} FROM openedx_webhooks_event WHERE id < %s ORDER BY id DESC LIMIT {CHUNK}"
    earlier = f"UPDATE openedx_webhooks_event SET created = {earlier_sql(connection, 'created')} WHERE id IN"
    below = 2**63 - 1
    while True:
        rows = again(lambda b=below: fetch(connection, newest, [b]), connection=connection)  # type: ignore[misc]
        ahead = sorted(event_id for event_id, is_ahead in rows if is_ahead)
        if not ahead:
            return
        sql = f"{earlier} ({numbers(ahead)})"
        again(lambda s=sql: execute(connection, s, [by]), connection=connection)  # type: ignore[misc]
        below = rows[-1][0]
