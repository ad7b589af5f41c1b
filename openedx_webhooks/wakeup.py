"""The nudge that tells a worker to look at the outbox; it may be lost, doubled or late.

``notify`` is called by the request and only sets a flag. One daemon thread per process clears it and does what
``DISPATCH`` says: publishes the Celery task by name over a bounded connection of its own, or drains in an
embedded thread. A broker that refuses, or accepts and never answers, is this thread's trouble alone.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery import current_app
from django.core.signals import request_started

from openedx_webhooks import app_settings

log = logging.getLogger(__name__)

TASK = "openedx_webhooks.tasks.deliver"
PACE = 0.05
"""Seconds between two messages of a process; what comes in between shares one."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds to wait after a failed publish: doubled each time up to the longest."""
LASTING, BRIEF = 3600.0, 50.0
"""Seconds after which a worker passes a message over: of one that lasts, and of those that a process sends beside it,
so that an outage of the workers leaves behind few that are worked off one by one."""
LASTING_PACE = 55.0
"""Seconds between two messages of a process that last; less than the minute of every worker, whose messages do."""
BROKER_PATIENCE = 1.0
"""Seconds for each step of talking to the broker."""

Runner = Callable[[threading.Event, threading.Event], object]
"""Drains in the calling thread: looks when the first event is set, which it clears; ends when the second is."""
Reporter = Callable[[str, str], None]
"""Takes the kind and the detail of a failure; called by the waker's thread, which may wait for it."""


def dispatch() -> str:
    """Return who drains: ``celery``, ``thread`` or ``none``; decides what ``auto`` means here.

    ``auto`` is Celery, or the embedded thread where Celery is eager (``tutor dev`` has no workers) or has no broker.
    """
    chosen = app_settings.DISPATCH()
    if chosen != "auto":
        return chosen
    return "thread" if current_app.conf.task_always_eager or not current_app.conf.broker_url else "celery"


def publish(turn: str = "", *, lasting: bool = True) -> None:
    """Send one wake-up to the workers, over a connection that cannot block longer than a few seconds.

    ``turn`` goes along, for the drain that it wakes. ``lasting`` says whether it outlasts a queue that is deep.

    Never with a countdown: Redis redelivers a message that waits longer than its visibility timeout, and a worker
    that holds a waiting message ends when it loses Redis (seen with Celery 5.7). Raises whatever the transport raises.
    """
    options: dict[str, Any] = {"expires": LASTING if lasting else BRIEF}
    if queue := app_settings.CELERY_QUEUE():
        options["queue"] = queue
    with _bounded_connection() as connection:
        # One try: the next event, and the minute of every worker's bootstep, try again.
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, timeout=BROKER_PATIENCE)
        arguments = [turn] if turn else []
        current_app.send_task(TASK, arguments, connection=connection, retry=False, ignore_result=True, **options)


def _bounded_connection() -> Any:
    """Return a private connection to the broker; the shared pool waits for as long as the broker likes."""
    transport_options = {
        **(current_app.conf.broker_transport_options or {}),
        "socket_timeout": BROKER_PATIENCE,
        "socket_connect_timeout": BROKER_PATIENCE,
        "retry_on_timeout": False,
        "max_retries": 0,
        "connect_timeout": BROKER_PATIENCE,
        "read_timeout": BROKER_PATIENCE,
        "write_timeout": BROKER_PATIENCE,
    }
    return current_app.connection_for_write(connect_timeout=BROKER_PATIENCE, transport_options=transport_options)


class _Waker:
    """One process's thread that turns flags into wake-ups. Made anew in every process: no lock comes over a fork."""

    def __init__(self) -> None:
        self.flag, self.stopping = threading.Event(), threading.Event()
        self.publishing = False
        self.thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, runner: Runner | None, report: Reporter) -> None:
        """Start the thread, unless another thread just did, or nobody drains from here."""
        with self._lock:
            if self.thread is not None and self.thread.is_alive():
                return
            mode = dispatch()
            if mode == "celery":
                target: Callable[[], object] = partial(self._publish_for_ever, report)
            elif mode == "thread" and runner is not None:
                target = partial(runner, self.flag, self.stopping)
            else:
                return
            self.thread = threading.Thread(target=target, name="openedx-webhooks-wakeup", daemon=True)
            self.thread.start()

    def _publish_for_ever(self, report: Reporter) -> None:
        wait = FIRST_WAIT
        next_lasting = 0.0
        while self.flag.wait() and not self.stopping.is_set():
            self.publishing = True
            self.flag.clear()
            lasting = time.monotonic() >= next_lasting
            try:
                publish(lasting=lasting)
            except Exception as error:  # noqa: BLE001  every transport raises errors of its own
                report("wake-up", f"The broker did not take a wake-up: {type(error).__name__}.")
                self.flag.set()
                self.stopping.wait(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                wait = FIRST_WAIT
                next_lasting = time.monotonic() + LASTING_PACE if lasting else next_lasting
                self.publishing = False
                self.stopping.wait(PACE)


class _Wakers:
    """The waker of each process that this one was forked from, and its own."""

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self.report: Reporter = lambda kind, detail: log.error("openedx_webhooks: %s: %s", kind, detail)
        self._by_pid: dict[int, _Waker] = {}

    def mine(self) -> _Waker:
        """Return this process's waker. Of two threads that ask first, both get the same."""
        pid = os.getpid()
        waker = self._by_pid.get(pid)
        return self._by_pid.setdefault(pid, _Waker()) if waker is None else waker

    def notify(self) -> None:
        waker = self.mine()
        if waker.thread is None or not waker.thread.is_alive():
            waker.start(self.runner, self.report)
        waker.flag.set()

    def stop(self) -> None:
        waker = self._by_pid.pop(os.getpid(), None)
        if waker is not None and waker.thread is not None:
            waker.stopping.set()
            waker.flag.set()
            waker.thread.join(timeout=30)


_wakers = _Wakers()


def notify() -> None:
    """Have a worker look soon. Sets a flag and returns: a few microseconds, never an error."""
    try:
        _wakers.notify()
    except Exception:
        log.exception("openedx_webhooks: a wake-up could not be asked for")


def notify_later(seconds: float) -> None:
    """Have a worker look in so many seconds, by a timer of this process; the minute's wake-up covers its loss."""
    timer = threading.Timer(seconds, notify)
    timer.daemon = True
    timer.start()


def stop() -> None:
    """End this process's thread, once what it has under way is done; the next ``notify`` starts another."""
    _wakers.stop()


def pending() -> bool:
    """Return whether a wake-up was asked for and is not out yet; for a process that is about to end."""
    waker = _wakers.mine()
    return waker.flag.is_set() or waker.publishing


def register(*, runner: Runner, report: Reporter) -> None:
    """Name what the embedded thread runs and who is told of failures; both live in rooms above this one."""
    _wakers.runner, _wakers.report = runner, report
    request_started.connect(_first_request, dispatch_uid="openedx_webhooks.wakeup")


def _first_request(**_signal: Any) -> None:
    """Where the embedded thread drains, have it look for what an earlier process left, once per process."""
    request_started.disconnect(dispatch_uid="openedx_webhooks.wakeup")
    if dispatch() == "thread":
        notify()
