"""What went wrong inside this package, counted, for the operator to see."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Incident(models.Model):
    """One kind of failure of our own (an event that could not be written, a broker that refuses) and its count.

    .. no_pii: The detail is an error message without payload.
    """

    kind = models.CharField(_("kind"), max_length=50, primary_key=True)
    count = models.PositiveBigIntegerField(_("count"), default=0)
    first_at = models.DateTimeField(_("first"))
    last_at = models.DateTimeField(_("last"))
    detail = models.CharField(_("last detail"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("Incident")
        verbose_name_plural = _("Incidents")

    def __str__(self) -> str:
        return f"{self.kind}: {self.count}"
