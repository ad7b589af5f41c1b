"""What an engine meets that tests of single answers do not: mixtures, poison, locks of its own making, outages."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from openedx_webhooks import egress, wakeup
from openedx_webhooks.data import Outcome, Reply
from openedx_webhooks.deliveries import claim, engine, fanout, record, retry, stream
from openedx_webhooks.deliveries.claim import Claimer, Job
from openedx_webhooks.deliveries.due import Walk
from openedx_webhooks.deliveries.health import HealthKeeper
from openedx_webhooks.deliveries.record import Result
from openedx_webhooks.deliveries.rooms import Rooms
from openedx_webhooks.models import Attempt, Delivery, Event, Incident, Webhook, WebhookHealth
from openedx_webhooks.testing import HANG, Answer, Receiver
from tests.deliveries.events import log_in

pytestmark = pytest.mark.django_db(transaction=True)


OUTCOME = Outcome(started_at=timezone.now(), duration=0.1, reply=Reply(status=200))


def webhook_for(receiver: Receiver, **fields: Any) -> Webhook:
    return Webhook.objects.create(**{"event": "*", "webhook_url": receiver.url("/hook"), **fields})


def drain() -> engine.Tally:
    tally = engine.drain()
    assert tally is not None
    return tally


def test_retry_after_outlasts_the_answers_beside_it(receiver: Receiver) -> None:
    """Four requests under way at once: one is told to wait, the others fail and succeed."""
    webhook_for(receiver)
    for number in range(4):
        log_in(number)
    receiver.answer(Answer(status=429, headers={"Retry-After": "1200"}), Answer(status=500, delay=0.1), 200, 200)
    drain()
    hold = WebhookHealth.objects.get().hold_until
    assert hold is not None
    assert (hold - timezone.now()).total_seconds() > 1100
    log_in(5)
    before = len(receiver.requests)
    drain()
    assert len(receiver.requests) == before


def test_a_webhook_whose_address_is_refused_and_then_fails_counts_both(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = []
    webhook_for(receiver)
    log_in()
    drain()
    assert WebhookHealth.objects.get().refused_at is not None
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = ["127.0.0.1"]
    receiver.answer(500)
    WebhookHealth.objects.update(hold_until=None)
    drain()
    health = WebhookHealth.objects.get()
    assert (health.refused_at, health.refusal, health.failures) == (None, "", 1)


def test_of_mixed_outcomes_each_failure_since_the_last_success_counts(receiver: Receiver) -> None:
    webhook = webhook_for(receiver)
    refused = replace(OUTCOME, reply=Reply(status=500))
    job = Job((1, "token"), 1, 1, webhook.pk, "default", 2, 0, "")
    results = [
        Result(job, webhook.webhook_url, "", outcome, retry.judge(outcome, 1, (0, 5), 0.0))
        for outcome in (refused, OUTCOME, OUTCOME, refused, OUTCOME, OUTCOME, refused, refused, refused)
    ]
    HealthKeeper(connection).update(results)
    health = WebhookHealth.objects.get()
    assert health.failures == 3
    assert health.last_success_at is not None
    assert health.failing_since is not None


def test_what_is_refused_keeps_its_place_and_expires_in_its_time(receiver: Receiver, settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_ALLOWED_NETWORKS = []
    webhook_for(receiver)
    log_in()
    long_ago = timezone.now() - timedelta(days=40)
    Delivery.objects.update(due_at=long_ago)
    drain()
    assert Delivery.objects.get().due_at == long_ago


def test_two_claims_of_one_delivery_are_two(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock steps back: the lease of what is under way seems to have ended, and the sweep passes it over."""
    webhook_for(receiver)
    log_in()
    receiver.answer(Answer(delay=0.5))

    def step_back() -> None:
        receiver.wait_for(1)
        Delivery.objects.update(due_at=timezone.now() + timedelta(hours=1))
        connection.close()

    thread = threading.Thread(target=step_back)
    thread.start()
    monkeypatch.setattr("openedx_webhooks.deliveries.stream.SWEEP_PACE", 0.05)
    tally = drain()
    thread.join()
    assert tally.delivered == 1
    assert len(receiver.requests) == 1


def test_a_timeout_beyond_the_bounds_is_bounded() -> None:
    webhook = Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/", timeout=120)
    log_in()
    claimer, walk = Claimer(connection, Rooms()), Walk()
    (job,) = claimer.claim(walk)
    assert job.webhook_id == webhook.pk
    assert (Delivery.objects.get().due_at - timezone.now()).total_seconds() <= claim.LONGEST_LEASE


