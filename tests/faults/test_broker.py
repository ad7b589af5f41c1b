"""Redis stopped, flushed and started again, while events go on."""

from __future__ import annotations

import pytest

from openedx_webhooks.testing import Receiver
from tests.faults.ledger import Database, settle
from tests.faults.test_workers import all_done, emitting
from tests.services.processes import Redis, Site


@pytest.mark.parametrize("fault", ["restarted", "flushed"])
def test_redis_is_lost_while_events_go_on(
    fault: str, *, site: Site, redis: Redis, database: Database, receiver: Receiver, paths: list[str]
) -> None:
    site.worker()
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
            receiver.wait_until(lambda requests, n=seen: len(requests) > n, 90)  # type: ignore[misc]
    emitter.terminate()
    all_done(database, [emitter])
    settle(database, receiver, paths)
