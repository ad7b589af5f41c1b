"""Webhook: which event is POSTed to which URL."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import connections, models, transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from openedx_webhooks import app_settings, signing
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.data import Encoding
from openedx_webhooks.egress import policy
from openedx_webhooks.exceptions import WebhooksError
from openedx_webhooks.models import lines
from openedx_webhooks.models.clock import execute, fetch, numbers, utc_now_sql

MIN_TIMEOUT, MAX_TIMEOUT = 0.1, 60.0
"""Seconds; what ``OPENEDX_WEBHOOKS_TIMEOUT`` may be as well."""


def effective_timeout(seconds: float | None) -> float:
    """Return the timeout that a webhook's column stands for: the setting where it is NULL, never beyond the bounds.

    A row written from code or SQL is not validated, and a lease must outlast its request.
    """
    return min(max(app_settings.TIMEOUT() if seconds is None else seconds, MIN_TIMEOUT), MAX_TIMEOUT)


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
        return f"{self.event} -> {lines.host(self.webhook_url)}"

    @property
    def encoding(self) -> Encoding:
        """How this webhook's bodies are written: its format and its form switch in one value."""
        if self.format in (None, self.Format.LEGACY):
            return Encoding.LEGACY_FORM if self.use_www_form_encoding else Encoding.LEGACY
        if self.use_www_form_encoding:
            return Encoding.FORM
        return Encoding(self.format)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Take blanks off, and complete a row of the published package, before the fields are judged."""
        self.event, self.webhook_url = self.event.strip(), self.webhook_url.strip()
        self.format = self.format or self.Format.LEGACY
        self.secret = self.secret or signing.generate_secret()
        super().clean_fields(exclude=exclude)

    def clean(self) -> None:
        """Raise ValidationError, by field and in sentences for the operator, for what could never be delivered.

        An address that the egress policy refuses is none of it: DNS may differ where one saves.
        """
        errors = {
            "event": self._event_problem(),
            "webhook_url": _problem(policy.parse_url, self.webhook_url),
            "use_www_form_encoding": self._encoding_problem(),
            "headers": _problem(lines.parse_headers, self.headers),
            "timeout": self._timeout_problem(),
            # Not by the field's name: the admin's form does not hold it.
            NON_FIELD_ERRORS: _problem(signing.decode_secret, self.secret),
        }
        found = {name: problem for name, problem in errors.items() if problem}
        if found:
            raise ValidationError(found)

    def _event_problem(self) -> str:
        if catalog.find(self.event) or self._event_is_stored():
            return ""
        suggestions = catalog.suggest(self.event)
        if not suggestions:
            return gettext("No event of this platform has this name or matches this pattern.")
        return gettext("No event of this platform has this name or matches this pattern. Did you mean %(names)s?") % {
            "names": gettext(" or ").join(suggestions)
        }

    def _event_is_stored(self) -> bool:
        # A row of another release's event can still be switched off, and edited back.
        return bool(self.pk) and type(self).objects.filter(pk=self.pk, event=self.event).exists()

    def _encoding_problem(self) -> str:
        if self.use_www_form_encoding and self.format == self.Format.CLOUDEVENTS:
            return gettext("CloudEvents are JSON: choose another format, or switch the form encoding off.")
        return ""

    def _timeout_problem(self) -> str:
        if self.timeout is None or MIN_TIMEOUT <= self.timeout <= MAX_TIMEOUT:
            return ""
        return gettext("A timeout lies between %(min)s and %(max)s seconds.") % {"min": MIN_TIMEOUT, "max": MAX_TIMEOUT}


def _problem(parse: Callable[[str], object], text: str | None) -> str:
    """Return the sentence with which ``parse`` refuses a text; none where it takes it."""
    try:
        parse(text or "")
    except WebhooksError as error:
        return str(error)
    return ""


ENDED_AT_ONCE = 500
"""Deliveries that deleting a webhook ends itself: a person waits for it, and a paused one may have left a million."""

_END = """
UPDATE openedx_webhooks_delivery
   SET status = 'failed', reason = 'deleted', token = NULL, finished_at = {now}
 WHERE id IN ({ids}) AND status IN ('leased', 'pending')
"""
_WAITING = (
    "SELECT id FROM openedx_webhooks_delivery WHERE webhook_id = %s AND status IN ('leased', 'pending')"
    " ORDER BY status LIMIT %s"
)


@receiver(post_delete, sender=Webhook, dispatch_uid="openedx_webhooks.end_deliveries")
def _end_deliveries_later(instance: Webhook, using: str, **_signal: Any) -> None:
    """Have what waits for a deleted webhook ended after the commit: events go on being written beside the deletion."""
    transaction.on_commit(partial(_end_deliveries, instance.pk, using), using=using, robust=True)


def _end_deliveries(webhook_id: int, using: str) -> None:
    """Fail what waits for a webhook, leased ones first; ``deliveries.expiry`` ends what is left.

    A plain read, then an UPDATE by primary key, as the engine does it: one statement that seeks by the index would
    lock its gaps, and the INSERTs of learners' requests wait for them or deadlock.
    """
    connection = connections[using]
    ids = [row[0] for row in fetch(connection, _WAITING, [webhook_id, ENDED_AT_ONCE])]
    if ids:
        execute(connection, _END.format(now=utc_now_sql(connection), ids=numbers(sorted(ids))))
