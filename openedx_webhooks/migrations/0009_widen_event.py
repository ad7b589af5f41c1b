"""Room for event types and patterns: the longest event_type is 68 characters, a filter_type 72."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Numbered behind 0008, which the published package used."""

    dependencies = [("openedx_webhooks", "0001_squashed_0007")]

    operations = [
        migrations.AlterField("webhook", "event", models.CharField(max_length=255)),
        migrations.AlterField("webfilter", "event", models.CharField(max_length=255)),
    ]
