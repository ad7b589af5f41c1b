"""Webfilter: which filter asks which URL first."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Webfilter(models.Model):
    """One filter and the URL that is asked before the platform goes on.

    The table is the published package's (docs/decisions/0003).

    .. no_pii: Holds configuration of the site, nothing about a person.
    """

    id = models.AutoField(primary_key=True)
    created = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    modified = models.DateTimeField(_("modified"), auto_now=True)
    description = models.TextField(_("description"), blank=True)
    event = models.CharField(_("event"), max_length=255)
    webhook_url = models.CharField(_("Webhook URL"), max_length=255)
    enabled = models.BooleanField(_("enabled"), default=True)
    disable_halt = models.BooleanField(_("Disable halting"), default=False)
    halt_on_4xx = models.BooleanField(_("Halt on 4xx"), default=False)
    redirect_on_4xx = models.CharField(_("Redirect on 4xx"), max_length=255, blank=True)
    halt_on_5xx = models.BooleanField(_("Halt on 5xx"), default=False)
    redirect_on_5xx = models.CharField(_("Redirect on 5xx"), max_length=255, blank=True)
    halt_on_request_exception = models.BooleanField(_("Halt on request exception"), default=False)
    redirect_on_request_exception = models.CharField(_("Redirect on request exception"), max_length=255, blank=True)
    disable_filtering = models.BooleanField(_("Disable filtering"), default=False)
    use_www_form_encoding = models.BooleanField(_("Use WWW form encoding"), default=False)

    class Meta:
        verbose_name = _("Webfilter")
        verbose_name_plural = _("Webfilters")

    def __str__(self) -> str:
        return f"{self.event} -> {self.webhook_url}"
