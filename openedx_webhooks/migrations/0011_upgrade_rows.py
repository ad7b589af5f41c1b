"""Rows of the published package: their bodies stay as they are, each gets a secret, ten names are corrected."""

from django.db import migrations

from openedx_webhooks.signing import generate_secret

NEVER_MATCHED = {
    "StudentSettingsRenderStarted": "AccountSettingsRenderStarted",
    "XblockRenderStarted": "RenderXBlockStarted",
    "CourseHomepageUrlCreationStarted": "CourseHomeUrlCreationStarted",
    "HomeEnrollmentApiRendered": "CourseEnrollmentAPIRenderStarted",
    "HomeCourserunApiRenderedStarted": "CourseRunAPIRenderStarted",
    "OraSubmissionViewRenderStarted": "ORASubmissionViewRenderStarted",
    "IdvPageUrlRequested": "IDVPageURLRequested",
    "CourseAboutPageUrlRequested": "CourseAboutPageURLRequested",
    "ScheduleQuerysetRequested": "ScheduleQuerySetRequested",
    "AuthoringLmsPageUrlRequested": "LMSPageURLRequested",
}
"""Filter names that older versions offered and that no filter has, with the name that was meant."""

NOTE = (
    "Switched off by the upgrade to openedx-webhooks 23: its event was stored as {old}, a name that no filter has, "
    "so it was never called. The name is now {new}. Enable it to have it called from now on."
)


def keep_bodies_and_give_secrets(apps, schema_editor):
    """Mark the old rows ``legacy`` and give each a secret of its own; ``modified`` stays as it was."""
    rows = apps.get_model("openedx_webhooks", "Webhook").objects.using(schema_editor.connection.alias)
    rows.filter(format=None).update(format="legacy")
    for pk in list(rows.filter(secret=None).values_list("pk", flat=True)):
        rows.filter(pk=pk, secret=None).update(secret=generate_secret())


def correct_names(apps, schema_editor):
    """Rename the rows that never matched a filter, and switch them off: nothing starts to be called unasked.

    Compared here and not in SQL, where MySQL takes ``IDVPageURLRequested`` for ``IdvPageUrlRequested`` and
    would switch off the right ones.
    """
    rows = apps.get_model("openedx_webhooks", "Webfilter").objects.using(schema_editor.connection.alias)
    for pk, old, description in list(rows.values_list("pk", "event", "description")):
        new = NEVER_MATCHED.get(old)
        if new:
            note = NOTE.format(old=old, new=new)
            rows.filter(pk=pk).update(
                event=new, enabled=False, description=f"{description}\n\n{note}" if description else note
            )


class Migration(migrations.Migration):
    """Going back changes nothing: the old package reads these rows as they are."""

    dependencies = [("openedx_webhooks", "0010_outbox")]

    operations = [
        migrations.RunPython(keep_bodies_and_give_secrets, migrations.RunPython.noop),
        migrations.RunPython(correct_names, migrations.RunPython.noop),
    ]
