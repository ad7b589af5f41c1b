"""Which webhooks and webfilters are live: an in-process snapshot, so that what nobody subscribed to costs no query.

A daemon thread renews the snapshot twice per ``CONFIG_TTL``, off the request. Where that thread cannot run,
or has died with a fork, the first event after ``CONFIG_TTL`` renews it in place, so that a webhook saved in
one process is live in all within ``CONFIG_TTL`` in any case. Saving in this process renews at the next event.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from django.db import DatabaseError, Error, close_old_connections, connections, router, transaction
from django.db.models import Q
from django.db.models.signals import post_delete, post_save

from openedx_webhooks import app_settings, signing
from openedx_webhooks.catalog import events, filters
from openedx_webhooks.data import Subscription, Switch, WebfilterSubscription
from openedx_webhooks.models import Incident, Webfilter, Webhook, incident, tables
from openedx_webhooks.models.lines import parse_patterns

log = logging.getLogger(__name__)

Row = TypeVar("Row", Webhook, Webfilter)
Live = TypeVar("Live")


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What is live, webhooks by event_type and webfilters by filter_type."""

    pid: int = -1
    fresh_until: float = 0.0
    """On the monotonic clock."""
    webhooks: Mapping[str, tuple[Subscription, ...]] = field(default_factory=dict)
    webfilters: Mapping[str, tuple[WebfilterSubscription, ...]] = field(default_factory=dict)


_current = Snapshot()
_changes = 0
"""Counts the changes made in this process; what was read before the latest of them is not fresh."""


def webhooks(event_type: str) -> tuple[Subscription, ...]:
    """Return the live webhooks of an event, in the order of their ids. No query while the snapshot is fresh."""
    return _fresh().webhooks.get(event_type, ())


def webfilters(filter_type: str) -> tuple[WebfilterSubscription, ...]:
    """Return the live webfilters of a filter, in the order of their ids. No query while the snapshot is fresh."""
    return _fresh().webfilters.get(filter_type, ())


def _fresh() -> Snapshot:
    snapshot = _current
    if snapshot.fresh_until < time.monotonic() or snapshot.pid != os.getpid():
        snapshot = refresh()
        _renewers.setdefault(os.getpid(), _Renewer()).ensure()
    return snapshot


def invalidate(**_signal: Any) -> None:
    """Have the next event read the tables anew."""
    global _current, _changes  # noqa: PLW0603
    _changes += 1
    _current = replace(_current, fresh_until=0.0)


def refresh() -> Snapshot:
    """Read the tables and publish a new snapshot; keep the old one where they cannot be read. Never raises.

    Without a lock: a request that holds the database's must not wait for a thread that waits for the database. Of
    two at once the later wins, and neither counts as younger than the moment its reading began.
    """
    global _current  # noqa: PLW0603
    began, changes, old = time.monotonic(), _changes, _current
    webhooks, webfilters = _read(Webhook, _by_event_type), _read(Webfilter, _by_filter_type)
    # What could not be read is asked for again at the next event: a process that begins with it knows nothing yet.
    fresh = changes == _changes and webhooks is not None and webfilters is not None
    _current = Snapshot(
        pid=os.getpid(),
        fresh_until=began + app_settings.CONFIG_TTL() if fresh else 0.0,
        webhooks=old.webhooks if webhooks is None else webhooks,
        webfilters=old.webfilters if webfilters is None else webfilters,
    )
    return _current


def stop() -> None:
    """End the renewing thread and forget everything; for tests and orderly ends."""
    global _current  # noqa: PLW0603
    if renewer := _renewers.pop(os.getpid(), None):
        renewer.stop()
    _current = Snapshot()


def _read(model: type[Row], index: Callable[[list[Row]], Mapping[str, Live]]) -> Mapping[str, Live] | None:
    """Return what is live of a table, nothing where it was not migrated; None where the database does not say."""
    alias = router.db_for_write(model)
    try:
        with tables.untouched_transaction(alias):
            rows = list(model._default_manager.using(alias).filter(enabled=True).order_by("id"))  # noqa: SLF001
    except DatabaseError as error:
        if tables.missing(model):
            tables.tell_to_migrate()
            return {}
        kind = model._meta.verbose_name_plural
        incident.note("configuration", f"The {kind} could not be read: {type(error).__name__}.")
        return None
    return index(rows)


def _by_event_type(rows: list[Webhook]) -> dict[str, tuple[Subscription, ...]]:
    lives = _each(rows, _subscription)
    return _indexed((entry.event_type, live) for row, live in lives for entry in events.find(row.event))


