"""Run statements that belong together, all or none, in one round trip where the database takes several at once.

Two INSERTs in a savepoint are four round trips, one after the other; where the database is another machine they are
most of what a learner waits for. MySQL and MariaDB run a text of several statements one by one and answer each, and
mysqlclient, the platform's driver, asks for that unless ``OPTIONS`` say ``multi_statements: False``. What is behind the
connection may refuse it all the same, a proxy say: then they are run one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from django.db import Error, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.deliveries.sql import passing

Statement = tuple[str, Sequence[Any]]
"""SQL and its parameters, which are always given to the driver: a literal ``%`` is written ``%%``."""

LAST_ID = "LAST_INSERT_ID()"
"""In a statement: the id that the one before it generated, the same in each row of an INSERT (MySQL 8.4 Reference
Manual, 14.15, "Information Functions")."""
_MULTI_STATEMENTS = 1 << 16
"""CLIENT_MULTI_STATEMENTS among the capability flags of MySQL's protocol."""
_SAVEPOINT = "openedx_webhooks"
"""Never released: setting it again replaces it. After an interrupt the rest of the text runs all the same, and would
have released what is to be rolled back to."""


def all_or_none(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> None:
    """Run statements so that an error undoes them alone: in a savepoint, or in a transaction where there is none.

    Raises what went wrong. Where the server itself has ended the transaction, because of a deadlock say, or nobody can
    tell, it is marked to be rolled back: what came after would be committed without what came before.
    """
    if _takes_several(connection):
        with nullcontext() if connection.in_atomic_block else transaction.atomic(using=connection.alias):
            if _try_one_trip(connection, statements):
                return
    with transaction.atomic(using=connection.alias):
        _one_by_one(connection, statements)


def _takes_several(connection: BaseDatabaseWrapper) -> bool:
    connection.ensure_connection()
    flags = (getattr(connection.connection, name, 0) for name in ("client_flag", "server_capabilities"))
    return connection.vendor == "mysql" and all(flag & _MULTI_STATEMENTS for flag in flags)


def _one_by_one(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> None:
    with connection.cursor() as cursor:
        for sql, params in statements:
            cursor.execute(sql.replace(LAST_ID, str(cursor.lastrowid)), params)


def _try_one_trip(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> bool:
    """Run them as one text behind a savepoint; return False where that is refused and nothing of it is left."""
    texts = [f"SAVEPOINT {_SAVEPOINT}", *(sql for sql, _ in statements)]
    answers = 0  # the first is the savepoint's
    try:
        with connection.cursor() as cursor:
            cursor.execute("; ".join(texts), [value for _, params in statements for value in params])
            answers = 1
            while cursor.nextset():
                answers += 1
    except BaseException as error:
        if not answers and isinstance(error, (TypeError, UnicodeError)):
            raise  # parameters that cannot be written: nothing was sent
        refused = isinstance(error, Error) and not passing(error)  # whatever a proxy calls it; else it is raised again
        if answers:
            refused = _undo(connection.alias) and refused
        elif not refused:  # how far the server came is not known, and a savepoint of this name may be an older one
            transaction.set_rollback(True, using=connection.alias)
        if not refused:
            raise
        return False
    if answers == len(texts):
        return True
    _undo(connection.alias)
    return False


def _undo(alias: str) -> bool:
    """Undo what is ours and nothing else; where that is too late, mark the transaction and return False."""
    undone = False
    try:
        transaction.savepoint_rollback(_SAVEPOINT, using=alias)
        undone = True
    except Error:
        pass
    finally:
        if not undone:
            transaction.set_rollback(True, using=alias)
    return undone
