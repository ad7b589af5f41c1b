"""Sites as the published package leaves them, each on a database of its own, driven through ``manage.py``."""

import os
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

APPLIED = [
    "0001_initial",
    "0002_webfilter",
    "0003_auto_20230607_1246",
    "0004_auto_20230613_1033",
    "0005_alter_webfilter_event",
    "0006_alter_webfilter_event",
    "0007_alter_webfilter_event",
]

SQLITE = {
    "id": '"id" integer NOT NULL PRIMARY KEY AUTOINCREMENT',
    "time": "datetime",
    "text": "text",
    "bool": "bool",
}
MYSQL = {
    "id": "`id` int AUTO_INCREMENT NOT NULL PRIMARY KEY",
    "time": "datetime(6)",
    "text": "longtext",
    "bool": "tinyint(1)",
}
TABLES = [
    """CREATE TABLE django_migrations ({id}, app varchar(255) NOT NULL, name varchar(255) NOT NULL,
       applied {time} NOT NULL)""",
    """CREATE TABLE openedx_webhooks_webhook ({id}, created {time} NOT NULL, modified {time} NOT NULL,
       event varchar(50) NOT NULL, webhook_url varchar(255) NOT NULL, enabled {bool} NOT NULL,
       use_www_form_encoding {bool} NOT NULL)""",
    """CREATE TABLE openedx_webhooks_webfilter ({id}, created {time} NOT NULL, modified {time} NOT NULL,
       description {text} NOT NULL, event varchar(50) NOT NULL, webhook_url varchar(255) NOT NULL,
       enabled {bool} NOT NULL, disable_halt {bool} NOT NULL, halt_on_4xx {bool} NOT NULL,
       redirect_on_4xx varchar(255) NOT NULL, halt_on_5xx {bool} NOT NULL, redirect_on_5xx varchar(255) NOT NULL,
       halt_on_request_exception {bool} NOT NULL, redirect_on_request_exception varchar(255) NOT NULL,
       disable_filtering {bool} NOT NULL, use_www_form_encoding {bool} NOT NULL)""",
]


class Site:
    """A database that the published package made, and the commands that an operator runs on it."""

    types: dict
    env: dict

    def sql(self, statement):
        """Run one statement; return its rows."""
        raise NotImplementedError

    def manage(self, *args, **env):
        """Run ``manage.py``; return what it printed. A failure shows that as well."""
        run = subprocess.run(
            [sys.executable, ROOT / "manage.py", *args],
            env={**os.environ, **self.env, "DJANGO_SETTINGS_MODULE": "tests.migrations.site_settings", **env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def install_published(self, *more):
        """Make the published package's tables, with ``more`` migrations recorded than every version has."""
        for table in TABLES:
            self.sql(table.format(**self.types))
        for name in [*APPLIED, *more]:
            self.sql(
                "INSERT INTO django_migrations (app, name, applied)"
                f" VALUES ('openedx_webhooks', '{name}', '2024-01-01 00:00:00')"
            )

    def insert_webhook(self, event):
        """Insert as the published package does: with its own columns alone."""
        self.sql(
            "INSERT INTO openedx_webhooks_webhook"
            " (created, modified, event, webhook_url, enabled, use_www_form_encoding)"
            f" VALUES ('2024-02-03 04:05:06', '2024-02-03 04:05:07', '{event}', 'https://example.com/{event}', 1, 0)"
        )

    def insert_webfilter(self, event, description=""):
        """Insert as the published package does, enabled."""
        self.sql(
            "INSERT INTO openedx_webhooks_webfilter (created, modified, description, event, webhook_url, enabled,"
            " disable_halt, halt_on_4xx, redirect_on_4xx, halt_on_5xx, redirect_on_5xx, halt_on_request_exception,"
            " redirect_on_request_exception, disable_filtering, use_www_form_encoding)"
            f" VALUES ('2024-02-03 04:05:06', '2024-02-03 04:05:07', '{description}', '{event}',"
            " 'https://example.com/filter', 1, 0, 0, '', 0, '', 0, '', 0, 1)"
        )


class SqliteSite(Site):
    types = SQLITE

    def __init__(self, path):
        self.path = path
        self.env = {"UPGRADE_DATABASE": str(path), "WEBHOOKS_TEST_DATABASE": "sqlite"}

    def sql(self, statement):
        connection = sqlite3.connect(self.path)
        try:
            rows = connection.execute(statement).fetchall()
            connection.commit()
            return rows
        finally:
            connection.close()


class MysqlSite(Site):
    types = MYSQL

    def __init__(self, connection, name):
        self.connection = connection
        self.env = {"UPGRADE_DATABASE": name, "WEBHOOKS_TEST_DATABASE": "mysql"}

    def sql(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            rows = [tuple(row) for row in cursor.fetchall()]
        self.connection.commit()
        return rows


def _mysql_site():
    mysql = pytest.importorskip("MySQLdb")
    try:
        connection = mysql.connect(host="127.0.0.1", user="root", charset="utf8mb4")
    except mysql.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"No MariaDB on loopback: {error}")
    name = f"test_upgrade_{uuid.uuid4().hex[:12]}"
    site = MysqlSite(connection, name)
    site.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    connection.select_db(name)
    return site


@pytest.fixture(params=["sqlite", pytest.param("mysql", marks=pytest.mark.services)])
def site(request, tmp_path):
    """Make an empty database, then throw it away."""
    if request.param == "sqlite":
        yield SqliteSite(tmp_path / "site.sqlite3")
        return
    mysql_site = _mysql_site()
    yield mysql_site
    mysql_site.sql(f"DROP DATABASE {mysql_site.env['UPGRADE_DATABASE']}")
    mysql_site.connection.close()