def _by_filter_type(rows: list[Webfilter]) -> dict[str, tuple[WebfilterSubscription, ...]]:
    lives = _each(rows, _webfilter_subscription)
    return _indexed((found.filter_type, live) for row, live in lives for found in filters.find(row.event))


def _each(rows: list[Row], subscription: Callable[[Row], Live]) -> list[tuple[Row, Live]]:
    """Return each row with its value; a row that cannot be used is noted, and its neighbours stay live."""
    lives: list[tuple[Row, Live]] = []
    for row in rows:
        try:
            lives.append((row, subscription(row)))
        except (TypeError, ValueError) as error:
            incident.note("configuration", f"{row._meta.verbose_name} {row.pk} cannot be used: {error}")
    return lives


def _indexed(pairs: Iterable[tuple[str, Live]]) -> dict[str, tuple[Live, ...]]:
    lives: dict[str, list[Live]] = {}
    for key, live in pairs:
        lives.setdefault(key, []).append(live)
    return {key: tuple(found) for key, found in lives.items()}


def _subscription(row: Webhook) -> Subscription:
    return Subscription(
        webhook_id=row.pk,
        pattern=row.event,
        encoding=row.encoding,
        courses=parse_patterns(row.courses),
        organizations=parse_patterns(row.organizations),
    )


def _webfilter_subscription(row: Webfilter) -> WebfilterSubscription:
    return WebfilterSubscription(
        webfilter_id=row.pk,
        pattern=row.event,
        url=row.webhook_url,
        encoding=row.encoding,
        # Written by the renewing thread; an UPDATE here would be in the learner's transaction.
        secret=row.secret or signing.generate_secret(),
        previous_secret=row.previous_secret or "",
        previous_secret_until=row.previous_secret_until,
        headers=row.headers or "",
        timeout=row.timeout,
        courses=parse_patterns(row.courses),
        organizations=parse_patterns(row.organizations),
        filtering=not row.disable_filtering,
        halting=not row.disable_halt,
        shadow=bool(row.shadow),
        allow_html=bool(row.allow_html),
        on_4xx=Switch(halt=row.halt_on_4xx, redirect=row.redirect_on_4xx),
        on_5xx=Switch(halt=row.halt_on_5xx, redirect=row.redirect_on_5xx),
        on_request_exception=Switch(halt=row.halt_on_request_exception, redirect=row.redirect_on_request_exception),
    )


def give_secrets() -> None:
    """Give rows that the published package wrote after a roll-back a secret, as the upgrade gives every old one."""
    rows = Webfilter.objects.using(router.db_for_write(Webfilter))
    for pk, secret in rows.filter(Q(secret="") | Q(secret=None), enabled=True).values_list("pk", "secret"):
        rows.filter(pk=pk, secret=secret).update(secret=signing.generate_secret())


class _Renewer:
    """One process's daemon thread that renews the snapshot and writes the incidents counted.

    Made anew in every process: no lock comes over a fork.
    """

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._failing = False

    def ensure(self) -> None:
        """Start the thread, unless it runs. Started lazily: servers fork after loading."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name="openedx-webhooks-config", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # No thread to be had, or the interpreter is ending: renewed in place.
                log.warning("openedx_webhooks: the configuration is renewed in the request: %s", error)

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.wait(app_settings.CONFIG_TTL() / 2):
            try:
                close_old_connections()
                refresh()
                incident.flush()
                give_secrets()
                self._failing = False
            except Exception as error:  # noqa: BLE001  a thread that ends would leave the request to renew
                self._report(error)
            finally:
                # One connection per process would be kept for a query every few seconds.
                connections.close_all()

    def _report(self, error: Exception) -> None:
        """Say why nothing could be written, once until it can."""
        if isinstance(error, Error) and tables.missing(Incident, Webfilter):
            tables.tell_to_migrate()
        elif not self._failing:
            log.warning("openedx_webhooks: incidents cannot be written now: %s", type(error).__name__)
            self._failing = True


_renewers: dict[int, _Renewer] = {}
"""By process: this one's, and what came over with a fork."""


def connect() -> None:
    """Have every change of a webhook or webfilter in this process seen by its next event or filter."""
    for signal in (post_save, post_delete):
        for model in (Webhook, Webfilter):
            signal.connect(_changed, sender=model, dispatch_uid="openedx_webhooks.subscriptions")


def _changed(using: str, **_signal: Any) -> None:
    invalidate()
    # Once more after the commit: an event in between may have read the old rows, or rows that were rolled back.
    transaction.on_commit(invalidate, using=using, robust=True)
