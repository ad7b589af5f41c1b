"""Webfilter: which filter asks which URL first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from openedx_webhooks import signing
from openedx_webhooks.catalog import contracts, filters
from openedx_webhooks.data import Encoding
from openedx_webhooks.egress import policy
from openedx_webhooks.exceptions import WebhooksError
from openedx_webhooks.models import lines

MIN_TIMEOUT, MAX_TIMEOUT = 0.1, 30.0
"""Seconds; what ``OPENEDX_WEBHOOKS_FILTER_TIMEOUT`` may be as well."""

ROTATION = timedelta(hours=24)
"""How long the previous secret signs beside the new one."""

SWITCHES = ("4xx", "5xx", "request_exception")
"""The ways to fail that a webfilter has a pair of settings for, ``halt_on_...`` and ``redirect_on_...``."""


class Webfilter(models.Model):
    """One filter, or a pattern of filters, and the URL that is asked before the platform goes on.

    The table is the published package's (docs/decisions/0003): columns that it does not know are nullable, so
    that a site can go back to it and still insert. ``format`` is NULL in a row that it wrote: ``legacy``.

    .. no_pii: Holds configuration of the site, nothing about a person.
    """

    class Format(models.TextChoices):
        """How the body is written."""

        DEFAULT = "default", _("Default (JSON)")
        LEGACY = "legacy", _("Legacy (as openedx-webhooks before 23)")

    id = models.AutoField(primary_key=True)
    created = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    modified = models.DateTimeField(_("modified"), auto_now=True)
    description = models.TextField(_("description"), blank=True)
    event = models.CharField(
        _("event"),
        max_length=255,
        help_text=_("A filter's name, its filter_type, or a pattern over either, such as Course*."),
    )
    webhook_url = models.CharField(_("Webhook URL"), max_length=255)
    enabled = models.BooleanField(_("enabled"), default=True)
    disable_halt = models.BooleanField(
        _("Disable halting"), default=False, help_text=_("The receiver's answers and failures never stop the process.")
    )
    halt_on_4xx = models.BooleanField(_("Halt on 4xx"), default=False)
    redirect_on_4xx = models.CharField(_("Redirect on 4xx"), max_length=255, blank=True)
    halt_on_5xx = models.BooleanField(_("Halt on 5xx"), default=False)
    redirect_on_5xx = models.CharField(_("Redirect on 5xx"), max_length=255, blank=True)
    halt_on_request_exception = models.BooleanField(
        _("Halt on request exception"),
        default=False,
        help_text=_("No answer in time, no connection, or an answer that cannot be used."),
    )
    redirect_on_request_exception = models.CharField(_("Redirect on request exception"), max_length=255, blank=True)
    disable_filtering = models.BooleanField(
        _("Disable filtering"), default=False, help_text=_("The data of the receiver's answers changes nothing.")
    )
    use_www_form_encoding = models.BooleanField(_("Use WWW form encoding"), default=False)
    shadow = models.BooleanField(
        _("shadow mode"),
        null=True,
        default=False,
        help_text=_("The receiver is asked and its answers are recorded; nothing is changed or halted."),
    )
    allow_html = models.BooleanField(
        _("allow HTML"),
        null=True,
        default=False,
        help_text=_(
            "What it writes into pages, forms, accounts and messages may hold HTML. Only for a receiver you trust."
        ),
    )
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
        verbose_name = _("Webfilter")
        verbose_name_plural = _("Webfilters")

    def __str__(self) -> str:
        return f"{self.event} -> {lines.host(self.webhook_url)}"

    @property
    def encoding(self) -> Encoding:
        """How this webfilter's bodies are written: its format and its form switch in one value."""
        if self.format in (None, self.Format.LEGACY):
            return Encoding.LEGACY_FORM if self.use_www_form_encoding else Encoding.LEGACY
        return Encoding.FORM if self.use_www_form_encoding else Encoding.DEFAULT

    def rotate_secret(self) -> str:
        """Take a new secret, save and return it; the old one signs along for ``ROTATION``."""
        self.previous_secret = self.secret or None
        self.previous_secret_until = timezone.now() + ROTATION if self.secret else None
        self.secret = signing.generate_secret()
        self.save(update_fields=["secret", "previous_secret", "previous_secret_until", "modified"])
        return self.secret

    def clean(self) -> None:
        """Raise ValidationError, by field and in sentences for the operator, for what could never work.

        An address that the egress policy refuses is none of it: DNS may differ where one saves.
        """
        self.event, self.webhook_url = self.event.strip(), self.webhook_url.strip()
        self.format = self.format or self.Format.LEGACY
        self.secret = self.secret or signing.generate_secret()
        errors = {
            "event": self._event_problem(),
            "webhook_url": _problem(policy.parse_url, self.webhook_url),
            "headers": _problem(lines.parse_headers, self.headers),
            "timeout": self._timeout_problem(),
            # Not by the field's name: the admin's form does not hold it.
            NON_FIELD_ERRORS: _problem(signing.decode_secret, self.secret),
            **self._switch_problems(),
        }
        found = {name: problem for name, problem in errors.items() if problem}
        if found:
            raise ValidationError(found)

    def _event_problem(self) -> str:
        # A row of another release's filter can still be switched off, and edited back.
        if filters.find(self.event) or self._is_stored({"event": self.event}):
            return ""
        suggestions = filters.suggest(self.event)
        if not suggestions:
            return gettext("No filter of this platform has this name or matches this pattern.")
        return gettext("No filter of this platform has this name or matches this pattern. Did you mean %(names)s?") % {
            "names": gettext(" or ").join(suggestions)
        }

    def _is_stored(self, columns: dict[str, object]) -> bool:
        """Return whether this row has these values in the table: what was saved once can be saved again."""
        return bool(self.pk) and type(self).objects.filter(pk=self.pk, **columns).exists()

    def _timeout_problem(self) -> str:
        if self.timeout is None or MIN_TIMEOUT <= self.timeout <= MAX_TIMEOUT:
            return ""
        return gettext("A timeout lies between %(min)s and %(max)s seconds.") % {"min": MIN_TIMEOUT, "max": MAX_TIMEOUT}

    def _switch_problems(self) -> dict[str, str]:
        """Return what the filter cannot do, by field; of a pattern, what none of its filters can."""
        found = [contracts.contract(f) for f in filters.find(self.event)]
        if not found:
            return {}
        can_halt, can_redirect = any(c.main for c in found), any(c.redirecting for c in found)
        problems: dict[str, str] = {}
        for kind in SWITCHES:
            halt, redirect = getattr(self, f"halt_on_{kind}"), getattr(self, f"redirect_on_{kind}").strip()
            setattr(self, f"redirect_on_{kind}", redirect)
            problems[f"halt_on_{kind}"] = _halt_problem(halt, redirect, can_halt=can_halt, can_redirect=can_redirect)
            problem = _redirect_problem(redirect, can_redirect=can_redirect)
            problems[f"redirect_on_{kind}"] = problem or self._unused_redirect_problem(kind)
        return problems

    def _unused_redirect_problem(self, kind: str) -> str:
        halt, redirect = getattr(self, f"halt_on_{kind}"), getattr(self, f"redirect_on_{kind}")
        if halt or not redirect or self._is_stored({f"halt_on_{kind}": False, f"redirect_on_{kind}": redirect}):
            return ""
        return gettext("Nobody is sent there unless the switch above halts: tick it, or leave this empty.")


def _halt_problem(halt: bool, redirect: str, *, can_halt: bool, can_redirect: bool) -> str:  # noqa: FBT001
    if not halt or can_halt or (redirect and can_redirect):
        return ""
    if can_redirect:
        return gettext("This filter can only be halted by a redirect: fill in the URL beside it.")
    return gettext("This filter cannot be halted by a failing receiver: the platform has no way to stop there.")


def _redirect_problem(redirect: str, *, can_redirect: bool) -> str:
    if not redirect:
        return ""
    if not can_redirect:
        return gettext("No exception of this filter redirects: leave this empty.")
    if not contracts.is_redirect_url(redirect):
        return gettext("Write a URL that begins with http:// or https://, or a path that begins with a slash.")
    return ""


def _problem(parse: Callable[[str], object], text: str | None) -> str:
    """Return the sentence with which ``parse`` refuses a text; none where it takes it."""
    try:
        parse(text or "")
    except WebhooksError as error:
        return str(error)
    return ""
