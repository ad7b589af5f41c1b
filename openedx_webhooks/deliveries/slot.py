"""One drain at a time per site: a leased row with a mark, so that no wake-up is stranded.

A wake-up that finds every slot taken marks them and returns. The holder clears the mark before each look that may be
its last and, after it has released the slot, checks the mark and takes the slot again. ``MAX_DRAINS`` is the number of
slots.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks import app_settings
from openedx_webhooks.deliveries.sql import again
from openedx_webhooks.models import DrainSlot, Event
from openedx_webhooks.models.clock import ahead_sql, execute, fetch, microseconds, utc_later_sql, utc_now_sql

LEASE = 20.0
"""Seconds after which the slot of a process that died is free."""
RENEW = 5.0
"""Seconds between two renewals by a live holder."""
TOLERANCE = 5.0
"""Seconds; a clock that steps back by less is let be."""
_TABLE = DrainSlot._meta.db_table


class Slot:
    """A slot that this drain holds."""

    def __init__(self, connection: BaseDatabaseWrapper, number: int, token: str) -> None:
        self._connection = connection
        self._number = number
        self._token = token
        self.behind = 0.0
        """Seconds by which the database's clock has stepped back under this slot; for the holder to act on."""

    @property
    def turn(self) -> str:
        """What a wake-up carries to go on with this slot: see ``resume``."""
        return f"{self._number}:{self._token}"

    @property
    def is_first(self) -> bool:
        """Whether this is the slot that is taken before all others: its holder keeps an eye on the clock."""
        return self._number == 1

    def renew(self) -> bool:
        """Hold on for another lease; False where another drain has taken over."""
        if self.is_first:
            self.behind = max(self.behind, _behind(self._connection))
        return self._write(f"until = {utc_later_sql(self._connection)}", microseconds(LEASE))

    def clear_mark(self) -> bool:
        """Forget the wake-ups so far, because a look follows; False where another drain has taken over."""
        return self._write("marked = %s", False)

    def release(self) -> bool:
        """Free the slot; return whether a wake-up came since the mark was cleared."""
        # ``until`` stays: it tells the next drain how late it was when this one last looked.
        if not self._write("token = %s", None):
            return False
        return self.marked()

    def marked(self) -> bool:
        """Return whether a wake-up came since the mark was cleared."""
        sql = f"SELECT marked FROM {_TABLE} WHERE id = %s"
        rows = again(lambda: fetch(self._connection, sql, [self._number]), connection=self._connection)
        return bool(rows and rows[0][0])

    def _write(self, assignment: str, value: Any) -> bool:
        sql = f"UPDATE {_TABLE} SET {assignment} WHERE id = %s AND token = %s"
        params = [value, self._number, self._token]
        return again(lambda: execute(self._connection, sql, params), connection=self._connection) == 1


def take(connection: BaseDatabaseWrapper) -> Slot | None:
    """Take a free slot; where none is free, mark them all and return None."""
    behind = _behind(connection)
    slot = _take_any(connection)
    if slot is None:
        sql = f"UPDATE {_TABLE} SET marked = %s"
        again(lambda: execute(connection, sql, [True]), connection=connection)
        # A holder may have released, and checked the mark, between our look and our mark.
        slot = _take_any(connection)
    if slot is not None and slot.is_first:
        slot.behind = behind
    return slot


def resume(connection: BaseDatabaseWrapper, turn: str) -> Slot | None:
    """Go on with a slot that was kept for this wake-up; None where it came too late, and another drain has it.

    At the end of a slice the slot is kept for one more wake-up, sent to the end of the queue. All that wait in the
    queue before it find the slot taken and return at once, and so the tasks of the platform between them get
    their turn before the next slice.
    """
    number, _, token = turn.partition(":")
    slot = Slot(connection, int(number), token)
    return slot if slot.renew() else None


def _take_any(connection: BaseDatabaseWrapper) -> Slot | None:
    token = uuid.uuid4().hex
    for number in range(1, app_settings.MAX_DRAINS() + 1):
        if _take(connection, number, token):
            return Slot(connection, number, token)
    return None


def _take(connection: BaseDatabaseWrapper, number: int, token: str) -> bool:
    now, later = utc_now_sql(connection), utc_later_sql(connection)
    # A lease that lies further ahead than any lease was written before the clock stepped back. A token that is ours
    # already was written by a try whose answer was lost.
    sql = (
        f"UPDATE {_TABLE} SET token = %s, until = {later} WHERE id = %s"
        f" AND (token IS NULL OR token = %s OR until < {now} OR until > {later})"
    )
    params = [token, microseconds(LEASE), number, token, microseconds(2 * LEASE)]

    def write() -> bool:
        return again(lambda: execute(connection, sql, params), connection=connection) > 0

    # Where nothing was changed, the slot is taken, or has never been used on this site.
    return write() or (again(lambda: _create(number, connection.alias), connection=connection) and write())


def _create(number: int, alias: str) -> bool:
    if DrainSlot.objects.using(alias).filter(pk=number).exists():
        return False
    try:
        with transaction.atomic(using=alias):
            DrainSlot.objects.using(alias).create(pk=number)
    except IntegrityError:
        pass
    return True


def _behind(connection: BaseDatabaseWrapper) -> float:
    """Return the seconds by which the clock stands behind a time that it has shown before; 0 where it does not.

    It was seen by the drain that last took or renewed the first slot, and written into the latest event.
    """
    sql = (
        f"SELECT {ahead_sql(connection, 'until')}, (SELECT {ahead_sql(connection, 'created')}"
        f" FROM {Event._meta.db_table} ORDER BY id DESC LIMIT 1) FROM {_TABLE} WHERE id = 1"
    )
    rows = again(lambda: fetch(connection, sql), connection=connection)
    until, created = rows[0] if rows else (None, None)
    behind = max(-LEASE if until is None else float(until) - LEASE, 0.0 if created is None else float(created))
    return behind if behind > TOLERANCE else 0.0


def plan_wake_up(connection: BaseDatabaseWrapper, seconds: float) -> bool:
    """Note that a wake-up is on its way; False where one is, that comes no later.

    Keeps the number of messages that wait in the broker at about one, however many drains end.
    """
    now, later = utc_now_sql(connection), utc_later_sql(connection)
    sql = (
        f"UPDATE {_TABLE} SET wake_at = {later} WHERE id = 1"
        f" AND (wake_at IS NULL OR wake_at <= {now} OR wake_at > {later})"
    )
    params = [microseconds(seconds), microseconds(seconds)]
    return again(lambda: execute(connection, sql, params), connection=connection) == 1
