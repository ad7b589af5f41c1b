"""What webfilters did: one row per call that mattered, and counters for all of them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from openedx_webhooks.models.webfilter import Webfilter


class FilterCall(models.Model):
    """One call of a webfilter that changed or halted something, would have in shadow mode, or failed.

    ``changes`` is a JSON list of ``{"path", "before", "after"}``. Values are masked, except those of arguments that
    say nothing of a person, and credentials are left out; ``user_id`` tells whom it was about.

    .. pii: Says which account a call was about; of names and other personal data the first character and the length.
    .. pii_types: id
    .. pii_retirement: local_api
    """

    class Outcome(models.TextChoices):
        """What came of the call.

        *Kept for the login*: applied if the password is right. *Discarded*: another webfilter halted. *Overridden*: a
        later webfilter wanted the same values otherwise. *Would have*: shadow mode. *Refused*: the answer breaks the
        contract.
        """

        CHANGED = "changed", _("Changed")
        DEFERRED = "deferred", _("Kept for the login")
        HALTED = "halted", _("Halted")
        DISCARDED = "discarded", _("Discarded")
        OVERRIDDEN = "overridden", _("Overridden")
        WOULD_CHANGE = "would_change", _("Would have changed")
        WOULD_HALT = "would_halt", _("Would have halted")
        REFUSED = "refused", _("Refused")
        FAILED = "failed", _("Failed")

    webfilter = models.ForeignKey(
        Webfilter, on_delete=models.DO_NOTHING, db_constraint=False, related_name="calls", verbose_name=_("webfilter")
    )
    message_id = models.CharField(_("webhook-id"), max_length=64)
    filter_name = models.CharField(_("filter"), max_length=255)
    filter_type = models.CharField(_("filter_type"), max_length=255)
    created = models.DateTimeField(_("called"), db_index=True)
    duration = models.PositiveIntegerField(_("duration in ms"))
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices)
    exception = models.CharField(_("exception"), max_length=255, blank=True)
    detail = models.TextField(_("detail"), blank=True)
    changes = models.TextField(_("changes"), blank=True)
    user_id = models.BigIntegerField(_("user id"), null=True, db_index=True)

    class Meta:
        verbose_name = _("Webfilter call")
        verbose_name_plural = _("Webfilter calls")

    def __str__(self) -> str:
        return f"{self.filter_name} -> {self.webfilter_id}: {self.outcome}"


class WebfilterCounter(models.Model):
    """How often a webfilter was asked, and what came of it, since it was made.

    .. no_pii: Counts calls.
    """

    webfilter = models.OneToOneField(
        Webfilter, primary_key=True, on_delete=models.CASCADE, db_constraint=False, related_name="counter"
    )
    calls = models.PositiveBigIntegerField(_("calls"), default=0)
    unchanged = models.PositiveBigIntegerField(_("unchanged"), default=0)
    changed = models.PositiveBigIntegerField(_("changed"), default=0)
    halted = models.PositiveBigIntegerField(_("halted"), default=0)
    failed = models.PositiveBigIntegerField(_("failed"), default=0)
    milliseconds = models.PositiveBigIntegerField(_("milliseconds in all"), default=0)
    last_call_at = models.DateTimeField(_("last call"), null=True)

    class Meta:
        verbose_name = _("Webfilter counter")
        verbose_name_plural = _("Webfilter counters")

    def __str__(self) -> str:
        return f"{self.webfilter_id}: {self.calls}"

    @property
    def mean(self) -> int:
        """Milliseconds that a call takes on average."""
        return round(self.milliseconds / self.calls) if self.calls else 0
