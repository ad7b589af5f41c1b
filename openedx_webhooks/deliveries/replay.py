"""Send again what was sent, or what failed: the same event, bytes and ``webhook-id``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from django.db import connections, router

from openedx_webhooks.models import Delivery
from openedx_webhooks.models.clock import execute, utc_now_sql

CHUNK = 500
"""Rows of one statement: SQLite takes 999 parameters at least."""

_REPLAY = """
UPDATE openedx_webhooks_delivery
   SET status = 'pending', due_at = {now}, token = NULL, attempts = 0, finished_at = NULL, reason = ''
 WHERE id IN ({ids}) AND status IN ('delivered', 'failed')
   AND EXISTS (SELECT 1 FROM openedx_webhooks_webhook w WHERE w.id = openedx_webhooks_delivery.webhook_id)
   AND EXISTS (SELECT 1 FROM openedx_webhooks_event e WHERE e.id = openedx_webhooks_delivery.event_id)
"""


def replay(delivery_ids: Iterable[int]) -> int:
    """Make finished deliveries due now, with the whole retry schedule before them; return how many.

    A delivery that is still on its way, and one whose webhook or event is gone, stays as it is. The log of
    earlier attempts is kept. Waking a worker is the caller's.
    """
    connection = connections[router.db_for_write(Delivery)]
    changed = 0
    for ids in _chunks(sorted(set(delivery_ids))):
        sql = _REPLAY.format(now=utc_now_sql(connection), ids=", ".join(["%s"] * len(ids)))
        changed += execute(connection, sql, ids)
    return changed


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
