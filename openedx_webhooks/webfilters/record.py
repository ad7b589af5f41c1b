"""The record of calls, written beside the request: a halt often rolls the learner's transaction back.

One thread per process writes what was put to it, over a connection that it closes afterwards, and tries again what
the database does not take. At the end of a process it has two seconds to write the rest: ``atexit`` sees to that, and
``tasks`` in the children of a Celery worker, which end without it.
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
from dataclasses import dataclass
from datetime import datetime

from django.db import connections, router, transaction
from django.db.models import F

from openedx_webhooks.models import FilterCall, Webfilter, WebfilterCounter, incident

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Calls that may wait to be written; more are dropped and counted as an incident."""
PAUSE = 0.05
"""Seconds that the thread gathers for before it writes."""
TRIES = (0.0, 1.0, 4.0)
"""Seconds to wait before each try to write what was gathered; after the last it is dropped, and that is an incident."""

_COUNTED_AS: dict[str, tuple[str, ...]] = {
    "": ("unchanged",),
    FilterCall.Outcome.CHANGED: ("changed",),
    # Counted as changed by ``saved``, if the login succeeds.
    FilterCall.Outcome.DEFERRED: (),
    FilterCall.Outcome.WOULD_CHANGE: ("changed",),
    FilterCall.Outcome.HALTED: ("halted",),
    FilterCall.Outcome.WOULD_HALT: ("halted",),
    FilterCall.Outcome.DISCARDED: ("unchanged",),
    FilterCall.Outcome.OVERRIDDEN: ("unchanged",),
}


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a webfilter's call wanted of a login is in the account now."""

    webfilter_id: int


def put(call: FilterCall) -> None:
    """Have a call counted, and kept where it has an outcome (an empty one means that nothing happened). Never waits."""
    _writer().put(call)


def saved(webfilter_ids: Iterable[int]) -> None:
    """Count as changed, for each webfilter, what was kept for a login and is saved now. Never waits."""
    for webfilter_id in webfilter_ids:
        _writer().put(_Saved(webfilter_id))


def finish() -> None:
    """Wait two seconds at the most for what this process still has to write. For its end."""
    if writer := _writers.get(os.getpid()):
        writer.flush(2.0)


def flush(timeout: float = 10.0) -> bool:
    """Wait until everything put so far is written; return whether it is."""
    return _writer().flush(timeout)


def forget(user_id: int) -> int:
    """Delete every call that was about one account, for its retirement; return how many."""
    return FilterCall.objects.filter(user_id=user_id).delete()[0]


class _Writer:
    """The thread of one process that writes."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[FilterCall | _Saved] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, call: FilterCall | _Saved) -> None:
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
            except Exception as error:  # noqa: BLE001  nothing must end the thread
                incident.note("webfilter_record", f"{len(calls)} calls could not be written: {type(error).__name__}.")
            finally:
                if self._waiting.empty():
                    connections.close_all()
                for _call in calls:
                    self._waiting.task_done()

    def _gathered(self) -> list[FilterCall | _Saved]:
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


atexit.register(finish)


def _write(calls: Sequence[FilterCall | _Saved]) -> None:
    """Write the calls and count them, and try again what the database did not take; never the same one twice."""
    rows = [call for call in calls if isinstance(call, FilterCall) and call.outcome]
    counts: Sequence[FilterCall | _Saved] = calls
    alias = router.db_for_write(FilterCall)
    for pause in TRIES:
        time.sleep(pause)
        rows, counts = _rows_left(rows, alias), _counts_left(counts, alias)
        if not rows and not counts:
            return
        connections.close_all()
    incident.note("webfilter_record", f"{len(rows)} calls could not be written, and {len(counts)} not counted.")


def _rows_left(calls: list[FilterCall], alias: str) -> list[FilterCall]:
    """Write the calls, and return those that the database did not take. One bad row keeps a whole bulk insert out."""
    try:
        with transaction.atomic(using=alias):
            FilterCall.objects.using(alias).bulk_create(calls)
    except Exception:  # noqa: BLE001  half of a surrogate pair is no DatabaseError
        return calls if _is_away(alias) else [call for call in calls if not _is_written(call, alias)]
    return []


def _is_away(alias: str) -> bool:
    """Return whether the database cannot be asked now: one row after another would each wait for it."""
    connection = connections[alias]
    return connection.connection is None or not connection.is_usable()


def _is_written(call: FilterCall, alias: str) -> bool:
    """Write one call, or else that it was; return whether the database took it."""
    details = call.detail, call.changes
    for detail, changes in (details, ("The details could not be written.", "")):
        call.pk, call.detail, call.changes = None, detail, changes
        try:
            with transaction.atomic(using=alias):
                call.save(using=alias, force_insert=True)
        except Exception:  # noqa: BLE001, S112  as above
            continue
        return True
    call.pk, (call.detail, call.changes) = None, details
    return False


def _counts_left(calls: Sequence[FilterCall | _Saved], alias: str) -> list[FilterCall | _Saved]:
    """Count the calls of each webfilter, and return those of the webfilters that could not be counted for.

    For one that was deleted meanwhile there is nothing left to count.
    """
    try:
        known = set(Webfilter.objects.using(alias).values_list("pk", flat=True))
    except Exception:  # noqa: BLE001  the next try
        return list(calls)
    by_webfilter: defaultdict[int, list[FilterCall | _Saved]] = defaultdict(list)
    for call in calls:
        if call.webfilter_id in known:
            by_webfilter[call.webfilter_id].append(call)
    return [call for pk, own in by_webfilter.items() if not _is_counted(pk, own, alias) for call in own]


def _is_counted(webfilter_id: int, calls: Sequence[FilterCall | _Saved], alias: str) -> bool:
    total, latest = _total(calls)
    changes: dict[str, object] = {name: F(name) + number for name, number in total.items()}
    if latest is not None:
        changes["last_call_at"] = latest
    rows = WebfilterCounter.objects.using(alias)
    try:
        with transaction.atomic(using=alias):
            rows.get_or_create(webfilter_id=webfilter_id)
            rows.filter(webfilter_id=webfilter_id).update(**changes)
    except Exception:  # noqa: BLE001  the next try
        return False
    return True


def _total(calls: Sequence[FilterCall | _Saved]) -> tuple[Counter[str], datetime | None]:
    """Return what to add to the counters of one webfilter, and when it was last asked."""
    total: Counter[str] = Counter()
    latest = None
    for call in calls:
        if isinstance(call, _Saved):
            total["changed"] += 1
            continue
        total.update(("calls", *_COUNTED_AS.get(call.outcome, ("failed",))))
        total["milliseconds"] += call.duration
        latest = call.created
    return total, latest
