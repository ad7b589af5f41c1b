"""What Lernito's orders leave behind, and the rows that equal orders wait on."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class LernitoOrder(models.Model):
    """One accepted enrollment order: when, from where, for which courses, and what became of each.

    The person is kept as a keyed HMAC of the email address (``lernito.records.email_hmac``): enough to find the
    orders of an address that somebody names, useless to whoever reads the table. Where the order found an account,
    its id is kept as well, because addresses change. A retirement deletes the orders of its address and of its
    account (``handlers.retire``), ``OPENEDX_WEBHOOKS_RETENTION_DAYS`` all of that age.

    .. pii: A keyed hash of the email address, the account's id, and the network address that the order came from.
    .. pii_types: email_address, id, ip
    .. pii_retirement: local_api
    """

    created = models.DateTimeField(_("time"), default=timezone.now, db_index=True, editable=False)
    source = models.CharField(_("source"), max_length=64, blank=True, help_text=_("The network address it came from."))
    scheme = models.CharField(
        _("signature"), max_length=20, help_text=_("lernito: of the body; sorted-json: of its sorted JSON; standard.")
    )
    email_hmac = models.CharField(_("keyed hash of the email address"), max_length=64, db_index=True)
    user_id = models.BigIntegerField(_("user id"), null=True, db_index=True)
    message = models.CharField(_("answer"), max_length=255)
    results = models.TextField(_("results"), help_text=_("One course on each line: its id and its result."))

    class Meta:
        verbose_name = _("Lernito order")
        verbose_name_plural = _("Lernito orders")

    def __str__(self) -> str:
        return f"{self.created:%Y-%m-%d %H:%M:%S}: {self.message}"


class LernitoLock(models.Model):
    """A row that orders for the same person lock, so that they run one after the other.

    Not the user's own row: the order may wait for webfilters, and a login of that user would wait with it.
    A few hundred rows serve everybody; which one is decided by the HMAC of the email address.

    .. no_pii: A number.
    """

    id = models.PositiveSmallIntegerField(primary_key=True)

    class Meta:
        verbose_name = _("Lernito lock")
        verbose_name_plural = _("Lernito locks")

    def __str__(self) -> str:
        return str(self.id)
