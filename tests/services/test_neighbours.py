"""Tasks of the platform in the queue that carries our wake-ups."""

from __future__ import annotations

from celery import Celery

from openedx_webhooks.deliveries import engine
from openedx_webhooks.models import Delivery, Webhook
from openedx_webhooks.testing import Answer, Receiver
from tests.services.conftest import Redis, Site, wait_until
from tests.services.processes import say

TIMEOUT = 3.0
BACKLOG = 3000


def test_a_task_behind_ours_waits_for_a_slice_and_not_for_the_backlog(
    site: Site, redis: Redis, receiver: Receiver
) -> None:
    """One worker process, and more to deliver than fits into a slice."""
    for path in ("/a", "/b", "/c"):
        Webhook.objects.create(event="*", webhook_url=receiver.url(path), timeout=TIMEOUT)
    receiver.answer(lambda request: Answer(delay=2.0))
    site.emit(BACKLOG // 3)
    site.worker(concurrency=1)
    receiver.wait_for(1, timeout=30)
    with Celery(broker=redis.url) as platform:
        platform.send_task("celery.backend_cleanup", queue="edx.lms.core.default", ignore_result=True)
    # Generous to a machine that does much else: what must not be waited for is the backlog, asserted below.
    wait_until(lambda: _succeeded(site), 3 * (engine.SLICE + TIMEOUT), "the platform's task")
    waiting = Delivery.objects.exclude(status="delivered").count()
    say(f"the platform's task ran with {waiting} of {BACKLOG} deliveries waiting")
    assert waiting > 0


def _succeeded(site: Site) -> bool:
    return any("celery.backend_cleanup" in line and "succeeded" in line for line in site.log("worker").splitlines())
