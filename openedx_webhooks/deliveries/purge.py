"""Delete what is older than ``RETENTION_DAYS``: finished deliveries with their log, events, calls, orders.

In pieces of a few hundred rows, each a short transaction, found by primary key from the oldest on (keys rise with
time), so that neither a look nor a lock grows with the table. A drain does a little of it beside its work; the
command ``webhooks_purge`` does all of it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import DatabaseError, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from openedx_webhooks import app_settings
from openedx_webhooks.deliveries.sql import again, engine_connection, read_committed
from openedx_webhooks.models import Attempt, Delivery, Event, FilterCall, LernitoOrder
from openedx_webhooks.models.seek import first_id_since

log = logging.getLogger(__name__)

CHUNK = 500
"""Rows of one piece."""
PACE = 600.0
"""Seconds between two purges by the drains of one process."""
PATIENCE = 1.0
"""Seconds that a drain spends on one purge."""
BREATH = 0.02
"""Seconds that a whole purge leaves to others between two pieces."""
KINDS = ("deliveries", "events", "webfilter calls", "Lernito orders")
"""What is counted, in the order in which it is deleted."""
MOST_DAYS = 3650

_FINISHED = (Delivery.Status.DELIVERED, Delivery.Status.FAILED)
Piece = Callable[[list[int]], int]
"""Deletes those of some rows, by primary key, that are old and done with; returns how many."""


@dataclass(kw_only=True, slots=True)
class Purge:
    """One way through all tables; it may be walked a little at a time."""

    connection: BaseDatabaseWrapper
    before: datetime
    dry_run: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    """Rows deleted, or with ``dry_run`` to be deleted, by what they are."""
    cursors: dict[str, int] = field(default_factory=dict)
    """Behind which primary key each walk goes on; one that came to its end begins anew."""

    def pieces(self) -> Iterator[None]:
        """Do one piece at each step."""
        # Deliveries before events: an event goes once none of its deliveries is left.
        deliveries, events, calls, orders = KINDS
        yield from self._walk(deliveries, Delivery, first_id_since(Delivery, self.before), self._deliveries)
        yield from self._walk(events, Event, first_id_since(Event, self.before), self._events)
        yield from self._dated(calls, FilterCall)
        yield from self._dated(orders, LernitoOrder)

    def _walk(self, name: str, model: type[models.Model], end: int, piece: Piece) -> Iterator[None]:
        while ids := self._ids(model, pk__gt=self.cursors.get(name, 0), pk__lt=end):
            self.counts[name] += again(partial(piece, ids), connection=self.connection)
            self.cursors[name] = ids[-1]
            yield
        self.cursors.pop(name, None)

    def _ids(self, model: type[models.Model], **conditions: object) -> list[int]:
        rows = model._default_manager.using(self.connection.alias).filter(**conditions)  # noqa: SLF001
        ids = rows.order_by("pk").values_list("pk", flat=True)
        return again(lambda: list(ids.all()[:CHUNK]), connection=self.connection)

    def _deliveries(self, ids: list[int]) -> int:
        alias = self.connection.alias
        old = Delivery.objects.using(alias).filter(pk__in=ids, status__in=_FINISHED, finished_at__lt=self.before)
        if self.dry_run:
            return old.count()
        read_committed(self.connection)
        with transaction.atomic(using=alias):
            # Locked, because a person may be sending one of them again.
            found = list(old.select_for_update().values_list("pk", flat=True))
            _delete(Attempt.objects.using(alias).filter(delivery_id__in=found))
            return _delete(Delivery.objects.using(alias).filter(pk__in=found))

    def _events(self, ids: list[int]) -> int:
        alias = self.connection.alias
        wanted = Delivery.objects.using(alias).filter(event_id__in=ids)
        if self.dry_run:
            wanted = wanted.exclude(status__in=_FINISHED, finished_at__lt=self.before)
        left = set(ids) - set(wanted.values_list("event_id", flat=True).distinct())
        old = Event.objects.using(alias).filter(pk__in=left, created__lt=self.before, to_fan_out=False)
        return old.count() if self.dry_run else _delete(old)

    def _dated(self, name: str, model: type[models.Model]) -> Iterator[None]:
        """Walk a table that has an index on the time a row was created."""
        rows = model._default_manager.using(self.connection.alias)  # noqa: SLF001
        if self.dry_run:
            self.counts[name] += again(rows.filter(created__lt=self.before).count, connection=self.connection)
            return
        oldest = rows.filter(created__lt=self.before).order_by("created").values_list("pk", flat=True)
        while ids := again(lambda: list(oldest.all()[:CHUNK]), connection=self.connection):
            delete = partial(_delete, rows.filter(pk__in=ids))
            self.counts[name] += again(delete, connection=self.connection)
            yield


def _delete(rows: models.QuerySet[models.Model]) -> int:
    # Not delete(): it would look for rows that refer to these.
    return rows._raw_delete(rows.db) or 0  # noqa: SLF001


def purge_all(*, days: int | None = None, dry_run: bool = False) -> Counter[str]:
    """Delete everything older than ``days`` (none: ``RETENTION_DAYS``); return how many rows of each kind.

    With ``dry_run``, deletes nothing and counts the same. Raises DatabaseError where the database stays away.
    """
    purge = Purge(connection=engine_connection(), before=_before(days), dry_run=dry_run)
    for _piece in purge.pieces():
        time.sleep(0 if dry_run else BREATH)
    return purge.counts


_next_look = 0.0
_cursors: dict[str, int] = {}


def purge_some(connection: BaseDatabaseWrapper, *, now: float | None = None) -> int:
    """Go on purging for ``PATIENCE`` seconds, at most once in ten minutes per process; return how many rows went.

    ``now`` is on the monotonic clock. Never raises: what could not be deleted now is found again.
    """
    global _next_look  # noqa: PLW0603
    now = time.monotonic() if now is None else now
    if now < _next_look:
        return 0
    _next_look = now + PACE
    purge = Purge(connection=connection, before=_before(), cursors=_cursors)
    deadline = time.monotonic() + PATIENCE
    try:
        for _piece in purge.pieces():
            if time.monotonic() > deadline:
                break
    except DatabaseError as error:
        log.warning("openedx_webhooks: what is old could not be deleted now: %s", type(error).__name__)
    return purge.counts.total()


def _before(days: int | None = None) -> datetime:
    return timezone.now() - timedelta(days=app_settings.RETENTION_DAYS() if days is None else days)
