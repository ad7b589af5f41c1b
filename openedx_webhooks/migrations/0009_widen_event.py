"""Room for event types and patterns: the longest event_type is 68 characters, a filter_type 72."""

from typing import Any

from django.db import migrations, models


class Widen(migrations.AlterField):
    """A field that stays wide on the way back.

    The published package does well with a wider column, and a strict database refuses to narrow one that a longer
    text is in: the way back would stop there, with all later migrations undone.
    """

    def database_backwards(self, *_args: Any) -> None:
        """Leave the column as it is."""


class Migration(migrations.Migration):
    """Numbered behind 0008, which the published package used."""

    dependencies = [("openedx_webhooks", "0001_squashed_0007")]

    operations = [
        Widen("webhook", "event", models.CharField(max_length=255)),
        Widen("webfilter", "event", models.CharField(max_length=255)),
    ]
