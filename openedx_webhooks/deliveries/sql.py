"""How the engine talks to the database: in autocommit, at READ COMMITTED, and again where a transaction was lost.

Measured (docs/decisions/0002): under REPEATABLE READ a claim could deadlock with the learners' INSERTs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.models import Delivery

T = TypeVar("T")

TRIES = 5
DEADLOCK, LOCK_WAIT = 1213, 1205
_GONE = frozenset({2002, 2003, 2006, 2013, 2055, 4031})
"""MySQL client errors of a lost connection; 4031 is the server's own word for one that it closed."""


def engine_connection() -> BaseDatabaseWrapper:
    """Return the calling thread's connection to the database that holds the outbox."""
    return connections[router.db_for_write(Delivery)]


def read_committed(connection: BaseDatabaseWrapper) -> None:
    """Run the next transaction at READ COMMITTED: that one alone, because the worker's next task shares the session.

    Django's own connections are at that level already, unless the site's ``isolation_level`` says otherwise.
    """
    already = getattr(connection, "isolation_level", None) == "read committed"
    if connection.vendor == "mysql" and not already and not connection.in_atomic_block:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")


def skip_locked(connection: BaseDatabaseWrapper) -> str:
    """Return the clause that locks rows and passes over those that are locked; SQLite locks the whole database."""
    features = connection.features
    if not features.has_select_for_update:
        return ""
    return str(connection.ops.for_update_sql(skip_locked=features.has_select_for_update_skip_locked))


def by_index(connection: BaseDatabaseWrapper, name: str) -> str:
    """Return the clause behind a table's name that has a query read this index, whatever an optimizer thinks."""
    return f"FORCE INDEX ({name})" if connection.vendor == "mysql" else f"INDEXED BY {name}"


def again(work: Callable[[], T], *, connection: BaseDatabaseWrapper) -> T:
    """Run ``work``, and run it again after a deadlock, a lock wait, a busy SQLite or a lost connection.

    ``work`` is one whole transaction, and harmless to run twice. Raises the last error after ``TRIES``.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            if attempt == TRIES or connection.in_atomic_block or not passing(error):
                raise
            if _lost(error):
                connection.close()
            time.sleep(random.uniform(0, 0.05) * 2**attempt)  # noqa: S311  chance, not a secret
    raise AssertionError("unreachable")


def passing(error: Exception) -> bool:
    """Return whether the same work may succeed later: after a lock, a deadlock, or when the database is back."""
    code = error.args[0] if error.args else None
    return code in (DEADLOCK, LOCK_WAIT) or _lost(error) or "locked" in str(error)


def _lost(error: Exception) -> bool:
    return isinstance(error, InterfaceError) or bool(error.args and error.args[0] in _GONE)
