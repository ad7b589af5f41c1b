"""Webhook: which event is POSTed to which URL."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from openedx_webhooks import signing
from openedx_webhooks.data import Encoding


class Webhook(models.Model):
    """One event, or a pattern of events, and the URL that receives it.

    The table is the published package's (docs/decisions/0003): columns that it does not know are nullable, so
    that a site can go back to it and still insert. ``format`` is NULL in a row that it wrote: ``legacy``.

    .. no_pii: Holds configuration of the site, nothing about a person.
    """

    class Format(models.TextChoices):
        """How the body is written."""

        DEFAULT = "default", _("Default (JSON)")
        CLOUDEVENTS = "cloudevents", _("CloudEvents 1.0 (JSON)")
        LEGACY = "legacy", _("Legacy (as openedx-webhooks before 23)")

    id = models.AutoField(primary_key=True)
    created = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    modified = models.DateTimeField(_("modified"), auto_now=True)
    description = models.TextField(_("description"), null=True, blank=True, default="")
    event = models.CharField(
        _("event"),
        max_length=255,
        help_text=_("A signal's name, its event_type, or a pattern over either, such as COURSE_ENROLLMENT_*."),
    )
    webhook_url = models.CharField(_("Webhook URL"), max_length=255)
    enabled = models.BooleanField(_("enabled"), default=True)
    use_www_form_encoding = models.BooleanField(_("Use WWW form encoding"), default=False)
    format = models.CharField(_("format"), max_length=20, null=True, choices=Format.choices, default=Format.DEFAULT)
    secret = models.CharField(_("secret"), max_length=255, null=True, blank=True, default=signing.generate_secret)
    previous_secret = models.CharField(_("previous secret"), max_length=255, null=True, blank=True)
    previous_secret_until = models.DateTimeField(_("previous secret signs until"), null=True, blank=True)
    headers = models.TextField(
        _("custom headers"), null=True, blank=True, default="", help_text=_("One 'Name: value' on each line.")
    )
    timeout = models.FloatField(_("timeout in seconds"), null=True, blank=True)
    courses = models.TextField(
        _("courses"), null=True, blank=True, default="", help_text=_("One pattern over course keys on each line.")
    )
    organizations = models.TextField(
        _("organizations"), null=True, blank=True, default="", help_text=_("One pattern on each line.")
    )

    class Meta:
        verbose_name = _("Webhook")
        verbose_name_plural = _("Webhooks")

    def __str__(self) -> str:
        return f"{self.event} -> {self.webhook_url}"

    @property
    def encoding(self) -> Encoding:
        """How this webhook's bodies are written: its format and its form switch in one value."""
        if self.format in (None, self.Format.LEGACY):
            return Encoding.LEGACY_FORM if self.use_www_form_encoding else Encoding.LEGACY
        if self.use_www_form_encoding:
            return Encoding.FORM
        return Encoding(self.format)
