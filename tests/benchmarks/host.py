"""The site that is measured: the stand-in LMS on MariaDB and Redis, in databases of the benchmarks' own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DATABASE = os.environ.get("WEBHOOKS_BENCH_DATABASE", "bench_webhooks")
BROKER_URL = "redis://127.0.0.1:6379/13"
SERVICES = {"MariaDB": 3306, "Redis": 6379}
CONFIG_TTL = 0.2
TABLES = ("delivery", "event", "attempt", "webhookhealth", "drainslot", "webhook")


def missing_services() -> list[str]:
    """Return the services that do not listen on loopback."""
    return [name for name, port in SERVICES.items() if not _listens(port)]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def enter(database: str = DATABASE, **settings: Any) -> None:
    """Make this process one of the site's: real settings, the broker pool that the platform has."""
    site = {"OPENEDX_WEBHOOKS_CONFIG_TTL": 3600, "OPENEDX_WEBHOOKS_DISPATCH": "none", **settings}
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
        "WEBHOOKS_TEST_DATABASE": "mysql",
        "WEBHOOKS_DATABASE_NAME": database,
        "WEBHOOKS_BROKER_URL": BROKER_URL,
        "WEBHOOKS_SITE_SETTINGS": json.dumps(site),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'lms'}",
    }
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lms")]
    import logging

    import django

    django.setup()
    logging.disable(logging.WARNING)


def create(*databases: str) -> None:
    """Create the databases anew and migrate them. Needs ``enter`` before."""
    from django.core.management import call_command
    from django.db import connection

    for name in databases:
        run_as_root(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        use(name)
        call_command("migrate", verbosity=0)
    connection.close()


def drop(*databases: str) -> None:
    """Drop the databases."""
    run_as_root(*(f"DROP DATABASE IF EXISTS {name}" for name in databases))


def run_as_root(*statements: str) -> None:
    """Run statements outside any of our databases."""
    import MySQLdb

    connection = MySQLdb.connect(host="127.0.0.1", user="root")
    for statement in statements:
        connection.cursor().execute(statement)
    connection.close()


def use(database: str) -> None:
    """Have this process's connection talk to another database from now on."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = database
    forget()


def forget() -> None:
    """Have the next event read the webhooks anew."""
    from openedx_webhooks import subscriptions

    subscriptions.refresh()


def empty() -> None:
    """Empty the outbox and the configuration."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"TRUNCATE TABLE openedx_webhooks_{table}")
    forget()


def subscribe(event: str, urls: list[str], **fields: Any) -> list[int]:
    """Configure one webhook per URL; return their ids."""
    from openedx_webhooks.models import Webhook

    ids = [Webhook.objects.create(event=event, webhook_url=url, **fields).pk for url in urls]
    forget()
    return ids


def clear_outbox() -> None:
    """Empty the outbox, and keep the configuration."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table in ("delivery", "event", "attempt", "drainslot", "webhookhealth"):
            cursor.execute(f"TRUNCATE TABLE openedx_webhooks_{table}")


@contextmanager
def waking_workers() -> Iterator[None]:
    """Have this process publish wake-ups through Redis, as a site's processes do."""
    from django.test import override_settings

    from openedx_webhooks import wakeup

    wakeup.stop()
    with override_settings(OPENEDX_WEBHOOKS_DISPATCH="celery"):
        yield
        wakeup.stop()


@contextmanager
def delivering() -> Iterator[None]:
    """Have another process of this site deliver meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "webhooks_deliver", "--forever"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def celery_worker() -> Iterator[None]:
    """Have a real Celery worker of this site, of one process, that takes the wake-ups."""
    subprocess.run(["redis-cli", "-n", BROKER_URL.rsplit("/", 1)[1], "flushdb"], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "celery", "--app=lms.celery", "worker", "--loglevel=INFO", "--concurrency=1"]
    command += ["--queues=edx.lms.core.default", "--prefetch-multiplier=1", "--without-gossip", "--without-mingle"]
    environment = os.environ | {"WEBHOOKS_SITE_SETTINGS": json.dumps({"OPENEDX_WEBHOOKS_DISPATCH": "celery"})}
    worker = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if worker.stderr is None or not any(" ready." in line for line in worker.stderr):
            raise RuntimeError("The Celery worker did not become ready.")
        threading.Thread(target=worker.stderr.read, daemon=True).start()  # a full pipe would stop it
        yield
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
