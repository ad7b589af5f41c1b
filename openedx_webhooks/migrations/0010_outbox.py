"""The outbox, the health of webhooks, and the columns that are ours in the published package's tables."""

import django.db.models.deletion
import django.utils.timezone
import openedx_webhooks.signing
from django.db import migrations, models


class Migration(migrations.Migration):
    """Everything that version 23 adds for webhooks."""

    dependencies = [
        ('openedx_webhooks', '0009_widen_event'),
    ]

    operations = [
        migrations.CreateModel(
            name='DrainSlot',
            fields=[
                ('id', models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ('token', models.CharField(max_length=32, null=True, verbose_name='token')),
                ('until', models.DateTimeField(null=True, verbose_name='held until')),
                ('marked', models.BooleanField(default=False, verbose_name='marked')),
                ('wake_at', models.DateTimeField(help_text='For when a wake-up is on its way; saves sending a second one.', null=True, verbose_name='next wake-up')),
            ],
            options={
                'verbose_name': 'Drain slot',
                'verbose_name_plural': 'Drain slots',
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.CharField(max_length=64, verbose_name='webhook-id')),
                ('name', models.CharField(db_index=True, max_length=255, verbose_name='event')),
                ('event_type', models.CharField(max_length=255, verbose_name='event_type')),
                ('created', models.DateTimeField(verbose_name='created')),
                ('course_keys', models.TextField(blank=True, help_text='One key on each line.', verbose_name='course keys')),
                ('body', models.TextField(help_text='JSON, ASCII-escaped, in the default format.', verbose_name='body')),
                ('other_bodies', models.TextField(help_text='A JSON object: the body in each other encoding that was asked for.', null=True, verbose_name='other bodies')),
                ('to_fan_out', models.BooleanField(db_index=True, default=False, help_text='Too many webhooks for the request: a drain writes the deliveries.', verbose_name='to fan out')),
                ('fan_out', models.TextField(help_text='A JSON list of [webhook id, encoding], while it is to fan out.', null=True, verbose_name='fan out to')),
            ],
            options={
                'verbose_name': 'Event',
                'verbose_name_plural': 'Events',
            },
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('kind', models.CharField(max_length=50, primary_key=True, serialize=False, verbose_name='kind')),
                ('count', models.PositiveBigIntegerField(default=0, verbose_name='count')),
                ('first_at', models.DateTimeField(verbose_name='first')),
                ('last_at', models.DateTimeField(verbose_name='last')),
                ('detail', models.CharField(blank=True, max_length=255, verbose_name='last detail')),
            ],
            options={
                'verbose_name': 'Incident',
                'verbose_name_plural': 'Incidents',
            },
        ),
        migrations.CreateModel(
            name='WebhookHealth',
            fields=[
                ('webhook', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='health', serialize=False, to='openedx_webhooks.webhook')),
                ('failures', models.PositiveIntegerField(default=0, verbose_name='consecutive failures')),
                ('failing_since', models.DateTimeField(null=True, verbose_name='failing since')),
                ('last_success_at', models.DateTimeField(null=True, verbose_name='last success')),
                ('last_failure_at', models.DateTimeField(null=True, verbose_name='last failure')),
                ('last_error', models.CharField(blank=True, max_length=255, verbose_name='last error')),
                ('hold_until', models.DateTimeField(help_text="Nothing is sent before: Retry-After, a probe's pace, a refused address.", null=True, verbose_name='held until')),
                ('paused_at', models.DateTimeField(null=True, verbose_name='paused')),
                ('pause_reason', models.CharField(blank=True, max_length=255, verbose_name='reason')),
                ('refused_at', models.DateTimeField(null=True, verbose_name='address refused')),
                ('refusal', models.CharField(blank=True, max_length=255, verbose_name='refusal')),
            ],
            options={
                'verbose_name': 'Webhook health',
                'verbose_name_plural': 'Webhook health',
            },
        ),
        migrations.AlterModelOptions(
            name='webfilter',
            options={'verbose_name': 'Webfilter', 'verbose_name_plural': 'Webfilters'},
        ),
        migrations.AlterModelOptions(
            name='webhook',
            options={'verbose_name': 'Webhook', 'verbose_name_plural': 'Webhooks'},
        ),
        migrations.AddField(
            model_name='webhook',
            name='courses',
            field=models.TextField(blank=True, default='', help_text='One pattern over course keys on each line.', null=True, verbose_name='courses'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='description',
            field=models.TextField(blank=True, default='', null=True, verbose_name='description'),
        ),
        # Added without its default, so that rows of the published package keep NULL.
        migrations.AddField(
            model_name='webhook',
            name='format',
            field=models.CharField(choices=[('default', 'Default (JSON)'), ('cloudevents', 'CloudEvents 1.0 (JSON)'), ('legacy', 'Legacy (as openedx-webhooks before 23)')], max_length=20, null=True, verbose_name='format'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='format',
            field=models.CharField(choices=[('default', 'Default (JSON)'), ('cloudevents', 'CloudEvents 1.0 (JSON)'), ('legacy', 'Legacy (as openedx-webhooks before 23)')], default='default', max_length=20, null=True, verbose_name='format'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='headers',
            field=models.TextField(blank=True, default='', help_text="One 'Name: value' on each line.", null=True, verbose_name='custom headers'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='organizations',
            field=models.TextField(blank=True, default='', help_text='One pattern on each line.', null=True, verbose_name='organizations'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='previous_secret',
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name='previous secret'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='previous_secret_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='previous secret signs until'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='secret',
            field=models.CharField(blank=True, max_length=255, null=True, verbose_name='secret'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='secret',
            field=models.CharField(blank=True, default=openedx_webhooks.signing.generate_secret, max_length=255, null=True, verbose_name='secret'),
        ),
        migrations.AddField(
            model_name='webhook',
            name='timeout',
            field=models.FloatField(blank=True, null=True, verbose_name='timeout in seconds'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='created',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='description',
            field=models.TextField(blank=True, verbose_name='description'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='disable_filtering',
            field=models.BooleanField(default=False, verbose_name='Disable filtering'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='disable_halt',
            field=models.BooleanField(default=False, verbose_name='Disable halting'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='enabled',
            field=models.BooleanField(default=True, verbose_name='enabled'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='event',
            field=models.CharField(max_length=255, verbose_name='event'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='halt_on_4xx',
            field=models.BooleanField(default=False, verbose_name='Halt on 4xx'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='halt_on_5xx',
            field=models.BooleanField(default=False, verbose_name='Halt on 5xx'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='halt_on_request_exception',
            field=models.BooleanField(default=False, verbose_name='Halt on request exception'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='modified',
            field=models.DateTimeField(auto_now=True, verbose_name='modified'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='redirect_on_4xx',
            field=models.CharField(blank=True, max_length=255, verbose_name='Redirect on 4xx'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='redirect_on_5xx',
            field=models.CharField(blank=True, max_length=255, verbose_name='Redirect on 5xx'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='redirect_on_request_exception',
            field=models.CharField(blank=True, max_length=255, verbose_name='Redirect on request exception'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='use_www_form_encoding',
            field=models.BooleanField(default=False, verbose_name='Use WWW form encoding'),
        ),
        migrations.AlterField(
            model_name='webfilter',
            name='webhook_url',
            field=models.CharField(max_length=255, verbose_name='Webhook URL'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='created',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='enabled',
            field=models.BooleanField(default=True, verbose_name='enabled'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='event',
            field=models.CharField(help_text="A signal's name, its event_type, or a pattern over either, such as COURSE_ENROLLMENT_*.", max_length=255, verbose_name='event'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='modified',
            field=models.DateTimeField(auto_now=True, verbose_name='modified'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='use_www_form_encoding',
            field=models.BooleanField(default=False, verbose_name='Use WWW form encoding'),
        ),
        migrations.AlterField(
            model_name='webhook',
            name='webhook_url',
            field=models.CharField(max_length=255, verbose_name='Webhook URL'),
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('encoding', models.CharField(max_length=20, verbose_name='encoding')),
                ('size', models.PositiveIntegerField(default=0, help_text='Of the body; bounds a claim.', verbose_name='size in bytes')),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('leased', 'Leased'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10, verbose_name='status')),
                ('due_at', models.DateTimeField(help_text='While leased: when the lease ends.', verbose_name='next due')),
                ('token', models.CharField(help_text='The claim that holds the lease.', max_length=32, null=True, verbose_name='token')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('created', models.DateTimeField(verbose_name='created')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='finished')),
                ('last_status', models.PositiveSmallIntegerField(null=True, verbose_name='last HTTP status')),
                ('last_error', models.CharField(blank=True, max_length=255, verbose_name='last error')),
                ('reason', models.CharField(blank=True, choices=[('exhausted', 'Every scheduled attempt failed'), ('expired', 'Parked for longer than the retention'), ('gone', 'The receiver answered 410'), ('deleted', 'The webhook was deleted'), ('unreadable', 'The event cannot be read')], max_length=20, verbose_name='reason')),
                ('webhook', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='deliveries', to='openedx_webhooks.webhook')),
                ('event', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='deliveries', to='openedx_webhooks.event')),
            ],
            options={
                'verbose_name': 'Delivery',
                'verbose_name_plural': 'Deliveries',
            },
        ),
        migrations.CreateModel(
            name='Attempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(verbose_name='number')),
                ('started_at', models.DateTimeField(verbose_name='started')),
                ('duration', models.PositiveIntegerField(verbose_name='duration in ms')),
                ('url', models.CharField(max_length=255, verbose_name='URL')),
                ('status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status')),
                ('request_headers', models.TextField(blank=True, verbose_name='request headers')),
                ('response_headers', models.TextField(blank=True, verbose_name='response headers')),
                ('response_body', models.TextField(blank=True, verbose_name='response body')),
                ('error', models.CharField(blank=True, max_length=255, verbose_name='error')),
                ('delivery', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='log', to='openedx_webhooks.delivery')),
            ],
            options={
                'verbose_name': 'Attempt',
                'verbose_name_plural': 'Attempts',
            },
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['status', 'webhook', 'due_at'], name='openedx_webhooks_claim'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['status', 'due_at', 'webhook'], name='openedx_webhooks_due'),
        ),
    ]
