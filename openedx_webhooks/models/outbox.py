"""The outbox: what was emitted, to whom it goes, and how each attempt went.

Rules that keep the learner's request out of waits and deadlocks (docs/decisions/0002): no foreign-key
constraint, no unique key beyond the primary keys, and the request only inserts. Every time that is compared
(``due_at``, ``until``) is the database's UTC, written and read in SQL.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Event(models.Model):
    """One emitted event and its bodies, fixed at emission: every attempt sends the same bytes.

    .. pii: The bodies hold what the platform's event holds: username, email address, name. Purged after
        ``OPENEDX_WEBHOOKS_RETENTION_DAYS``.
    .. pii_types: username, email_address, name, other
    .. pii_retirement: retained
    """

    message_id = models.CharField(_("webhook-id"), max_length=64)
    name = models.CharField(_("event"), max_length=255, db_index=True)
    event_type = models.CharField(_("event_type"), max_length=255)
    created = models.DateTimeField(_("created"))
    course_keys = models.TextField(_("course keys"), blank=True, help_text=_("One key on each line."))
    body = models.TextField(_("body"), help_text=_("JSON, ASCII-escaped, in the default format."))
    other_bodies = models.TextField(
        _("other bodies"), null=True, help_text=_("A JSON object: the body in each other encoding that was asked for.")
    )
    to_fan_out = models.BooleanField(
        _("to fan out"),
        default=False,
        db_index=True,
        help_text=_("Too many webhooks for the request: a drain writes the deliveries."),
    )
    fan_out = models.TextField(
        _("fan out to"), null=True, help_text=_("A JSON list of [webhook id, encoding], while it is to fan out.")
    )

    class Meta:
        verbose_name = _("Event")
        verbose_name_plural = _("Events")

    def __str__(self) -> str:
        return f"{self.name} {self.message_id}"


class Delivery(models.Model):
    """One event on its way to one webhook.

    ``pending`` -> ``leased`` -> ``delivered``, or back to ``pending`` with a later ``due_at``, or ``failed``.
    *Parked* is what a pending delivery of a webhook that is switched off, paused or refused by the address
    policy is: derived from the webhook, never written here.

    .. no_pii: Points to the event; its own columns say how the delivery went.
    """

    class Status(models.TextChoices):
        """Where the delivery stands."""

        PENDING = "pending", _("Pending")
        LEASED = "leased", _("Leased")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")

    class Reason(models.TextChoices):
        """Why it failed for good."""

        EXHAUSTED = "exhausted", _("Every scheduled attempt failed")
        EXPIRED = "expired", _("Parked for longer than the retention")
        GONE = "gone", _("The receiver answered 410")
        DELETED = "deleted", _("The webhook was deleted")
        UNREADABLE = "unreadable", _("The event cannot be read")

    event = models.ForeignKey(Event, on_delete=models.DO_NOTHING, db_constraint=False, related_name="deliveries")
    webhook = models.ForeignKey(
        "openedx_webhooks.Webhook", on_delete=models.DO_NOTHING, db_constraint=False, related_name="deliveries"
    )
    encoding = models.CharField(_("encoding"), max_length=20)
    size = models.PositiveIntegerField(_("size in bytes"), default=0, help_text=_("Of the body; bounds a claim."))
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.PENDING)
    due_at = models.DateTimeField(_("next due"), help_text=_("While leased: when the lease ends."))
    token = models.CharField(_("token"), max_length=32, null=True, help_text=_("The claim that holds the lease."))
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    created = models.DateTimeField(_("created"))
    finished_at = models.DateTimeField(_("finished"), null=True)
    last_status = models.PositiveSmallIntegerField(_("last HTTP status"), null=True)
    last_error = models.CharField(_("last error"), max_length=255, blank=True)
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices, blank=True)

    class Meta:
        verbose_name = _("Delivery")
        verbose_name_plural = _("Deliveries")
        indexes = [
            models.Index(fields=["status", "webhook", "due_at"], name="openedx_webhooks_claim"),
            models.Index(fields=["status", "due_at", "webhook"], name="openedx_webhooks_due"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} -> {self.webhook_id}: {self.status}"


class Attempt(models.Model):
    """One POST of one delivery: what was sent and what came back.

    .. pii: A receiver may answer with what it was sent. Purged with its delivery.
    .. pii_types: username, email_address, name, other
    .. pii_retirement: retained
    """

    delivery = models.ForeignKey(Delivery, on_delete=models.DO_NOTHING, db_constraint=False, related_name="log")
    number = models.PositiveIntegerField(_("number"))
    started_at = models.DateTimeField(_("started"))
    duration = models.PositiveIntegerField(_("duration in ms"))
    url = models.CharField(_("URL"), max_length=255)
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    request_headers = models.TextField(_("request headers"), blank=True)
    response_headers = models.TextField(_("response headers"), blank=True)
    response_body = models.TextField(_("response body"), blank=True)
    error = models.CharField(_("error"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("Attempt")
        verbose_name_plural = _("Attempts")

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"


class DrainSlot(models.Model):
    """One row per drain that may run at a time on this site: who drains, until when, and whether to look again.

    .. no_pii: Holds no data about a person.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)
    token = models.CharField(_("token"), max_length=32, null=True)
    until = models.DateTimeField(_("held until"), null=True)
    marked = models.BooleanField(_("marked"), default=False)
    wake_at = models.DateTimeField(
        _("next wake-up"), null=True, help_text=_("For when a wake-up is on its way; saves sending a second one.")
    )

    class Meta:
        verbose_name = _("Drain slot")
        verbose_name_plural = _("Drain slots")

    def __str__(self) -> str:
        return f"{self.id}: {self.token or 'free'}"
