"""Deliver without Celery: from cron, systemd or Kubernetes."""

from __future__ import annotations

import signal
import threading
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Delivery, tables

A_DAY = 86400.0
WAIT_FOR_SLOT = 0.5
"""Seconds between two tries while another drain of the site is at work."""
PATIENCE = 5.0
"""Seconds after which ``--once`` leaves it to that drain: from cron, one process more would wait each minute."""


class Command(BaseCommand):
    """``--once`` drains what is due and ends; ``--forever`` keeps on until SIGTERM or SIGINT."""

    help = "Deliver the webhooks that are due: --once, or --forever until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take exactly one of the two ways to run."""
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--once", action="store_true", help="Deliver what is due now, print a summary, and end.")
        how.add_argument("--forever", action="store_true", help="Keep delivering; SIGTERM or SIGINT ends it cleanly.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and stop claiming when a signal comes: what is in flight is awaited and recorded."""
        stop, wake = threading.Event(), threading.Event()

        def end(*_args: object) -> None:
            stop.set()
            wake.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        if options["forever"]:
            engine.run_for_ever(wake, stop)
        else:
            self._once(stop)

    def _once(self, stop: threading.Event) -> None:
        if not engine.is_migrated():
            raise CommandError(tables.MIGRATE)
        until = time.monotonic() + PATIENCE
        while (tally := engine.drain(seconds=A_DAY, stop=stop.is_set)) is None and not stop.is_set():
            if time.monotonic() >= until:
                self.stdout.write("Another process is delivering; it has been told to look again.")
                break
            stop.wait(WAIT_FOR_SLOT)
        waiting = Delivery.objects.filter(status__in=[Delivery.Status.PENDING, Delivery.Status.LEASED]).count()
        delivered, failed = (tally.delivered, tally.failed) if tally else (0, 0)
        self.stdout.write(f"{delivered} delivered, {failed} failed, {waiting} pending")
