"""A process that emits as the platform does, in transactions that write rows of their own.

``python -m tests.faults.emit <first> <count> <seconds between>``: of five events one is rolled back whole, one with
the savepoint it was emitted in. ``--die`` kills the process at its first commit, before anything is woken;
``--asked`` emits one for each line that comes in. SIGTERM ends it after the event it is at.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

import django

PHANTOM = 1_000_000
"""Numbers from here on belong to work that was rolled back; none of them may ever arrive."""


class _Undone(Exception):
    """What a view raises to undo its work."""


def main(options: Namespace) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    for number in _numbers(options):
        _emit(number, die=options.die)
        if ended.wait(options.pace):
            break
    _leave()


def _numbers(options: Namespace) -> Iterator[int]:
    numbers = iter(range(options.first, options.first + options.count))
    if options.asked:
        return (number for number, _line in zip(numbers, sys.stdin, strict=False))
    return numbers


def _emit(number: int, *, die: bool) -> None:
    from django.db import InterfaceError, OperationalError, connection

    try:
        _request(number, die=die)
        if number % 5 == 3:
            _undone(PHANTOM + number)
    except (OperationalError, InterfaceError) as error:
        sys.stderr.write(f"a request failed: {number} {error}\n")
        connection.close()


def _request(number: int, *, die: bool) -> None:
    """Write a row, emit, and write again: who sees the session of this number sees a committed request."""
    from django.contrib.sessions.models import Session
    from django.db import transaction
    from django.utils import timezone

    from tests.deliveries.events import log_in

    with transaction.atomic():
        if die:
            transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        Session.objects.create(session_key=str(number), session_data="", expire_date=timezone.now())
        if number % 5 == 4:
            _undone(PHANTOM + number)
        log_in(number)
        Session.objects.filter(pk=str(number)).update(session_data="logged in")


def _undone(number: int) -> None:
    """Emit and roll back: the savepoint inside a transaction, else the whole of it."""
    from django.db import transaction

    from tests.deliveries.events import log_in

    try:
        with transaction.atomic():
            log_in(number)
            raise _Undone
    except _Undone:
        pass


def _leave() -> None:
    """Give the waking thread the time that a web process, which lives on, would."""
    from openedx_webhooks import wakeup

    deadline = time.monotonic() + 5
    while wakeup.pending() and time.monotonic() < deadline:
        time.sleep(0.01)


if __name__ == "__main__":
    django.setup()
    parser = ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("pace", type=float)
    parser.add_argument("--die", action="store_true")
    parser.add_argument("--asked", action="store_true")
    main(parser.parse_args())
