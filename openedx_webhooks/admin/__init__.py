"""The Django admin's section OPENEDX_WEBHOOKS."""

from openedx_webhooks.admin import deliveries, filter_calls, incident, lernito, webfilter, webhook

__all__ = ["deliveries", "filter_calls", "incident", "lernito", "webfilter", "webhook"]
