"""Celery: the task that drains, and the minute's wake-up that every worker of the site carries."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import bootsteps, current_app, shared_task
from celery.signals import celeryd_init, worker_process_shutdown
from django.db import Error

from openedx_webhooks import wakeup
from openedx_webhooks.deliveries import engine
from openedx_webhooks.models.webhook import MAX_TIMEOUT
from openedx_webhooks.webfilters import record

MINUTE = 60.0


@shared_task(  # type: ignore[untyped-decorator]
    name=wakeup.TASK,
    ignore_result=True,
    acks_late=False,
    soft_time_limit=engine.SLICE + MAX_TIMEOUT + 30,
    time_limit=engine.SLICE + MAX_TIMEOUT + 60,
)
def deliver(turn: str = "") -> None:
    """Drain for one slice, then wake up whoever goes on. Losing this task is harmless: the table is the truth.

    ``turn`` names the slot that the slice before kept for this wake-up.
    """
    try:
        with soft_limit_stops() as stop:
            tally = engine.drain(stop=stop, turn=turn)
        if tally is None:
            engine.wake_for_a_dead_holder()
        else:
            engine.wake_for_the_rest(in_vain=not (tally.delivered or tally.failed or tally.postponed))
    except Error as error:
        engine.explain(error)


@contextmanager
def soft_limit_stops() -> Iterator[Callable[[], bool]]:
    """Have Celery's soft time limit mean *stop claiming*; gives the question whether it has come.

    As the exception that it is otherwise, it would end what is being recorded, and that would go out again.
    """
    over = threading.Event()
    try:
        before = signal.signal(signal.SIGUSR1, lambda *_: over.set())
    except (AttributeError, ValueError):  # Not the main thread, or Windows: no soft limits there.
        yield over.is_set
        return
    try:
        yield over.is_set
    finally:
        signal.signal(signal.SIGUSR1, before)


class MinuteStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Sends one wake-up a minute from every worker: there is no beat in Tutor. Touches no database."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._entry: Any = None

    def start(self, parent: Any) -> None:
        """Begin with the consumer, also after it has lost and found its broker."""
        self._send()
        self._entry = parent.timer.call_repeatedly(MINUTE, self._send)

    def stop(self, parent: Any) -> None:  # noqa: ARG002
        """Cancel the timer: it outlives the consumer otherwise, one more with each reconnection."""
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    @staticmethod
    def _send() -> None:
        if wakeup.dispatch() == "celery":
            wakeup.notify()


@celeryd_init.connect(dispatch_uid="openedx_webhooks.tasks.minute")  # type: ignore[untyped-decorator]
def _carry_the_minute(**_signal: Any) -> None:
    current_app.steps["consumer"].add(MinuteStep)


@worker_process_shutdown.connect(dispatch_uid="openedx_webhooks.tasks.record")  # type: ignore[untyped-decorator]
def _finish_the_record(**_signal: Any) -> None:
    """Write what webfilters did in a child of a worker: it ends without ``atexit``, after each 100 tasks in Tutor."""
    record.finish()