def test_more_webhooks_than_sockets_take_turns() -> None:
    """Each of twenty webhooks with a great many due gets its part, though eight could take every socket."""
    for _ in range(20):
        Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/")
    for number in range(40):
        log_in(number)
    rooms = Rooms(sockets=50)
    claimer, walk, served = Claimer(connection, rooms), Walk(), Counter[int]()
    for _ in range(30):
        for job in claimer.claim(walk):
            served[job.webhook_id] += 1
            rooms.finish(job.webhook_id, job.size, ok=True)
    assert len(served) == 20
    assert max(served.values()) <= 2 * min(served.values())


def test_a_row_that_a_later_version_wrote_ends_alone(receiver: Receiver) -> None:
    webhook_for(receiver)
    for number in range(3):
        log_in(number)
    poison = Delivery.objects.earliest("id")
    Delivery.objects.filter(pk=poison.pk).update(encoding="morse")
    assert drain().delivered == 2
    poison.refresh_from_db()
    assert (poison.status, poison.reason) == ("failed", "unreadable")


def test_an_event_that_cannot_be_fanned_out_stops_nobody(receiver: Receiver, monkeypatch: Any) -> None:
    monkeypatch.setattr("openedx_webhooks.deliveries.outbox.MAX_IN_REQUEST", 0)
    webhook_for(receiver)
    log_in(1)
    Event.objects.update(fan_out="not JSON")
    log_in(2)
    assert drain().delivered == 1
    assert fanout.fan_out(connection) == 0
    assert Incident.objects.filter(kind="fan-out").exists()


def test_results_in_hand_wait_for_a_database_that_is_away(receiver: Receiver) -> None:
    webhook_for(receiver)
    for number in range(10):
        log_in(number)
    failing = iter([True] * 6 + [False] * 10_000)

    def away(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "token FROM openedx_webhooks_delivery WHERE id IN" in sql and "event_id" not in sql and next(failing):
            raise OperationalError(2013, "Lost connection during query")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(away):
        assert drain().delivered == 10
    assert len(receiver.requests) == 10
    assert Attempt.objects.count() == 10


def test_sockets_are_what_the_process_may_open() -> None:
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128));"
        "from openedx_webhooks import egress; print(egress.sockets_to_be_had(500))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 16 <= int(out.stdout) <= 64
    assert egress.sockets_to_be_had(5) == 5


