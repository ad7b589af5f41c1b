"""The Django admin's section OPENEDX_WEBHOOKS."""

from openedx_webhooks.admin import deliveries, incident, webhook

__all__ = ["deliveries", "incident", "webhook"]
