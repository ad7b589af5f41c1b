"""SQLite in WAL mode whose transactions take the write lock when they begin, on every Django.

A transaction that reads and then writes beside a writing thread fails at once with "database is locked" in
SQLite's default mode, whatever the timeout. Django 5.1 has options for this; Django 4.2 has none.
"""

from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's SQLite backend, with ``BEGIN IMMEDIATE`` and a write-ahead log."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.execute("PRAGMA journal_mode = WAL").close()
        connection.execute("PRAGMA synchronous = NORMAL").close()
        return connection

    def _start_transaction_under_autocommit(self) -> None:
        self.cursor().execute("BEGIN IMMEDIATE")
