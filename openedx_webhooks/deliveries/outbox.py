"""Write one event and its deliveries: two INSERTs, all or none, and nothing else in the request.

Plain SQL, because this is the only work a learner waits for: due times are the database's UTC, and the ORM would
cost more than the INSERTs. An error stays inside a savepoint, unless the server has ended the whole transaction, and
where there is none an event is never there without its deliveries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks import app_settings, wakeup
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.data import Encoding, Subscription
from openedx_webhooks.deliveries.together import LAST_ID, Statement, all_or_none
from openedx_webhooks.models import Delivery, Event
from openedx_webhooks.models.clock import microseconds, utc_later_sql, utc_now_sql
from openedx_webhooks.payloads import events as payloads
from openedx_webhooks.payloads import formats

MAX_IN_REQUEST = 50
"""Matching webhooks above which the request writes the event alone and a drain writes the deliveries."""


def record(
    event_type: str, arguments: Mapping[str, object], metadata: Any, subscriptions: Sequence[Subscription]
) -> None:
    """Write an event for the webhooks that want it, and have a worker look once this transaction commits."""
    entry = catalog.all_events().get(event_type)
    name = entry.name if entry else event_type
    payload = payloads.serialize(name, event_type, arguments, metadata)
    wanted = [s for s in subscriptions if wants(s, payload)]
    if not wanted:
        return
    alias = router.db_for_write(Delivery)
    _insert(connections[alias], payload, wanted)
    # For every event: one remembered as registered is lost with the savepoint that it was registered in.
    transaction.on_commit(wakeup.notify, using=alias, robust=True)


def wants(subscription: Subscription, payload: payloads.Payload) -> bool:
    """Return whether an event's courses are among those that a webhook is limited to.

    One course key of the event that matches suffices; an event without a course is not for a limited webhook.
    """
    return _matches(subscription.courses, payload.course_keys) and _matches(
        subscription.organizations, payload.organizations
    )


def _matches(patterns: Sequence[str], texts: Iterable[str]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def _insert(connection: BaseDatabaseWrapper, payload: payloads.Payload, wanted: Sequence[Subscription]) -> None:
    limit = app_settings.MAX_BODY()
    bodies = {e: formats.render(payload, e, max_body=limit) for e in {Encoding.DEFAULT, *(s.encoding for s in wanted)}}
    targets = [(s.webhook_id, s.encoding) for s in wanted]
    if len(targets) > MAX_IN_REQUEST:
        statements = [_insert_of_event(connection, payload, bodies, fan_out=targets)]
    else:
        sizes = {e: len(body) for e, body in bodies.items()}
        statements = [
            _insert_of_event(connection, payload, bodies),
            insert_of_deliveries(connection, None, targets, sizes),
        ]
    all_or_none(connection, statements)


def _insert_of_event(
    connection: BaseDatabaseWrapper,
    payload: payloads.Payload,
    bodies: Mapping[Encoding, str],
    fan_out: Sequence[tuple[int, Encoding]] | None = None,
) -> Statement:
    others = {e: body for e, body in bodies.items() if e != Encoding.DEFAULT}
    sql = (
        f"INSERT INTO {Event._meta.db_table} (message_id, name, event_type, course_keys, body, other_bodies,"
        f" to_fan_out, fan_out, created) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, {utc_now_sql(connection)})"
    )
    return sql, [
        payload.message_id,
        payload.name,
        payload.event_type,
        "\n".join(payload.course_keys),
        bodies[Encoding.DEFAULT],
        json.dumps(others) if others else None,
        fan_out is not None,
        None if fan_out is None else json.dumps(fan_out),
    ]


def insert_of_deliveries(
    connection: BaseDatabaseWrapper,
    event_id: int | None,
    targets: Sequence[tuple[int, Encoding]],
    sizes: Mapping[Encoding, int],
) -> Statement:
    """Return the INSERT of one pending delivery per target, due when the schedule's first entry says.

    ``event_id`` is None behind the event's own INSERT: whatever id that was given.
    """
    # Our own numbers and words stand in the text: as parameters they would be most of what ten webhooks cost.
    event = LAST_ID if event_id is None else f"{event_id:d}"
    now = utc_now_sql(connection)
    due = utc_later_sql(connection).replace("%s", str(microseconds(app_settings.RETRY_SCHEDULE()[0])))
    rows = [
        f"({event}, {webhook_id:d}, '{encoding.value}', {sizes[encoding]:d}, 'pending', 0, '', '', {now}, {due})"
        for webhook_id, encoding in targets
    ]
    sql = (
        f"INSERT INTO {Delivery._meta.db_table} (event_id, webhook_id, encoding, size, status, attempts,"
        f" last_error, reason, created, due_at) VALUES {', '.join(rows)}"
    )
    return sql, []
