"""Configure a webhook in code: in a shell of the LMS, or in a migration of the site's own."""

from openedx_webhooks.models import Webhook

webhook = Webhook(event="COURSE_ENROLLMENT_CREATED", webhook_url="https://crm.example.com/hooks/openedx")
webhook.full_clean()  # the checks of the form: the event exists, the URL can be called
webhook.save()
print(webhook.secret)
