"""The record of accepted Lernito orders, and the rows that equal orders wait on."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Everything that version 23 adds for Lernito."""

    dependencies = [("openedx_webhooks", "0011_upgrade_rows")]

    operations = [
        migrations.CreateModel(
            name='LernitoLock',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'Lernito lock',
                'verbose_name_plural': 'Lernito locks',
            },
        ),
        migrations.CreateModel(
            name='LernitoOrder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False, verbose_name='time')),
                ('source', models.CharField(blank=True, help_text='The network address it came from.', max_length=64, verbose_name='source')),
                ('scheme', models.CharField(help_text='lernito: of the body; sorted-json: of its sorted JSON; standard.', max_length=20, verbose_name='signature')),
                ('email_hmac', models.CharField(db_index=True, max_length=64, verbose_name='keyed hash of the email address')),
                ('user_id', models.BigIntegerField(db_index=True, null=True, verbose_name='user id')),
                ('message', models.CharField(max_length=255, verbose_name='answer')),
                ('results', models.TextField(help_text='One course on each line: its id and its result.', verbose_name='results')),
            ],
            options={
                'verbose_name': 'Lernito order',
                'verbose_name_plural': 'Lernito orders',
            },
        ),
    ]
