"""Write the deliveries of events that had too many webhooks for the request."""

from __future__ import annotations

import json

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.data import Encoding
from openedx_webhooks.deliveries import outbox
from openedx_webhooks.deliveries.sql import again, read_committed
from openedx_webhooks.models import Event, incident
from openedx_webhooks.models.clock import execute, fetch

EVENTS = 20
"""Events of one look."""
ROWS = 150
"""Deliveries of one INSERT, whose text is some 20 kB then."""


def fan_out(connection: BaseDatabaseWrapper) -> int:
    """Write the deliveries of the oldest events that wait for it; return how many events."""
    sql = f"SELECT id FROM {Event._meta.db_table} WHERE to_fan_out = %s ORDER BY id LIMIT {EVENTS}"
    rows = again(lambda: fetch(connection, sql, [True]), connection=connection)
    for (event_id,) in rows:
        again(lambda e=event_id: _fan_out(connection, e), connection=connection)  # type: ignore[misc]
    return len(rows)


def _targets(event: Event) -> tuple[list[tuple[int, Encoding]], dict[Encoding, int]]:
    """Return the (webhook id, encoding) pairs, and the size of each encoding's body."""
    bodies = {Encoding.DEFAULT: event.body, **json.loads(event.other_bodies or "{}")}
    sizes = {encoding: len(bodies[encoding]) for encoding in Encoding if encoding in bodies}
    wanted = json.loads(event.fan_out or "[]")
    targets = [(int(webhook_id), Encoding(name)) for webhook_id, name in wanted if name in sizes]
    if unknown := len(wanted) - len(targets):
        incident.note("fan-out", f"Event {event.pk}: {unknown} deliveries in no encoding known here.")
    return targets, sizes


def _fan_out(connection: BaseDatabaseWrapper, event_id: int) -> None:
    """Write one event's deliveries in one transaction, whose first statement sees to it that only one drain does."""
    table = Event._meta.db_table
    read_committed(connection)
    with transaction.atomic(using=connection.alias):
        taken = f"UPDATE {table} SET to_fan_out = %s WHERE id = %s AND to_fan_out = %s"
        if not execute(connection, taken, [False, event_id, True]):
            return
        event = Event.objects.using(connection.alias).get(pk=event_id)
        try:
            targets, sizes = _targets(event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            incident.note("fan-out", f"Event {event_id} cannot be read: {type(error).__name__}.")
            return
        for start in range(0, len(targets), ROWS):
            piece = targets[start : start + ROWS]
            execute(connection, *outbox.insert_of_deliveries(connection, event_id, piece, sizes))
        execute(connection, f"UPDATE {table} SET fan_out = NULL WHERE id = %s", [event_id])
