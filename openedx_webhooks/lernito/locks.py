"""Orders for one person run one after the other: each locks a row of ours, which the address's HMAC chooses.

Not the user's own row: the order may wait for webfilters, and a login of that user would wait with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil

from django.db import Error, connection, transaction

from openedx_webhooks.lernito import records
from openedx_webhooks.models import LernitoLock
from openedx_webhooks.models.clock import execute, fetch

LOCKS = 512


@contextmanager
def one_at_a_time(email: str, *, patience: float) -> Iterator[None]:
    """Open a transaction beside which no other order for this address runs.

    No statement in it waits for a lock for longer than ``patience``, in seconds; MySQL then raises OperationalError.
    """
    lock_id = int(records.email_hmac(email)[:8], 16) % LOCKS
    with _lock_waits(patience):
        # Made before the transaction: an insert inside it would leave the row locked in a way that deadlocks.
        LernitoLock.objects.get_or_create(id=lock_id)
        with transaction.atomic():
            LernitoLock.objects.select_for_update().get(id=lock_id)
            yield


@contextmanager
def _lock_waits(longest: float) -> Iterator[None]:
    """Shorten MySQL's own limit, which is 50 seconds for each statement, for one order.

    The connection serves other requests later: where its limit cannot be put back, it is closed.
    """
    if connection.vendor != "mysql":
        yield
        return
    [(before,)] = fetch(connection, "SELECT @@innodb_lock_wait_timeout")
    _limit_lock_waits(min(before, ceil(longest)))
    try:
        yield
    finally:
        try:
            _limit_lock_waits(before)
        except Error:
            connection.close()


def _limit_lock_waits(seconds: int) -> None:
    execute(connection, "SET SESSION innodb_lock_wait_timeout = %s", [seconds])
