"""Celery: the task that drains, and the minute's wake-up that every worker of the site carries."""

from __future__ import annotations

from typing import Any

from celery import bootsteps, current_app, shared_task
from celery.signals import celeryd_init
from django.db import Error

from openedx_webhooks import wakeup
from openedx_webhooks.deliveries import engine

LONGEST_TIMEOUT = 60.0
"""Seconds; the longest timeout that a webhook may have."""
MINUTE = 60.0


@shared_task(  # type: ignore[untyped-decorator]
    name=wakeup.TASK,
    ignore_result=True,
    acks_late=False,
    soft_time_limit=engine.SLICE + LONGEST_TIMEOUT + 30,
    time_limit=engine.SLICE + LONGEST_TIMEOUT + 60,
)
def deliver(turn: str = "") -> None:
    """Drain for one slice, then wake up whoever goes on. Losing this task is harmless: the table is the truth.

    ``turn`` names the slot that the slice before kept for this wake-up.
    """
    try:
        if engine.drain(turn=turn) is None:
            engine.wake_for_a_dead_holder()
        else:
            engine.wake_for_the_rest()
    except Error as error:
        engine.explain(error)


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
