"""Webfilters of the published package: their bodies stay as they are, and each gets a secret."""

from django.db import migrations

from openedx_webhooks.signing import generate_secret


def keep_bodies_and_give_secrets(apps, schema_editor):
    """Mark the old rows ``legacy`` and give each a secret of its own; ``modified`` stays as it was."""
    rows = apps.get_model("openedx_webhooks", "Webfilter").objects.using(schema_editor.connection.alias)
    rows.filter(format=None).update(format="legacy")
    for pk in list(rows.filter(secret=None).values_list("pk", flat=True)):
        rows.filter(pk=pk, secret=None).update(secret=generate_secret())


class Migration(migrations.Migration):
    """Going back changes nothing: the old package reads these rows as they are."""

    dependencies = [("openedx_webhooks", "0030_webfilter_columns")]

    operations = [migrations.RunPython(keep_bodies_and_give_secrets, migrations.RunPython.noop)]
