"""MariaDB, Redis and real Celery workers: everything arrives, once, and without beat."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from pathlib import Path

from openedx_webhooks.models import Attempt, Delivery, Webhook
from openedx_webhooks.testing import Receiver
from tests.services import burst
from tests.services.conftest import Redis, Site, wait_until


def all_delivered(count: int) -> bool:
    return Delivery.objects.filter(status="delivered").count() == count


def test_a_thousand_events_reach_three_webhooks_each_once(site: Site, receiver: Receiver) -> None:
    webhooks = [Webhook.objects.create(event="*", webhook_url=receiver.url(f"/{n}")) for n in range(3)]
    site.worker()
    site.emit(1000)
    wait_until(lambda: all_delivered(3000), 90, f"3,000 deliveries:\n{site.log('worker')[-3000:]}")
    for webhook in webhooks:
        path = webhook.webhook_url.removeprefix(receiver.url("")[:-1])
        ids = Counter(r.message_id for r in receiver.requests if r.path.endswith(path[-2:]))
        assert len(ids) == 1000
        assert set(ids.values()) == {1}
    assert Attempt.objects.count() == 3000


def test_retries_come_without_other_traffic_also_after_redis_was_restarted(
    site: Site, redis: Redis, receiver: Receiver
) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    receiver.answer(500, 500, 200)
    site.worker()
    site.emit(1)
    receiver.wait_for(1, timeout=30)
    redis.stop()
    redis.start()
    wait_until(lambda: all_delivered(1), 150, f"the third attempt:\n{site.log('worker')[-3000:]}")
    delivery = Delivery.objects.get()
    assert delivery.attempts == 3
    starts = list(Attempt.objects.order_by("number").values_list("started_at", flat=True))
    due = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(starts)]
    assert due[0] < 3.3 + 62
    assert due[1] < 6.6 + 62


def test_a_worker_that_is_killed_loses_nothing(site: Site, receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    worker = site.worker("first")
    emitting = site.start_emitting(300)
    receiver.wait_for(50, timeout=30)
    site.kill(worker)
    assert emitting.wait(timeout=60) == 0
    site.worker("second")
    # The dead worker's leases end after the timeout plus 30 seconds, its slot after 20.
    wait_until(lambda: all_delivered(300), 150, f"300 deliveries:\n{site.log('second')[-3000:]}")
    assert len({request.message_id for request in receiver.requests}) == 300


def test_celery_and_a_process_of_its_own_share_the_work(site: Site, receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    site.worker()
    site.deliver_for_ever()
    site.emit(200)
    wait_until(lambda: all_delivered(200), 60, "200 deliveries")
    assert sorted(Counter(r.message_id for r in receiver.requests).values()) == [1] * 200


def test_the_command_ends_cleanly_on_sigterm(site: Site, receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    process = site.deliver_for_ever()
    site.emit(5)
    wait_until(lambda: all_delivered(5), 30, "5 deliveries")
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert Delivery.objects.filter(status="leased").count() == 0


def test_the_tasks_module_is_found_by_the_worker(site: Site, tmp_path: Path) -> None:
    site.worker()
    assert "openedx_webhooks.tasks.deliver" in site.log("worker")


def test_one_wake_up_of_a_burst_outlasts_a_deep_queue(site: Site, receiver: Receiver) -> None:
    """The others are passed over when their turn comes, so that a queue that was stuck holds few drains."""
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    assert site.start("burst", ["-m", "tests.services.burst", "1"]).wait(timeout=60) == 0, site.log("burst")
    time.sleep(1.5)  # longer than the brief ones last
    site.worker(concurrency=1)
    wait_until(lambda: all_delivered(burst.EVENTS), 60, f"the deliveries:\n{site.log('worker')[-3000:]}")
    wait_until(lambda: site.log("worker").count("Discarding revoked task") == burst.EVENTS - 1, 30, "the brief ones")
