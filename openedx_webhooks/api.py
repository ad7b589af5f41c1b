"""The Python API: what the admin, the commands and other programs call. Plain arguments and values.

A function that switches, pauses, resumes, rotates or tests raises ``Webhook.DoesNotExist`` where there is none of this
``webhook_id``; ``forget_failures`` and ``waiting`` pass over it. A change is live in every process within
``OPENEDX_WEBHOOKS_CONFIG_TTL`` seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from enum import StrEnum

from django.db import connections, router, transaction
from django.db.models import Q
from django.utils import timezone
from openedx_events.data import EventsMetadata

from openedx_webhooks import signing, wakeup
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.data import Subscription
from openedx_webhooks.deliveries import outbox
from openedx_webhooks.deliveries import replay as replaying
from openedx_webhooks.models import Delivery, Webhook, WebhookHealth
from openedx_webhooks.models.clock import fetch
from openedx_webhooks.payloads import samples

ROTATION = timedelta(hours=24)
"""How long the previous secret signs beside the new one."""

TEST_SOURCE = "openedx_webhooks/test"
"""What the ``source`` of a test event says in place of the service."""

NOT_LIVE = Q(enabled=False) | Q(health__paused_at__isnull=False) | Q(health__refused_at__isnull=False)
"""Which webhooks' pending deliveries are parked."""


class State(StrEnum):
    """Where a webhook stands; of several that hold, the first in this order."""

    OFF = "off"
    """Switched off by a person or by the receiver's 410: nothing new is recorded, what waits is parked."""
    PAUSED = "paused"
    """Paused by a person, or after DISABLE_AFTER of nothing but failure: events are recorded and parked."""
    REFUSED = "refused"
    """It cannot be called: the egress policy refuses its address, or its URL, secret or headers cannot be used. Events
    are recorded and parked."""
    FAILING = "failing"
    """Its receiver does not accept at present: deliveries are retried."""
    LIVE = "live"

    @property
    def parks(self) -> bool:
        """Whether pending deliveries wait until a person does something."""
        return self in (State.OFF, State.PAUSED, State.REFUSED)


def state_of(webhook: Webhook) -> State:
    """Return where a webhook stands, from its row and its health (fetch with ``select_related("health")``)."""
    health: WebhookHealth | None = getattr(webhook, "health", None)
    if not webhook.enabled:
        return State.OFF
    if health is None:
        return State.LIVE
    if health.paused_at:
        return State.PAUSED
    if health.refused_at:
        return State.REFUSED
    return State.FAILING if health.failing_since else State.LIVE


def set_enabled(webhook_id: int, *, enabled: bool) -> None:
    """Switch a webhook on or off. What waited for it goes out once it is on."""
    with _transaction():
        webhook = Webhook.objects.select_for_update().get(pk=webhook_id)
        webhook.enabled = enabled
        webhook.save(update_fields=["enabled", "modified"])
        if enabled:
            _give_time_again(webhook_id)
    _wake_up()


def pause_webhook(webhook_id: int, reason: str) -> None:
    """Park a webhook's deliveries until it is resumed; its events go on being recorded.

    ``reason`` is a sentence for a person, cut to 255 characters. A webhook that is paused already keeps the time
    it was paused at.
    """
    with _transaction():
        Webhook.objects.select_for_update().get(pk=webhook_id)
        health, _ = WebhookHealth.objects.get_or_create(webhook_id=webhook_id)
        health.paused_at = health.paused_at or timezone.now()
        health.pause_reason = reason[:255]
        health.save(update_fields=["paused_at", "pause_reason"])


def resume_webhook(webhook_id: int) -> None:
    """Let a paused webhook's deliveries go out again, in order."""
    with _transaction():
        Webhook.objects.select_for_update().get(pk=webhook_id)
        WebhookHealth.objects.filter(pk=webhook_id).update(paused_at=None, pause_reason="", hold_until=None)
        _give_time_again(webhook_id)
    _wake_up()


def forget_failures(webhook_id: int) -> None:
    """Take a webhook for healthy until it shows otherwise: its URL was changed, what is known is of the old one."""
    WebhookHealth.objects.filter(pk=webhook_id).update(
        failures=0, failing_since=None, last_error="", hold_until=None, refused_at=None, refusal=""
    )
    _wake_up()


def rotate_secret(webhook_id: int) -> str:
    """Give a webhook a new secret and return it; the previous one signs along for ``ROTATION``.

    A secret that was previous already signs no longer: two are enough for a receiver to change over.
    """
    with _transaction():
        webhook = Webhook.objects.select_for_update().get(pk=webhook_id)
        webhook.previous_secret = webhook.secret or None
        webhook.previous_secret_until = timezone.now() + ROTATION if webhook.secret else None
        webhook.secret = signing.generate_secret()
        webhook.save(update_fields=["secret", "previous_secret", "previous_secret_until", "modified"])
    return webhook.secret


def replay(delivery_ids: Iterable[int]) -> int:
    """Send deliveries again that were delivered or failed, with the same ``webhook-id``; return how many.

    One whose webhook is paused or switched off waits parked. See ``deliveries.replay``.
    """
    changed = replaying.replay(delivery_ids)
    if changed:
        _wake_up()
    return changed


def send_test_event(webhook_id: int) -> str | None:
    """Queue a sample of the first event that a webhook's pattern means; return that event's name.

    None where the pattern means no event of this release. It is a delivery like any other (signed, retried,
    logged, parked where the webhook is), to this webhook alone and whatever courses it is limited to. What tells
    it from a real one is ``event_metadata.source``: ``TEST_SOURCE``.
    """
    webhook = Webhook.objects.get(pk=webhook_id)
    entry = next(iter(catalog.find(webhook.event)), None)
    if entry is None:
        return None
    metadata = EventsMetadata(event_type=entry.event_type, minorversion=entry.signal.minor_version, source=TEST_SOURCE)
    target = Subscription(webhook_id=webhook.pk, pattern=webhook.event, encoding=webhook.encoding)
    outbox.record(entry.event_type, samples.sample(entry), metadata, [target])
    return entry.name


def _transaction() -> AbstractContextManager[None]:
    """Return a transaction of the database that holds our tables, which need not be the default one."""
    return transaction.atomic(using=router.db_for_write(Webhook))


def _give_time_again(webhook_id: int) -> None:
    # Else DISABLE_AFTER, counted from the first failure long ago, would pause it again at the next one. It goes
    # on counting as failing, so that it is probed with one delivery before the whole backlog goes out.
    WebhookHealth.objects.filter(pk=webhook_id, failing_since__isnull=False).update(failing_since=timezone.now())


def _wake_up() -> None:
    transaction.on_commit(wakeup.notify, using=router.db_for_write(Webhook), robust=True)


def waiting(webhook_ids: Iterable[int], *, limit: int = 1000) -> dict[int, int]:
    """Return how many deliveries of each webhook are pending, parked ones included, counted up to ``limit``.

    One query that reads at most ``limit`` entries of an index per webhook, however many wait. Give it a page of
    webhooks at a time.
    """
    ids = list(webhook_ids)
    if not ids:
        return {}
    connection = connections[router.db_for_read(Delivery)]
    sql = " UNION ALL ".join([_WAITING] * len(ids))
    params = [value for webhook_id in ids for value in (webhook_id, webhook_id, limit)]
    return {int(webhook_id): int(count) for webhook_id, count in fetch(connection, sql, params)}


_WAITING = """
SELECT %s, COUNT(*) FROM
  (SELECT 1 FROM openedx_webhooks_delivery WHERE status = 'pending' AND webhook_id = %s LIMIT %s) pending
"""
