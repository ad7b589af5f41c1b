"""The published package's two tables, as its migrations 0001 to 0007 leave them (docs/decisions/0003)."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """On a site that ran the published package, recorded as applied and not run."""

    replaces = [
        ("openedx_webhooks", "0001_initial"),
        ("openedx_webhooks", "0002_webfilter"),
        ("openedx_webhooks", "0003_auto_20230607_1246"),
        ("openedx_webhooks", "0004_auto_20230613_1033"),
        ("openedx_webhooks", "0005_alter_webfilter_event"),
        ("openedx_webhooks", "0006_alter_webfilter_event"),
        ("openedx_webhooks", "0007_alter_webfilter_event"),
    ]

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Webhook",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("modified", models.DateTimeField(auto_now=True)),
                ("event", models.CharField(max_length=50)),
                ("webhook_url", models.CharField(max_length=255)),
                ("enabled", models.BooleanField(default=True)),
                ("use_www_form_encoding", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="Webfilter",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("modified", models.DateTimeField(auto_now=True)),
                ("description", models.TextField(blank=True)),
                ("event", models.CharField(max_length=50)),
                ("webhook_url", models.CharField(max_length=255)),
                ("enabled", models.BooleanField(default=True)),
                ("disable_halt", models.BooleanField(default=False)),
                ("halt_on_4xx", models.BooleanField(default=False)),
                ("redirect_on_4xx", models.CharField(blank=True, max_length=255)),
                ("halt_on_5xx", models.BooleanField(default=False)),
                ("redirect_on_5xx", models.CharField(blank=True, max_length=255)),
                ("halt_on_request_exception", models.BooleanField(default=False)),
                ("redirect_on_request_exception", models.CharField(blank=True, max_length=255)),
                ("disable_filtering", models.BooleanField(default=False)),
                ("use_www_form_encoding", models.BooleanField(default=False)),
            ],
        ),
    ]
