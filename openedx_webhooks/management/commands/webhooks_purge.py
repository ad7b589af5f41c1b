"""Delete what is older than the retention: from cron, or once after the retention was shortened."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from openedx_webhooks.deliveries import purge
from openedx_webhooks.models import Attempt, Delivery, Event, FilterCall, LernitoOrder, tables


class Command(BaseCommand):
    """Deletes finished deliveries with their log, events nothing waits for, webfilter calls and Lernito orders."""

    help = "Delete what is older than OPENEDX_WEBHOOKS_RETENTION_DAYS, in small pieces."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take another age, and a trial."""
        parser.add_argument(
            "--days", type=_days, help="Delete what is older than so many days, in place of the setting."
        )
        parser.add_argument("--dry-run", action="store_true", help="Delete nothing, print what would be deleted.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete, and print how many rows of each kind."""
        if tables.missing(Attempt, Delivery, Event, FilterCall, LernitoOrder):
            raise CommandError(tables.MIGRATE)
        counts = purge.purge_all(days=options["days"], dry_run=options["dry_run"])
        for kind in purge.KINDS:
            self.stdout.write(f"{counts[kind]} {kind} {'would be deleted' if options['dry_run'] else 'deleted'}")


def _days(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= purge.MOST_DAYS:
        raise ArgumentTypeError(f"a whole number of days from 1 to {purge.MOST_DAYS} is needed, not {text!r}")
    return int(text)
