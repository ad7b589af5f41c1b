"""The health of a webhook, in a table of its own that the request never touches."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from openedx_webhooks.models.webhook import Webhook


class WebhookHealth(models.Model):
    """How a webhook's receiver has been answering, and whether its deliveries are parked.

    ``failing_since`` is NULL while it answers. ``paused_at`` parks its deliveries until a person resumes it.
    ``refused_at`` says that the egress policy refuses its address: deliveries park, and one of them is tried
    every minute, which sends nothing while it is refused. ``hold_until`` is the database's UTC.

    .. no_pii: Says how a server answers.
    """

    webhook = models.OneToOneField(
        Webhook, primary_key=True, on_delete=models.CASCADE, db_constraint=False, related_name="health"
    )
    failures = models.PositiveIntegerField(_("consecutive failures"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True)
    last_success_at = models.DateTimeField(_("last success"), null=True)
    last_failure_at = models.DateTimeField(_("last failure"), null=True)
    last_error = models.CharField(_("last error"), max_length=255, blank=True)
    hold_until = models.DateTimeField(
        _("held until"),
        null=True,
        help_text=_("Nothing is sent before: Retry-After, a probe's pace, a refused address."),
    )
    paused_at = models.DateTimeField(_("paused"), null=True)
    pause_reason = models.CharField(_("reason"), max_length=255, blank=True)
    refused_at = models.DateTimeField(_("address refused"), null=True)
    refusal = models.CharField(_("refusal"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("Webhook health")
        verbose_name_plural = _("Webhook health")

    def __str__(self) -> str:
        return f"{self.webhook_id}: {self.last_error or 'ok'}"
