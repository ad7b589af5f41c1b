"""How cost grows: with the webhooks of an event, with waiting deliveries, with the size of a payload. For the plots."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial

from tests.benchmarks import events, growth, host, in_request
from tests.benchmarks.passing import Passing
from tests.benchmarks.rounds import timed

COUNT = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One plot: medians over a range."""

    name: str
    title: str
    across: str
    points: list[tuple[float, float]]
    """(what grows, milliseconds)."""


def run(waiting: int) -> list[Curve]:
    """Return the curves; ``waiting`` is the most deliveries that wait. Needs ``host.enter`` before."""
    host.create(host.DATABASE)
    return [webhooks(), waiting_deliveries(waiting), payload_size()]


def webhooks() -> Curve:
    """Return the cost of an event in the request by the number of its webhooks."""
    points = []
    for count in (0, 1, 2, 5, 10, 20, 50, 51, 100, 1000):
        host.empty()
        host.subscribe(events.NAME, [growth.URL] * count)
        points.append((float(count), _median_ms(480)))
    return Curve(name="webhooks", title="An event in the request", across="webhooks of the event", points=points)


def waiting_deliveries(most: int) -> Curve:
    """Return the cost of a claim of 40 deliveries by how many of another webhook wait."""
    from django.db import connection

    host.empty()
    host.subscribe(events.NAME, [growth.URL] * growth.MATCHING)
    (noisy,) = host.subscribe("SESSION_LOGIN_COMPLETED", [growth.URL])
    points, there = [], 0
    for count in (0, 100, 1000, 10_000, 100_000):
        if count > most:
            break
        with connection.cursor() as cursor:
            if count > there:
                cursor.execute(_WAITING.format(first=there + 1, last=count), [noisy])
            cursor.execute("UPDATE openedx_webhooks_delivery SET due_at = UTC_TIMESTAMP(6) + INTERVAL 1 HOUR"
                           " WHERE webhook_id = %s", [noisy])  # fmt: skip
        there = count
        passing = Passing()
        seconds = timed(passing.claim, COUNT, partial(passing.until, "claim"))
        points.append((float(count), statistics.median(seconds) * 1e3))
    return Curve(
        name="waiting", title="A claim of 40 deliveries", across="deliveries waiting of another webhook", points=points
    )


_WAITING = (
    "INSERT INTO openedx_webhooks_delivery (event_id, webhook_id, encoding, size, status, attempts, last_error, reason,"
    " created, due_at) SELECT 0, %s, 'default', 1000, 'pending', 1, '', '', UTC_TIMESTAMP(6), UTC_TIMESTAMP(6)"
    " FROM seq_{first}_to_{last}"
)


def payload_size() -> Curve:
    """Return the cost of an event with ten webhooks in the request by the size of its body."""
    host.empty()
    host.subscribe(events.NAME, [growth.URL] * 10)
    sizes = (0, 500, 3_500, 15_500, 63_500, 200_000)
    points = [(size / 1000 + 0.5, _median_ms(size)) for size in sizes]
    return Curve(name="payload", title="An event with ten webhooks in the request", across="body in kB", points=points)


def _median_ms(characters: int) -> float:
    return statistics.median(in_request.each_in_a_transaction(events.sender(characters), COUNT)) * 1e3
