"""What went wrong inside this package, counted, for the operator to see."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from django.db import models, router, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

log = logging.getLogger(__name__)

_lock = threading.Lock()
_counts: Counter[str] = Counter()
_details: dict[str, str] = {}


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


def note(kind: str, detail: str) -> None:
    """Log a failure and count it in this process; ``flush`` writes the counts, off the request.

    ``kind`` is a short fixed word, ``detail`` a sentence without payload or personal data.
    """
    log.error("openedx_webhooks: %s: %s", kind, detail)
    with _lock:
        _counts[kind] += 1
        _details[kind] = detail


def flush() -> None:
    """Write what this process counted since the last flush; keep it for the next where the database fails."""
    with _lock:
        counts, details = dict(_counts), dict(_details)
        _counts.clear()
        _details.clear()
    try:
        for kind, count in counts.items():
            _add(kind, count, details[kind])
    except Exception:
        with _lock:
            _counts.update(counts)
            for kind, detail in details.items():
                _details.setdefault(kind, detail)
        raise


def _add(kind: str, count: int, detail: str) -> None:
    now = timezone.now()
    clean = detail.encode("ascii", "backslashreplace").decode()[:255]
    with transaction.atomic(using=router.db_for_write(Incident)):
        Incident.objects.get_or_create(kind=kind, defaults={"first_at": now, "last_at": now})
        Incident.objects.filter(kind=kind).update(count=F("count") + count, last_at=now, detail=clean)
