"""Workers that are killed, missing, or several at once."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openedx_webhooks.deliveries import rooms, stream
from openedx_webhooks.testing import Answer, Receiver
from tests.faults.conftest import SITE_SETTINGS
from tests.faults.ledger import Database, again, settle
from tests.services.processes import Redis, Site, children, free_port, say, wait_until

ROUNDS = int(os.environ.get("WEBHOOKS_KILL_ROUNDS") or 50)
RECOVERY = 180.0
"""Seconds: the slot's 20, the lease's 31, two of the minute's wake-ups, and a slow machine."""


@pytest.fixture
def wide_site(redis: Redis, tmp_path: Path) -> Iterator[Site]:
    """A site with many drains: the slot of a killed one stays taken for 20 seconds, and the others go on."""
    running = Site(tmp_path, redis.url, OPENEDX_WEBHOOKS_MAX_DRAINS=16, **SITE_SETTINGS)
    yield running
    running.stop()


def emitting(site: Site, *arguments: str, name: str = "emit") -> subprocess.Popen[bytes]:
    return site.start(name, ["-m", "tests.faults.emit", *arguments])


def all_done(database: Database, emitters: list[subprocess.Popen[bytes]]) -> None:
    for emitter in emitters:
        assert emitter.wait(timeout=120) in (0, -signal.SIGKILL)
    wait_until(lambda: database.unfinished() == 0, RECOVERY, lambda: f"the last delivery: {database.states()}")