def test_two_first_wake_ups_at_once_start_one_thread_that_hears_both(settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_DISPATCH = "thread"
    looks = threading.Semaphore(0)

    def run(wake: threading.Event, stop: threading.Event) -> None:
        while not stop.is_set():
            wake.wait()
            wake.clear()
            looks.release()

    runner, report = wakeup._wakers.runner, wakeup._wakers.report
    wakeup.register(runner=run, report=report)
    try:
        for _ in range(20):
            wakeup.stop()
            start = threading.Barrier(8)

            def notify(barrier: threading.Barrier = start) -> None:
                barrier.wait()
                wakeup.notify()

            threads = [threading.Thread(target=notify) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert looks.acquire(timeout=10)
            while looks.acquire(blocking=False):
                pass
            wakeup.notify()
            assert looks.acquire(timeout=10), "the thread that runs hears what comes later"
    finally:
        wakeup.stop()
        wakeup.register(runner=runner, report=report)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_threads_of_its_own(settings: Any) -> None:
    settings.OPENEDX_WEBHOOKS_DISPATCH = "thread"
    wakeup.notify()
    pid = os.fork()
    if pid == 0:
        wakeup.notify()
        thread = wakeup._wakers.mine().thread
        os._exit(0 if thread is not None and thread.is_alive() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_after_its_slice_a_drain_still_serves_the_quick_while_it_waits_for_the_slow(
    receiver: Receiver, monkeypatch: Any
) -> None:
    with Receiver() as hanging:
        hanging.answer(HANG)
        webhook_for(hanging, timeout=3)
        quick = webhook_for(receiver)
        log_in(0)
        after_the_slice = threading.Event()

        def emit_late() -> None:
            # The hanging request is under way, the slice is over, and the quick webhook has answered once.
            receiver.wait_for(1)
            hanging.wait_for(1)
            after_the_slice.wait(1.0)
            log_in(1)
            connection.close()

        thread = threading.Thread(target=emit_late)
        thread.start()
        tally = engine.drain(seconds=0.5)
        thread.join()
        assert tally is not None
        assert Delivery.objects.filter(webhook=quick, status="delivered").count() == 2


def test_what_was_recorded_before_the_database_went_away_counts(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush is written in pieces: the first is committed when the second meets an outage."""
    monkeypatch.setattr("openedx_webhooks.deliveries.record.ROWS", 2)
    monkeypatch.setattr("openedx_webhooks.deliveries.stream.BUSY_PACE", 0.01)
    for number in range(4):
        webhook_for(receiver, webhook_url=receiver.url(f"/{number}"))
    receiver.answer(410)
    log_in()
    written: list[str] = []

    def away(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("INSERT INTO openedx_webhooks_attempt"):
            written.append(sql)
            if 1 < len(written) <= 1 + sql_tries:
                raise OperationalError(2013, "Lost connection")
        return execute(sql, params, many, context)

    sql_tries = 5
    with connection.execute_wrapper(away):
        tally = drain()
    assert len(written) > 1 + sql_tries
    assert tally.failed == 4
    assert not Webhook.objects.filter(enabled=True).exists()


def test_a_commit_that_was_not_answered_counts_once(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """The connection is lost behind the commit, so that it took effect and nobody was told."""
    webhook_for(receiver)
    receiver.answer(410)
    log_in()
    committed = connection.commit
    lost: list[int] = []

    def lose() -> None:
        committed()
        if not lost and Attempt.objects.exists():
            lost.append(1)
            raise OperationalError(2013, "Lost connection")

    connection.commit = lose  # type: ignore[method-assign]
    try:
        tally = drain()
    finally:
        connection.commit = committed  # type: ignore[method-assign]
    assert lost
    assert tally.failed == 1
    assert Attempt.objects.count() == 1
    assert not Webhook.objects.get().enabled
    assert "another worker" not in caplog.text


def test_what_was_never_tried_counts_no_attempt(receiver: Receiver) -> None:
    webhook_for(receiver)
    log_in()
    Delivery.objects.update(encoding="morse")
    drain()
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.reason, delivery.attempts) == ("failed", "unreadable", 0)


def test_after_a_slice_nothing_is_begun_that_could_outlast_the_longest_timeout() -> None:
    slow = Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/", timeout=60)
    quick = Webhook.objects.create(event="*", webhook_url="http://127.0.0.1:9/", timeout=1)
    log_in()
    walk = Walk(longest=30.0)
    (job,) = Claimer(connection, Rooms()).claim(walk)
    assert job.webhook_id == quick.pk != slow.pk
    assert walk.capped, "there is more to do for whoever goes on"


def test_a_body_that_a_later_version_wrote_ends_alone(receiver: Receiver) -> None:
    """The site has gone back, and the event holds an encoding of which nobody here knows the content type."""
    webhook_for(receiver)
    log_in(1)
    Event.objects.update(other_bodies='{"avro": "00"}')
    Delivery.objects.update(encoding="avro")
    log_in(2)
    assert drain().delivered == 1
    assert Delivery.objects.get(encoding="avro").reason == "unreadable"


def test_a_fan_out_passes_over_what_it_does_not_know(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openedx_webhooks.deliveries.outbox.MAX_IN_REQUEST", 1)
    first, second = webhook_for(receiver), webhook_for(receiver)
    log_in()
    fan_out = f'[[{first.pk}, "avro"], [{second.pk}, "default"]]'
    Event.objects.update(fan_out=fan_out, other_bodies='{"avro": "00"}')
    assert drain().delivered == 1
    assert "no encoding known" in Incident.objects.get(kind="fan-out").detail


def test_what_somebody_has_locked_is_tried_again_at_a_pace(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not as fast as the database answers, for as long as the lock is held."""
    webhook_for(receiver)
    log_in()
    tries: list[float] = []
    lock = record._lock

    def locked(on: Any, jobs: Any) -> Any:
        tries.append(time.monotonic())
        return (set(), {job.delivery_id for job in jobs}) if len(tries) < 4 else lock(on, jobs)

    monkeypatch.setattr(record, "_lock", locked)
    assert drain().delivered == 1
    assert len(tries) == 4
    assert min(later - earlier for earlier, later in itertools.pairwise(tries)) >= 0.9 * stream.BUSY_PACE


def test_a_commit_that_was_not_answered_leaves_a_locked_row_for_later(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server still has the lost session, with its locks: nobody knows yet whether it took effect."""
    webhook_for(receiver)
    log_in()
    (job,) = Claimer(connection, Rooms()).claim(Walk())
    result = Result(job=job, url="", request_headers="", outcome=OUTCOME, verdict=retry.DELIVERED)
    monkeypatch.setattr(record, "_lock", lambda _on, jobs: (set(), {job.delivery_id for job in jobs}))
    (piece,) = record.record(connection, [result], {job.key})
    assert (piece.written, piece.busy) == ([], [result])
