"""What a course import costs: ten thousand events in one transaction, and the wake-ups that follow it.

``python tests/benchmarks/bench_transaction.py [events]``, on MariaDB and Redis on loopback. Prints milliseconds per
event for 0, 1 and 3 webhooks, and how many messages went to the broker.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATABASE = os.environ.get("WEBHOOKS_BENCH_DATABASE", "bench_webhooks_transaction")
BROKER_URL = os.environ.get("WEBHOOKS_BROKER_URL", "redis://127.0.0.1:6379/12")


def _enter() -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
        "WEBHOOKS_TEST_DATABASE": "mysql",
        "WEBHOOKS_DATABASE_NAME": DATABASE,
        "WEBHOOKS_BROKER_URL": BROKER_URL,
    }
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lms")]
    import django

    django.setup()


def _server(*statements: str) -> None:
    import MySQLdb

    server = MySQLdb.connect(host="127.0.0.1", user="root")
    for statement in statements:
        server.cursor().execute(statement)
    server.close()


def _emit(events: int) -> tuple[float, float]:
    """Return the seconds of the emissions, and of the commit with its callbacks."""
    from django.db import transaction

    from tests.deliveries.events import enroll

    begun = time.monotonic()
    with transaction.atomic():
        for _ in range(events):
            enroll()
        emitted = time.monotonic()
    return emitted - begun, time.monotonic() - emitted


def main(events: int) -> None:
    _server(f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4")
    _enter()
    from django.core.management import call_command
    from lms.celery import APP

    from openedx_webhooks import subscriptions, wakeup
    from openedx_webhooks.models import Webhook

    call_command("migrate", verbosity=0)
    sent: list[str] = []
    publish = wakeup.publish

    def counted(turn: str = "") -> None:
        publish(turn)
        sent.append(turn)

    wakeup.publish = counted
    for webhooks in (0, 1, 3):
        while Webhook.objects.count() < webhooks:
            Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/")
        subscriptions.refresh()
        sent.clear()
        emission, commit = _emit(events)
        while wakeup.pending():
            time.sleep(0.05)
        each = 1000 * emission / events
        sys.stdout.write(
            f"{events} events, {webhooks} webhooks: {each:.2f} ms each, commit {1000 * commit:.0f} ms,"
            f" {len(sent)} wake-ups\n"
        )
    APP.control.purge()
    _server(f"DROP DATABASE {DATABASE}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