class Fleet:
    """Two Celery workers and a process that drains, each replaced when it is killed whole."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site, self._chance, self._number = site, chance, 0
        self.alive = [site.worker("worker0"), site.worker("worker1"), site.deliver_for_ever("forever2")]
        self._kinds = ["worker", "worker", "forever"]

    def kill_someone(self, number: int) -> None:
        """Kill what drains inside a worker; every fifth time a whole process, and start another."""
        position = self._chance.randrange(3)
        victim = self.alive[position]
        if number % 5 and self._kinds[position] == "worker":
            for pid in children(victim):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return
        self._site.kill(victim)
        name = f"{self._kinds[position]}{number + 3}"
        start = self._site.start_worker if self._kinds[position] == "worker" else self._site.deliver_for_ever
        self.alive[position] = start(name)


def test_workers_killed_at_random_instants(
    wide_site: Site, database: Database, receiver: Receiver, paths: list[str], seed: int
) -> None:
    chance = random.Random(seed)
    receiver.answer(lambda request: Answer(delay=0.1))
    fleet = Fleet(wide_site, chance)
    emitter = emitting(wide_site, "0", "1000000", "0.005")
    receiver.wait_for(100, timeout=60)
    for number in range(ROUNDS):
        seen = len(receiver.requests)
        receiver.wait_until(lambda requests, n=seen: len(requests) > n, 120, "a delivery after the kill")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 1))  # The instant of the kill; nothing is asserted about it.
        fleet.kill_someone(number)
    emitter.terminate()
    all_done(database, [emitter])
    account = settle(database, receiver, paths)
    assert account.duplicates == again(receiver.requests)
    assert account.duplicates <= ROUNDS * (len(paths) * rooms.MOST + stream.FLUSH_ROWS)


@pytest.mark.parametrize("kind", ["celery", "forever"])
def test_a_kill_repeats_no_more_than_was_in_flight_and_one_flush(
    kind: str, site: Site, database: Database, receiver: Receiver, paths: list[str]
) -> None:
    receiver.answer(lambda request: Answer(delay=0.05))
    start = site.worker if kind == "celery" else site.deliver_for_ever
    emitter = emitting(site, "0", "600", "0")
    assert emitter.wait(timeout=120) == 0
    victim = start("victim")
    receiver.wait_for(300, timeout=60)
    site.kill(victim)
    held, before = database.count("leased"), len(receiver.requests)
    assert held <= len(paths) * rooms.MOST + stream.FLUSH_ROWS
    start("heir")
    all_done(database, [])
    account = settle(database, receiver, paths)
    say(f"{kind}: killed after {before} requests, {held} in flight or unrecorded, {account.duplicates} again")
    assert account.duplicates <= held


def test_all_workers_dead_for_a_while(site: Site, database: Database, receiver: Receiver, paths: list[str]) -> None:
    first = site.worker("first")
    first_half = emitting(site, "0", "100", "0")
    receiver.wait_for(50, timeout=60)
    site.kill(first)
    second_half = emitting(site, "1000", "100", "0", name="later")
    assert first_half.wait(timeout=60) == second_half.wait(timeout=60) == 0
    site.worker("second")
    all_done(database, [first_half, second_half])
    settle(database, receiver, paths)


def test_nobody_was_woken(site: Site, database: Database, receiver: Receiver, paths: list[str]) -> None:
    """One process dies between commit and wake-up, another's broker refuses: the minute's look finds both."""
    site.worker()
    dying = emitting(site, "0", "1", "0", "--die", name="dying")
    assert dying.wait(timeout=60) == -signal.SIGKILL, site.log("dying")
    elsewhere = Site(site.folder, f"redis://127.0.0.1:{free_port()}/0", **SITE_SETTINGS)
    unheard = emitting(elsewhere, "10", "10", "0", name="unheard")
    assert unheard.wait(timeout=60) == 0
    elsewhere.stop()
    assert "The broker did not take a wake-up" in site.log("unheard")
    assert receiver.requests == [] or len(receiver.requests) == 33
    wait_until(lambda: database.unfinished() == 0, 90, lambda: f"the minute's look: {database.states()}")
    settle(database, receiver, paths)


def test_two_workers_and_a_process_drain_at_once(
    wide_site: Site, database: Database, receiver: Receiver, paths: list[str]
) -> None:
    receiver.answer(lambda request: Answer(delay=0.02))
    wide_site.worker("one")
    wide_site.worker("two")
    wide_site.deliver_for_ever()
    emitters = [emitting(wide_site, str(n * 1000), "300", "0", name=f"emit{n}") for n in range(3)]
    all_done(database, emitters)
    assert settle(database, receiver, paths).duplicates == 0


def test_no_wake_up_is_stranded(site: Site, database: Database, receiver: Receiver, paths: list[str]) -> None:
    """Single events, each emitted when the one before has arrived: one that nobody was woken for would wait."""
    site.worker()
    emitter = emitting(site, "0", "1500", "0", "--asked")
    assert emitter.stdin is not None
    for number in range(1, 1501):
        emitter.stdin.write(b"\n")
        emitter.stdin.flush()
        receiver.wait_for(number * len(paths), timeout=20)
    emitter.stdin.close()
    all_done(database, [emitter])
    assert settle(database, receiver, paths).duplicates == 0


def test_retries_come_at_their_time_without_beat_and_without_other_traffic(
    redis: Redis, tmp_path: Path, database: Database, receiver: Receiver, paths: list[str]
) -> None:
    schedule = [0, 2, 10, 61]
    site = Site(tmp_path, redis.url, OPENEDX_WEBHOOKS_RETRY_SCHEDULE=schedule, **SITE_SETTINGS)
    receiver.answer(*[500] * 9, 200)
    site.worker()
    assert emitting(site, "0", "1", "0").wait(timeout=60) == 0
    receiver.wait_for(12, timeout=sum(schedule) * 1.1 + 4 * 60)
    all_done(database, [])
    site.stop()
    sql = "SELECT delivery_id, UNIX_TIMESTAMP(started_at) FROM openedx_webhooks_attempt ORDER BY delivery_id, number"
    started: dict[int, list[float]] = {}
    for delivery, at in database.rows(sql):
        started.setdefault(delivery, []).append(float(at))
    assert [len(times) for times in started.values()] == [len(schedule)] * len(paths)
    for times in started.values():
        for wait, earlier, later in zip(schedule[1:], times, times[1:], strict=False):
            say(f"due after {wait} s, started after {later - earlier:.1f} s")
            assert wait - 0.1 <= later - earlier <= wait * 1.1 + 60
