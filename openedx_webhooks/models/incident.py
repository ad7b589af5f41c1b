"""What went wrong inside this package, counted, for the operator to see."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress

from django.db import Error, connections, models, router, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from openedx_webhooks.models import tables

log = logging.getLogger(__name__)

_noted: deque[tuple[str, str]] = deque(maxlen=10_000)
"""(kind, detail) since the last flush; a deque, because a lock might be held in the moment of a fork."""


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
    _noted.append((kind, detail))


def record(kind: str, detail: str) -> None:
    """Note a failure and write it at once: for a thread of our own, whose process may never read or drain anything.

    Such as a Celery worker's first process, which sends the minute's wake-ups. It keeps no connection for it.
    """
    note(kind, detail)
    flush_or_log()
    connections.close_all()


def flush_or_log() -> None:
    """Flush; where the database does not take it, log that, because the caller has other work to do."""
    try:
        flush()
    except Exception as error:  # noqa: BLE001  nothing of this is worth the caller's end
        if isinstance(error, Error) and tables.missing(Incident):
            tables.tell_to_migrate()
        else:
            log.warning("openedx_webhooks: incidents cannot be written now: %s", type(error).__name__)


def flush() -> None:
    """Write what this process noted since the last flush; keep it for the next where the database fails."""
    noted: list[tuple[str, str]] = []
    with suppress(IndexError):  # empty: another thread may be at it too
        while True:
            noted.append(_noted.popleft())
    try:
        while noted:
            kind, detail = noted[-1]
            _add(kind, sum(1 for other, _detail in noted if other == kind), detail)
            noted = [item for item in noted if item[0] != kind]
    except Exception:
        _noted.extend(noted)
        raise


def _add(kind: str, count: int, detail: str) -> None:
    now = timezone.now()
    clean = detail.encode("ascii", "backslashreplace").decode()[:255]
    with transaction.atomic(using=router.db_for_write(Incident)):
        Incident.objects.get_or_create(kind=kind, defaults={"first_at": now, "last_at": now})
        Incident.objects.filter(kind=kind).update(count=F("count") + count, last_at=now, detail=clean)
