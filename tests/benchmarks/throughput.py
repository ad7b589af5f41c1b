"""Deliveries per second and CPU per delivery of one worker process."""

from __future__ import annotations

import subprocess
import time

from tests.benchmarks import events, host
from tests.benchmarks.peers.driver import Peer
from tests.benchmarks.receiver import Arrival, Receiver
from tests.benchmarks.rounds import Line, compare_rates
from tests.benchmarks.worker import Work, Worker

WEBHOOKS = 10
PATIENCE = 120.0
PARTS = 3
"""Parts of a round beside the bare loop: these machines change their speed within seconds, by more than a half."""
PEER_EVENTS = 30
"""Events of django-webhook in a round: it is slower by far."""


def run(receiver: Receiver, rounds: int, deliveries: int) -> list[Line]:
    """Return the lines of this part. Needs ``host.enter`` before."""
    host.create(host.DATABASE)
    lines = beside_bare_loop(receiver, rounds, deliveries)
    lines.append(one_hanging(receiver, rounds, deliveries))
    return [*lines, beside_celery_peer(receiver, rounds, deliveries)]


def fill(deliveries: int) -> None:
    """Write an outbox of so many deliveries of an event of about 1 kB."""
    from django.db import transaction

    host.clear_outbox()
    send = events.sender()
    with transaction.atomic():
        for _ in range(deliveries // WEBHOOKS):
            send()


def beside_bare_loop(receiver: Receiver, rounds: int, deliveries: int) -> list[Line]:
    """Compare with an aiohttp loop that signs and posts the same bytes, 32 at once, and records nothing."""
    host.empty()
    host.subscribe(events.NAME, [receiver.url(f"0/{number}") for number in range(WEBHOOKS)])
    pairs: list[tuple[Work, Work]] = []
    receiver.take()
    with Worker(host.DATABASE) as ours, Worker(host.DATABASE) as bare:
        for number in range(PARTS * rounds + 1):
            fill(deliveries // PARTS)
            posts = the_same_posts()
            if number % 2:
                other = bare.do("bare", posts)
                pairs.append((ours.do("drain"), other))
            else:
                pairs.append((ours.do("drain"), bare.do("bare", posts)))
            if len(receiver.take()) != 2 * len(posts):
                raise RuntimeError("Not every delivery arrived.")
    del pairs[0]  # the first of each process
    rates = [(a.rate, b.rate) for a, b in pairs]
    cpu = [(a.cpu_each * 1e6, b.cpu_each * 1e6) for a, b in pairs]
    return [
        compare_rates("Deliveries per second / a bare aiohttp loop, 32 at once", rates, "/s", at_least=0.6),
        compare_rates("CPU per delivery / a bare aiohttp loop, 32 at once", cpu, "us", at_most=1.4),
    ]


def the_same_posts() -> list[tuple[str, bytes, str, bytes]]:
    """Return what the outbox holds as (URL, key, message id, body)."""
    from openedx_webhooks import signing
    from openedx_webhooks.models import Delivery

    rows = Delivery.objects.values_list("webhook__webhook_url", "webhook__secret", "event__message_id", "event__body")
    return [(url, signing.decode_secret(str(key)), ident, body.encode()) for url, key, ident, body in rows]


def one_hanging(receiver: Receiver, rounds: int, deliveries: int) -> Line:
    """Compare the rate of nine healthy receivers beside one that hangs with their rate without it."""
    pairs = []
    for _ in range(rounds):
        with_it = _healthy_rate(receiver, deliveries, hanging=True)
        pairs.append((with_it, _healthy_rate(receiver, deliveries, hanging=False)))
    return compare_rates(
        "Healthy deliveries per second with one of ten hanging / without it", pairs, "/s", at_least=0.9
    )


def _healthy_rate(receiver: Receiver, deliveries: int, *, hanging: bool) -> float:
    host.empty()
    paths = [f"0/{number}" for number in range(WEBHOOKS - 1)] + ["hang/it"] * hanging
    host.subscribe(events.NAME, [receiver.url(path) for path in paths])
    fill(deliveries)
    healthy = deliveries // WEBHOOKS * (WEBHOOKS - 1)
    receiver.take()
    with Worker(host.DATABASE) as worker:
        worker.start("drain")
        deadline = time.monotonic() + PATIENCE
        while receiver.count() < healthy and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
    return _rate([a for a in receiver.take() if a.path.startswith("/0/")][:healthy])


def beside_celery_peer(receiver: Receiver, rounds: int, deliveries: int) -> Line:
    """Compare with django-webhook and its real Celery worker of one process, on the same MariaDB and Redis."""
    database, broker = f"{host.DATABASE}_celery_peer", host.BROKER_URL.rsplit("/", 1)[0] + "/14"
    host.run_as_root(f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    subprocess.run(["redis-cli", "-n", "14", "flushdb"], check=True, stdout=subprocess.DEVNULL)
    urls = [receiver.url(f"0/{number}") for number in range(WEBHOOKS)]
    host.empty()
    host.subscribe(events.NAME, urls)
    with Peer("django-webhook", "celery_peer.py", database, broker) as peer, Worker(host.DATABASE) as worker:
        peer.ask("webhooks", urls)
        peer.ask("work")
        pairs = [_one_round(receiver, worker, peer, deliveries) for _ in range(rounds + 1)]
    host.drop(database)
    return compare_rates("Deliveries per second / django-webhook 0.0.15 on Celery", pairs[1:], "/s", at_least=15)


def _one_round(receiver: Receiver, worker: Worker, peer: Peer, deliveries: int) -> tuple[float, float]:
    """Return both rates as the receiver saw them."""
    fill(deliveries)
    receiver.take()
    worker.do("drain")
    ours = receiver.take()
    peer.ask("create", PEER_EVENTS, "group")
    return _rate(ours), _rate(receiver.wait(PEER_EVENTS * WEBHOOKS, PATIENCE))


def _rate(arrivals: list[Arrival]) -> float:
    when = sorted(arrival.when for arrival in arrivals)
    return (len(when) - 1) / (when[-1] - when[0])
