"""The Django admin's section OPENEDX_WEBHOOKS."""

from openedx_webhooks.admin import deliveries, incident, lernito, webhook

__all__ = ["deliveries", "incident", "lernito", "webhook"]
