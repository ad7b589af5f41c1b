"""What fifty receivers that hang do to the latency of fifty healthy ones: from emission to arrival, through Celery."""

from __future__ import annotations

import time

from tests.benchmarks import events, host
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rounds import Line, Round, alternate, compare

HEALTHY = HANGING = 50
TICKS, PACE = 16, 0.4
"""Emissions of each kind in a round, and seconds between them."""


def run(receiver: Receiver, rounds: int) -> list[Line]:
    """Return the line of this part. Needs ``host.enter`` before."""
    host.create(host.DATABASE)
    pairs: list[Round] = alternate(
        lambda: latencies(receiver, hanging=HANGING), lambda: latencies(receiver, hanging=0), rounds
    )
    what = f"Latency of {HEALTHY} webhooks with {HANGING} more hanging / without them"
    return [compare(what, pairs, at_most=2, unit="ms")]


def latencies(receiver: Receiver, *, hanging: int) -> list[float]:
    """Emit at a steady pace; return the seconds from each emission to each healthy arrival."""
    from openedx_webhooks.models import Event
    from tests.deliveries.events import log_in

    host.empty()
    host.subscribe(events.NAME, [receiver.url(f"0/{number}") for number in range(HEALTHY)])
    host.subscribe("SESSION_LOGIN_COMPLETED", [receiver.url(f"hang/{number}") for number in range(hanging)])
    receiver.take()
    send = events.sender()
    with host.waking_workers(), host.celery_worker():
        for _ in range(TICKS):
            log_in()
            send()
            time.sleep(PACE)
        arrivals = receiver.wait(0, 1)
        while (healthy := [a for a in arrivals if a.path.startswith("/0/")]) and len(healthy) < TICKS * HEALTHY:
            time.sleep(0.1)
            arrivals += receiver.take()
    created = {e.message_id: e.created.timestamp() for e in Event.objects.all()}
    return [a.when - created[a.webhook_id] for a in healthy]
