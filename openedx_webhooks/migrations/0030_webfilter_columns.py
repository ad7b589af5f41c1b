"""What version 23 adds to webfilters: their own columns, their calls and their counters."""

import django.db.models.deletion
import openedx_webhooks.signing
from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns of the published package's table are nullable, so that a site can go back to it."""

    dependencies = [
        ('openedx_webhooks', '0020_lernito_order'),
    ]

    operations = [
        migrations.CreateModel(
            name='WebfilterCounter',
            fields=[
                ('webfilter', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='counter', serialize=False, to='openedx_webhooks.webfilter')),
                ('calls', models.PositiveBigIntegerField(default=0, verbose_name='calls')),
                ('unchanged', models.PositiveBigIntegerField(default=0, verbose_name='unchanged')),
                ('changed', models.PositiveBigIntegerField(default=0, verbose_name='changed')),
                ('halted', models.PositiveBigIntegerField(default=0, verbose_name='halted')),
                ('failed', models.PositiveBigIntegerField(default=0, verbose_name='failed')),
                ('milliseconds', models.PositiveBigIntegerField(default=0, verbose_name='milliseconds in all')),
                ('last_call_at', models.DateTimeField(null=True, verbose_name='last call')),
            ],
            options={
                'verbose_name': 'Webfilter counter',
                'verbose_name_plural': 'Webfilter counters',
            },
        ),
        migrations.AddField(
            model_name='webfilter',
            name='allow_html',
            field=models.BooleanField(default=False, help_text='What it writes into pages, forms, accounts and messages may hold HTML. Only for a receiver you trust.', null=True, verbose_name='allow HTML'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='courses',
            field=models.TextField(blank=True, default='', help_text='One pattern over course keys on each line.', null=True, verbose_name='courses'),
        ),
        # Added without its default, so that rows of the published package keep NULL.
        migrations.AddField(
            model_name='webfilter',
            name='format',
            field=models.CharField(choices=[('default', 'Default (JSON)'), ('legacy', 'Legacy (as openedx-webhooks before 23)')], max_length=20, null=True, verbose_name='format'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='format',
            field=models.CharField(choices=[('default', 'Default (JSON)'), ('legacy', 'Legacy (as openedx-webhooks before 23)')], default='default', max_length=20, null=True, verbose_name='format'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='headers',
            field=models.TextField(blank=True, default='', help_text="One 'Name: value' on each line.", null=True, verbose_name='custom headers'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='organizations',
            field=models.TextField(blank=True, default='', help_text='One pattern on each line.', null=True, verbose_name='organizations'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='previous_secret',
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name='previous secret'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='previous_secret_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='previous secret signs until'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='secret',
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name='secret'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='secret',
            field=models.CharField(blank=True, default=openedx_webhooks.signing.generate_secret, max_length=255, null=True, verbose_name='secret'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='shadow',
            field=models.BooleanField(default=False, help_text='The receiver is asked and its answers are recorded; nothing is changed or halted.', null=True, verbose_name='shadow mode'),
        ),
        migrations.AddField(
            model_name='webfilter',
            name='timeout',
            field=models.FloatField(blank=True, null=True, verbose_name='timeout in seconds'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='disable_filtering',
            field=models.BooleanField(default=False, help_text="The data of the receiver's answers changes nothing.", verbose_name='Disable filtering'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='disable_halt',
            field=models.BooleanField(default=False, help_text="The receiver's answers and failures never stop the process.", verbose_name='Disable halting'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='event',
            field=models.CharField(help_text="A filter's name, its filter_type, or a pattern over either, such as Course*.", max_length=255, verbose_name='event'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='halt_on_request_exception',
            field=models.BooleanField(default=False, help_text='No answer in time, no connection, or an answer that cannot be used.', verbose_name='Halt on request exception'),
        ),
        migrations.CreateModel(
            name='FilterCall',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=64, verbose_name='webhook-id')),
                ('filter_name', models.CharField(max_length=255, verbose_name='filter')),
                ('filter_type', models.CharField(max_length=255, verbose_name='filter_type')),
                ('created', models.DateTimeField(db_index=True, verbose_name='called')),
                ('duration', models.PositiveIntegerField(verbose_name='duration in ms')),
                ('status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status')),
                ('outcome', models.CharField(choices=[('changed', 'Changed'), ('deferred', 'Kept for the login'), ('halted', 'Halted'), ('discarded', 'Discarded'), ('overridden', 'Overridden'), ('would_change', 'Would have changed'), ('would_halt', 'Would have halted'), ('refused', 'Refused'), ('failed', 'Failed')], max_length=20, verbose_name='outcome')),
                ('exception', models.CharField(blank=True, max_length=255, verbose_name='exception')),
                ('detail', models.TextField(blank=True, verbose_name='detail')),
                ('changes', models.TextField(blank=True, verbose_name='changes')),
                ('user_id', models.BigIntegerField(db_index=True, null=True, verbose_name='user id')),
                ('webfilter', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='calls', to='openedx_webhooks.webfilter', verbose_name='webfilter')),
            ],
            options={
                'verbose_name': 'Webfilter call',
                'verbose_name_plural': 'Webfilter calls',
            },
        ),
    ]
