"""Which webhooks are live: an in-process snapshot, so that an event nobody subscribed to costs no query.

A daemon thread renews the snapshot twice per ``CONFIG_TTL``, off the request. Where that thread cannot run,
or has died with a fork, the first event after ``CONFIG_TTL`` renews it in place, so that a webhook saved in
one process is live in all within ``CONFIG_TTL`` in any case. Saving in this process renews at the next event.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, close_old_connections, connections, router, transaction
from django.db.models.signals import post_delete, post_save

from openedx_webhooks import app_settings
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.data import Subscription
from openedx_webhooks.models import Webhook, incident

log = logging.getLogger(__name__)

MIGRATE = "openedx_webhooks is installed but not migrated; no webhook is live. Run: ./manage.py lms migrate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What is live, by event_type."""

    pid: int = -1
    fresh_until: float = 0.0
    """On the monotonic clock."""
    webhooks: Mapping[str, tuple[Subscription, ...]] = field(default_factory=dict)


_current = Snapshot()
_lock = threading.Lock()
_told_to_migrate = False


def webhooks(event_type: str) -> tuple[Subscription, ...]:
    """Return the live webhooks of an event, in the order of their ids. No query while the snapshot is fresh."""
    snapshot = _current
    if snapshot.fresh_until < time.monotonic() or snapshot.pid != os.getpid():
        snapshot = refresh()
        _renewer.ensure()
    return snapshot.webhooks.get(event_type, ())


def invalidate(**_signal: Any) -> None:
    """Have the next event read the tables anew."""
    global _current  # noqa: PLW0603
    old = _current
    _current = Snapshot(pid=old.pid, fresh_until=0.0, webhooks=old.webhooks)


def refresh() -> Snapshot:
    """Read the tables and publish a new snapshot; keep the old one where they cannot be read. Never raises."""
    global _current  # noqa: PLW0603
    with _lock:
        lives = _read(_current.webhooks)
        _current = Snapshot(pid=os.getpid(), fresh_until=time.monotonic() + app_settings.CONFIG_TTL(), webhooks=lives)
        return _current


def stop() -> None:
    """End the renewing thread and forget everything; for tests and orderly ends."""
    global _current  # noqa: PLW0603
    _renewer.stop()
    _current = Snapshot()


def _read(old: Mapping[str, tuple[Subscription, ...]]) -> Mapping[str, tuple[Subscription, ...]]:
    global _told_to_migrate  # noqa: PLW0603
    alias = router.db_for_write(Webhook)
    try:
        # A savepoint of its own: an error in here must not break the transaction of the request.
        with transaction.atomic(using=alias):
            rows = list(Webhook.objects.using(alias).filter(enabled=True).order_by("id"))
    except DatabaseError as error:
        if _tables_missing(alias):
            if not _told_to_migrate:
                log.warning(MIGRATE)
            _told_to_migrate = True
            return {}
        incident.note("configuration", f"The webhooks could not be read: {type(error).__name__}.")
        return old
    return _by_event_type(rows)


def _tables_missing(alias: str) -> bool:
    """Return whether our tables, or our columns in the published package's table, are not there."""
    connection = connections[alias]
    try:
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            columns = {c.name for c in connection.introspection.get_table_description(cursor, Webhook._meta.db_table)}
    except DatabaseError:
        return True
    return not {f.column for f in Webhook._meta.local_concrete_fields} <= columns


def _by_event_type(rows: list[Webhook]) -> dict[str, tuple[Subscription, ...]]:
    lives: dict[str, list[Subscription]] = {}
    for row in rows:
        subscription = Subscription(
            webhook_id=row.pk,
            pattern=row.event,
            encoding=row.encoding,
            courses=tuple((row.courses or "").split()),
            organizations=tuple((row.organizations or "").split()),
        )
        for entry in catalog.find(row.event):
            lives.setdefault(entry.event_type, []).append(subscription)
    return {event_type: tuple(found) for event_type, found in lives.items()}


class _Renewer:
    """The daemon thread of this process that renews the snapshot and writes the incidents counted."""

    def __init__(self) -> None:
        self._pid = -1
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def ensure(self) -> None:
        """Start the thread, unless it runs in this very process. Started lazily: servers fork after loading."""
        if self._pid == os.getpid() and self._thread is not None and self._thread.is_alive():
            return
        self._pid, self._stopping = os.getpid(), threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stopping,), name="openedx-webhooks-config", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:  # No thread to be had, or the interpreter is ending: renewed in place.
            log.warning("openedx_webhooks: the configuration is renewed in the request: %s", error)

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None and self._pid == os.getpid():
            self._thread.join(timeout=5)
        self._thread = None

    @staticmethod
    def _run(stopping: threading.Event) -> None:
        while not stopping.wait(app_settings.CONFIG_TTL() / 2):
            try:
                close_old_connections()
                refresh()
                incident.flush()
            except Exception:
                log.exception("openedx_webhooks: the configuration could not be renewed")
            finally:
                # One connection per process would be kept for a query every few seconds.
                connections.close_all()


_renewer = _Renewer()


def connect() -> None:
    """Have every change of a webhook in this process seen by its next event."""
    for signal in (post_save, post_delete):
        signal.connect(_changed, sender=Webhook, dispatch_uid="openedx_webhooks.subscriptions")


def _changed(using: str, **_signal: Any) -> None:
    invalidate()
    # Once more after the commit: an event in between may have read the old rows, or rows that were rolled back.
    transaction.on_commit(invalidate, using=using, robust=True)
