"""Whether our tables are there: installed and not migrated, this package behaves as unconfigured."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

from django.db import Error, connections, models, router, transaction

log = logging.getLogger(__name__)

MIGRATE = "openedx_webhooks is installed but not migrated; no webhook is live. Run: ./manage.py lms migrate"
_told = False


def missing(*tables: type[models.Model]) -> bool:
    """Return whether the table of one of these models, or a column of it, is known not to be there.

    Looks into the schema, so a request asks after an error alone. A database that is away says nothing about its
    tables: taken for one without them, every event of the seconds after a restart would be let go.
    """
    try:
        return any(_is_missing(model) for model in tables)
    except Error:
        return False


def _is_missing(model: type[models.Model]) -> bool:
    alias, meta = router.db_for_write(model), model._meta
    with untouched_transaction(alias), connections[alias].cursor() as cursor:
        if not _is_there(model):
            return True
        columns = connections[alias].introspection.get_table_description(cursor, meta.db_table)
    return not {field.column for field in meta.local_concrete_fields} <= {column.name for column in columns}


def has_table(model: type[models.Model]) -> bool:
    """Return whether a model's table is there; where it is not, say which command makes it, once per process.

    Raises what the database raises: one that is away says nothing about its tables.
    """
    if _is_there(model):
        return True
    tell_to_migrate()
    return False


def _is_there(model: type[models.Model]) -> bool:
    return model._meta.db_table in connections[router.db_for_write(model)].introspection.table_names()


def untouched_transaction(alias: str) -> AbstractContextManager[object]:
    """Return a savepoint inside a transaction, which an error in here must not break; outside, nothing is begun.

    A transaction of our own would wait for the write lock on SQLite, only to read.
    """
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()


def tell_to_migrate() -> None:
    """Log which command to run, once per process."""
    global _told  # noqa: PLW0603
    if not _told:
        log.warning(MIGRATE)
    _told = True
