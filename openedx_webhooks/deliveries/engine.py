"""Empty the outbox: who drains, for how long, and who is woken for the rest.

The stream itself, claim, send and record, is ``stream``; the sending happens in a thread with an event loop, without
the ORM (``egress.concurrent``). The rules kept and the figures behind them: docs/decisions/0002.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from django.db import Error, close_old_connections
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks import app_settings, wakeup
from openedx_webhooks.deliveries import due, notice, purge, slot
from openedx_webhooks.deliveries.sql import engine_connection
from openedx_webhooks.deliveries.stream import Stop, Stream, Tally
from openedx_webhooks.models import Attempt, Delivery, DrainSlot, Event, Webhook, WebhookHealth, incident, tables

if TYPE_CHECKING:
    from openedx_webhooks.egress.concurrent import Sender

log = logging.getLogger(__name__)

SLICE = 20.0
"""Seconds after which a drain in the site's own queue stops claiming."""
IDLE_PACE = 1.0
"""Seconds between two looks of a drain that runs for ever and was not woken."""
ALLOCATIONS = 50_000
"""New objects between two looks for cyclic garbage, more than all that is under way; Python's own is 700."""
HORIZON = 55.0
"""Seconds; what is due sooner gets a wake-up of its own, what is due later is found by the minute's."""


def drain(*, seconds: float = SLICE, stop: Stop = lambda: False, turn: str = "") -> Tally | None:
    """Deliver what is due, until nothing is, ``seconds`` are over, or ``stop()`` says so.

    ``turn`` is what a wake-up carries for which a slot was kept. Returns None where another drain of the site is at
    work: it will look once more on our behalf. Raises django.db.Error where the tables are missing or the database
    stays away.
    """
    connection = engine_connection()
    paused: dict[int, str] = {}
    try:
        tally = _drain(connection, seconds, stop, paused, turn)
    finally:
        notice.send(connection, paused)
    if tally is not None and not stop():
        purge.purge_some(connection)
    incident.flush_or_log()
    return tally


def _drain(
    connection: BaseDatabaseWrapper, seconds: float, stop: Stop, paused: dict[int, str], turn: str
) -> Tally | None:
    kept = slot.resume(connection, turn) if turn else None
    deadline = time.monotonic() + seconds
    tally = Tally()
    first = True
    while held := kept or slot.take(connection):
        first, kept = False, None
        woken = False
        try:
            # Not entered: its thread starts with the first request, and most looks find nothing.
            with closing(_sender()) as sender, collecting_rarely():
                Stream(held, sender, tally, paused).run(deadline, stop)
        finally:
            woken = held.release()
        if not woken or time.monotonic() >= deadline or stop():
            return tally
    return None if first else tally


@contextmanager
def collecting_rarely() -> Iterator[None]:
    """Have Python look for cyclic garbage less often, because what is under way survives each look.

    The looks were a quarter of a drain's CPU time, and at 10,000 still a tenth. The host's own setting is put back.
    """
    before = gc.get_threshold()
    if before[0]:  # 0: the host has switched it off
        gc.set_threshold(max(before[0], ALLOCATIONS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _sender() -> Sender:
    # Here, because aiohttp is heavy and a web process that only emits has no use for it.
    from openedx_webhooks.egress.concurrent import Sender  # noqa: PLC0415

    return Sender(allowed_networks=app_settings.ALLOWED_NETWORKS(), proxy=app_settings.PROXY())


def wake_for_the_rest(*, in_vain: bool = False) -> None:
    """After a slice, have a worker look again: now where something is due, else at the next retry within a minute.

    ``in_vain`` says that the slice delivered nothing: what is due may be locked by somebody, and is given a moment.
    """
    connection = engine_connection()
    seconds = due.seconds_to_next(connection, HORIZON)
    if seconds is None:
        return
    if in_vain:
        seconds = max(seconds, IDLE_PACE)
    if seconds <= 0:
        _hand_over()
    elif slot.plan_wake_up(connection, seconds):
        wakeup.notify_later(seconds)


def _hand_over() -> None:
    """Keep the slot for a wake-up that goes to the end of the queue, so that others' tasks before it come first."""
    if wakeup.dispatch() != "celery":
        wakeup.notify()
    elif held := slot.take(engine_connection()):
        try:
            wakeup.publish(held.turn)
        except Exception as error:  # noqa: BLE001  every transport raises errors of its own
            log.warning("openedx_webhooks: the next slice waits for the broker: %s", type(error).__name__)
            held.release()
            wakeup.notify()


def wake_for_a_dead_holder() -> None:
    """After finding the slot taken, have a worker look again once its lease may have ended: its holder may be dead."""
    if slot.plan_wake_up(engine_connection(), slot.LEASE + 1):
        wakeup.notify_later(slot.LEASE + 1)


def is_migrated() -> bool:
    """Return whether the tables that a drain needs are there, as far as the database says."""
    return not tables.missing(Webhook, WebhookHealth, Event, Delivery, Attempt, DrainSlot)


def explain(error: Error) -> None:
    """Log why nothing can be drained: not migrated, which is said once per process, or the database is away."""
    if is_migrated():
        log.warning("openedx_webhooks: the outbox cannot be drained now: %s", type(error).__name__)
    else:
        tables.tell_to_migrate()


def run_for_ever(wake: threading.Event, stop: threading.Event) -> None:
    """Drain until ``stop`` is set: when ``wake`` is set, and every second. Without slices: nobody queues behind it."""
    while not stop.is_set():
        try:
            close_old_connections()
            drain(seconds=math.inf, stop=stop.is_set)
        except Error as error:
            explain(error)
            engine_connection().close()
        except Exception:
            log.exception("openedx_webhooks: a drain ended with an error; the next one goes on")
        wake.wait(IDLE_PACE)
        wake.clear()
