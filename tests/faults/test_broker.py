"""Redis stopped, flushed and started again, while events go on."""

from __future__ import annotations

import pytest

from openedx_webhooks.testing import Receiver
from tests.faults.ledger import Database, settle
from tests.faults.test_workers import RECOVERY, all_done, emitting
from tests.services.processes import Redis, Site, wait_until


class Supervised:
    """A worker that is started again when it has ended, as Docker does.

    Celery may end when it loses Redis while it holds a message (seen with 5.7).
    """

    def __init__(self, site: Site) -> None:
        self._site, self._starts = site, 0
        self._process = site.worker("worker0")

    def lives(self) -> bool:
        """Start it again where it has ended."""
        if self._process.poll() is not None:
            self._starts += 1
            self._process = self._site.start_worker(f"worker{self._starts}")
        return True


@pytest.mark.parametrize("fault", ["restarted", "flushed"])
def test_redis_is_lost_while_events_go_on(
    fault: str, *, site: Site, redis: Redis, database: Database, receiver: Receiver, paths: list[str]
) -> None:
    supervised = Supervised(site)
    emitter = emitting(site, "0", "100000", "0.02")
    receiver.wait_for(100, timeout=60)
    if fault == "restarted":
        redis.stop()
        during = emitting(site, "1000", "20", "0", name="during")
        assert during.wait(timeout=60) == 0
        redis.start()
    else:
        for _ in range(20):
            redis.flush()
            seen = len(receiver.requests)
            wait_until(lambda n=seen: supervised.lives() and len(receiver.requests) > n, 120)  # type: ignore[misc]
    emitter.terminate()
    wait_until(lambda: supervised.lives() and database.unfinished() == 0, RECOVERY, database.states)
    all_done(database, [emitter])
    settle(database, receiver, paths)
