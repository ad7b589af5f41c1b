"""The database's UTC clock, as SQL: the one clock of due times, leases and their comparison.

``Now()`` is in the session's time zone on MySQL, and every process has a clock of its own; a due time written
by one and compared by another must come from the same clock. MySQL, MariaDB and SQLite are served.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

_NOW = {
    "mysql": "UTC_TIMESTAMP(6)",
    # Written as Django's SQLite backend writes a DateTimeField, so that texts compare as times do.
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')",
}
_LATER = {
    "mysql": "UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', (%s / 1000000.0) || ' seconds')",
}
_EARLIER = {
    "mysql": "{column} - INTERVAL %s MICROSECOND",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', {column}, (-%s / 1000000.0) || ' seconds')",
}
_AHEAD = {
    "mysql": "TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), {column}) / 1000000",
    "sqlite": "(julianday({column}) - julianday('now')) * 86400.0",
}
SUPPORTED = frozenset(_NOW)
"""Database vendors, as Django names them."""


def utc_now_sql(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL expression for the present, in UTC, as a DateTimeField is stored."""
    return _NOW[connection.vendor]


def utc_later_sql(connection: BaseDatabaseWrapper) -> str:
    """Return the SQL expression for the present plus ``%s`` microseconds (see ``microseconds``)."""
    return _LATER[connection.vendor]


def earlier_sql(connection: BaseDatabaseWrapper, column: str) -> str:
    """Return the SQL expression for a column's time minus ``%s`` microseconds."""
    return _EARLIER[connection.vendor].format(column=column)


def ahead_sql(connection: BaseDatabaseWrapper, column: str) -> str:
    """Return the SQL expression for the seconds by which a column's time lies in the future."""
    return _AHEAD[connection.vendor].format(column=column)


def microseconds(seconds: float) -> int:
    """Return the parameter of ``utc_later_sql``; a negative one lies in the past."""
    return round(seconds * 1_000_000)


def numbers(values: Iterable[int]) -> str:
    """Return our own whole numbers as they stand in SQL: as parameters, each would be converted and escaped."""
    return ", ".join(map(int.__repr__, values))  # of whole numbers alone: a text raises TypeError


def execute(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Run one statement, with parameters by place or by name, and return how many rows it changed.

    ``params`` is always given to the driver, so a literal ``%`` is written ``%%``.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def fetch(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one query and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        return list(cursor.fetchall())
