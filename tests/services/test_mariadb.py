"""What MariaDB does and SQLite does not: row locks, concurrent claims, sessions in another time zone."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction

from openedx_webhooks import subscriptions
from openedx_webhooks.deliveries import engine
from openedx_webhooks.deliveries.claim import Claimer
from openedx_webhooks.deliveries.due import Walk
from openedx_webhooks.deliveries.rooms import Rooms
from openedx_webhooks.models import Delivery, Event, Webhook
from openedx_webhooks.testing import Receiver
from openedx_webhooks.wakeup import BROKER_PATIENCE
from tests.deliveries.events import log_in
from tests.services.conftest import Site, free_port

URL = "http://127.0.0.1:9/"


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Run with a database connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_learner_does_not_wait_for_whoever_holds_the_webhook() -> None:
    """A transaction that changed the webhook and does not end: the request would wait for it, or fail."""
    webhook = Webhook.objects.create(event="*", webhook_url=URL)
    subscriptions.refresh()
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Webhook.objects.select_for_update().get(pk=webhook.pk)
            Webhook.objects.filter(pk=webhook.pk).update(description="changing")
            locked.set()
            release.wait(30)

    holder = in_thread(hold)
    assert locked.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
    with transaction.atomic():
        log_in()
    assert Delivery.objects.count() == 1
    release.set()
    holder.join()


def test_an_open_request_does_not_keep_the_webhook_from_being_saved() -> None:
    webhook = Webhook.objects.create(event="*", webhook_url=URL)
    with transaction.atomic():
        log_in()
        saved = threading.Event()

        def save() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")
            Webhook.objects.filter(pk=webhook.pk).update(description="saved")
            saved.set()

        in_thread(save).join()
    assert saved.is_set()


def isolate(level: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1")


LEVELS = pytest.mark.parametrize("isolation", ["REPEATABLE READ", "READ COMMITTED"])


@LEVELS
def test_a_learner_does_not_wait_for_whoever_deletes_a_webhook(isolation: str) -> None:
    """A page of the admin that has deleted a webhook, for which much waits, and is not yet through."""
    gone, other = (Webhook.objects.create(event="*", webhook_url=URL) for _ in range(2))
    for number in range(50):
        log_in(number)
    deleted, release = threading.Event(), threading.Event()

    def delete() -> None:
        isolate(isolation)
        with transaction.atomic():
            Webhook.objects.get(pk=gone.pk).delete()
            deleted.set()
            release.wait(30)

    deleting = in_thread(delete)
    assert deleted.wait(10)
    isolate(isolation)
    with transaction.atomic():
        log_in(50)
    release.set()
    deleting.join()
    assert Event.objects.count() == 51
    assert Delivery.objects.filter(webhook=other, status="pending").count() == 51
    ended = Delivery.objects.filter(webhook_id=gone.pk, status="failed", reason="deleted")
    assert ended.count() >= 50


def emit(isolation: str) -> None:
    """Send two events in each of a hundred requests."""
    isolate(isolation)
    for number in range(100):
        with transaction.atomic():
            log_in(number)
            log_in(number)


@LEVELS
def test_deletions_beside_emissions_never_break_a_request(isolation: str, caplog: pytest.LogCaptureFixture) -> None:
    gone = [Webhook.objects.create(event="*", webhook_url=URL) for _ in range(20)]
    for number in range(20):
        log_in(number)
    subscriptions.refresh()

    def delete() -> None:
        isolate(isolation)
        for webhook in gone:
            webhook.delete()

    for thread in [in_thread(partial(emit, isolation)), in_thread(partial(emit, isolation)), in_thread(delete)]:
        thread.join()
    assert "was not recorded" not in caplog.text
    assert not Webhook.objects.exists()


@LEVELS
def test_claims_beside_emissions_never_claim_twice_and_never_break_a_request(isolation: str) -> None:
    for number in range(20):
        Webhook.objects.create(event="*", webhook_url=URL, description=str(number))
    subscriptions.refresh()
    emitted = threading.Event()
    claimed: list[int] = []

    def claim() -> None:
        claimer, walk = Claimer(connection, Rooms(sockets=10_000)), Walk()
        while jobs := [*claimer.claim(walk), *(() if emitted.is_set() else (None,))]:
            claimed.extend(job.delivery_id for job in jobs if job)
            for job in jobs:
                if job:
                    claimer._rooms.finish(job.webhook_id, job.size, ok=True)

    claimers = [in_thread(claim) for _ in range(3)]
    emitters = [in_thread(partial(emit, isolation)) for _ in range(2)]
    for thread in emitters:
        thread.join()
    emitted.set()
    for thread in claimers:
        thread.join()
    assert Event.objects.count() == 400
    assert Delivery.objects.count() == 400 * 20
    assert set(Counter(claimed).values()) == {1}
    assert len(claimed) == 400 * 20


def test_due_times_are_utc_in_a_session_of_another_time_zone(receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    receiver.answer(500)
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+05:30'")
    log_in()
    assert engine.drain().postponed == 1  # type: ignore[union-attr]
    Delivery.objects.update(attempts=4)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE openedx_webhooks_delivery SET due_at = UTC_TIMESTAMP(6) + INTERVAL 4 HOUR")
    assert engine.drain().postponed == 0  # type: ignore[union-attr]
    assert len(receiver.requests) == 1


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are made and nothing is ever answered."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield int(listening.getsockname()[1])


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "never-answers"])
def test_a_broker_that_is_away_is_nothing_to_the_request(
    scheme: str, silent: bool, silent_port: int, tmp_path: Path, receiver: Receiver
) -> None:
    """Every event is recorded at once, where asking the broker would take its second; what drains later delivers."""
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    port = silent_port if silent else free_port()
    site = Site(tmp_path, f"{scheme}://guest:guest@127.0.0.1:{port}//")
    site.emit(20)
    assert Delivery.objects.filter(status="pending").count() == 20
    said = site.log("emit")
    assert "The broker did not take a wake-up" in said
    (seconds,) = (json.loads(line) for line in said.splitlines() if line.startswith("["))
    assert len(seconds) == 20
    assert sum(took > BROKER_PATIENCE / 2 for took in seconds) <= 1, seconds
    assert engine.drain().delivered == 20  # type: ignore[union-attr]


def test_the_claim_reads_its_index(receiver: Receiver) -> None:
    Webhook.objects.create(event="*", webhook_url=receiver.url())
    log_in()
    with connection.cursor() as cursor:
        cursor.execute(
            "EXPLAIN SELECT id, webhook_id, size FROM openedx_webhooks_delivery WHERE status = 'pending'"
            " AND webhook_id = 1 AND due_at <= UTC_TIMESTAMP(6) ORDER BY due_at, id LIMIT 4"
        )
        plan = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    assert plan["key"] == "openedx_webhooks_claim"
    assert "filesort" not in (plan["Extra"] or "")
