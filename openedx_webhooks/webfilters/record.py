"""The record of calls, written beside the request: a halt often rolls the learner's transaction back.

One thread per process writes what was put to it, over a connection that it closes afterwards. At the end of a
process it has two seconds to write the rest.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import connections, router, transaction
from django.db.models import F

from openedx_webhooks.models import FilterCall, Webfilter, WebfilterCounter, incident

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Calls that may wait to be written; more are dropped and counted as an incident."""
PAUSE = 0.05
"""Seconds that the thread gathers for before it writes."""
COUNTS = ("unchanged", "changed", "halted", "failed")

_COUNTED_AS = {
    FilterCall.Outcome.CHANGED: "changed",
    FilterCall.Outcome.DEFERRED: "changed",
    FilterCall.Outcome.WOULD_CHANGE: "changed",
    FilterCall.Outcome.HALTED: "halted",
    FilterCall.Outcome.WOULD_HALT: "halted",
    FilterCall.Outcome.DISCARDED: "unchanged",
}


def put(call: FilterCall) -> None:
    """Have a call counted, and kept where it has an outcome (an empty one means that nothing happened). Never waits."""
    _writer().put(call)


def flush(timeout: float = 10.0) -> bool:
    """Wait until everything put so far is written; return whether it is."""
    return _writer().flush(timeout)


def forget(user_id: int) -> int:
    """Delete every call that was about one account, for its retirement; return how many."""
    return FilterCall.objects.filter(user_id=user_id).delete()[0]


class _Writer:
    """The thread of one process that writes."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[FilterCall] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, call: FilterCall) -> None:
        try:
            self._waiting.put_nowait(call)
        except queue.Full:
            incident.note("webfilter_record", f"{MAX_WAITING} calls wait to be written; one more was dropped.")
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._start()

    def flush(self, timeout: float) -> bool:
        with self._waiting.all_tasks_done:
            return self._waiting.all_tasks_done.wait_for(lambda: not self._waiting.unfinished_tasks, timeout)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="openedx-webhooks-record", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # The interpreter is ending, or no thread is to be had: the next call tries again.
            self._thread = None

    def _run(self) -> None:
        while True:
            calls = self._gathered()
            try:
                _write(calls)
            except Exception as error:  # noqa: BLE001  a broken database must not end the thread
                incident.note("webfilter_record", f"{len(calls)} calls could not be written: {type(error).__name__}.")
            finally:
                if self._waiting.empty():
                    connections.close_all()
                for _call in calls:
                    self._waiting.task_done()

    def _gathered(self) -> list[FilterCall]:
        calls = [self._waiting.get()]
        until = time.monotonic() + PAUSE
        while len(calls) < 500:
            try:
                calls.append(self._waiting.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return calls


_writers: dict[int, _Writer] = {}
"""By process: one that was made before a fork has no thread in the child."""


def _writer() -> _Writer:
    """Return this process's writer. Of two threads that ask first, both get the same."""
    pid = os.getpid()
    return _writers.get(pid) or _writers.setdefault(pid, _Writer())


@atexit.register
def _at_exit() -> None:
    if writer := _writers.get(os.getpid()):
        writer.flush(2.0)


def _write(calls: Sequence[FilterCall]) -> None:
    alias = router.db_for_write(FilterCall)
    known = set(Webfilter.objects.using(alias).values_list("pk", flat=True))
    kept = [call for call in calls if call.outcome]
    try:
        with transaction.atomic(using=alias):
            FilterCall.objects.using(alias).bulk_create(kept)
    except Exception:  # noqa: BLE001  half of a surrogate pair is no DatabaseError
        _write_one_by_one(kept, alias)
    _count([call for call in calls if call.webfilter_id in known], alias)


def _write_one_by_one(calls: Iterable[FilterCall], alias: str) -> None:
    """Keep what the database takes; of the rest, that it was. One bad row keeps a whole bulk insert out."""
    for call in calls:
        call.pk = None
        try:
            with transaction.atomic(using=alias):
                call.save(using=alias, force_insert=True)
        except Exception:  # noqa: BLE001  as above
            call.pk, call.detail, call.changes = None, "The details could not be written.", ""
            with transaction.atomic(using=alias):
                call.save(using=alias, force_insert=True)


def _count(calls: Iterable[FilterCall], alias: str) -> None:
    totals: defaultdict[int, Counter[str]] = defaultdict(Counter)
    latest: dict[int, datetime] = {}
    for call in calls:
        kind = _COUNTED_AS.get(FilterCall.Outcome(call.outcome), "failed") if call.outcome else "unchanged"
        totals[call.webfilter_id].update({"calls": 1, kind: 1, "milliseconds": call.duration})
        latest[call.webfilter_id] = call.created
    rows = WebfilterCounter.objects.using(alias)
    for webfilter_id, total in totals.items():
        with transaction.atomic(using=alias):
            rows.get_or_create(webfilter_id=webfilter_id)
            changes = {name: F(name) + number for name, number in total.items()}
            rows.filter(webfilter_id=webfilter_id).update(**changes, last_call_at=latest[webfilter_id])
