"""The tables: what an operator configures, the outbox, and the health of each webhook."""

from openedx_webhooks.models.filter_call import FilterCall, WebfilterCounter
from openedx_webhooks.models.health import WebhookHealth
from openedx_webhooks.models.incident import Incident
from openedx_webhooks.models.lernito import LernitoLock, LernitoOrder
from openedx_webhooks.models.outbox import Attempt, Delivery, DrainSlot, Event
from openedx_webhooks.models.webfilter import Webfilter
from openedx_webhooks.models.webhook import Webhook

__all__ = [
    "Attempt",
    "Delivery",
    "DrainSlot",
    "Event",
    "FilterCall",
    "Incident",
    "LernitoLock",
    "LernitoOrder",
    "Webfilter",
    "WebfilterCounter",
    "Webhook",
    "WebhookHealth",
]
