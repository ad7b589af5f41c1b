"""What a long history costs: the same work in an empty site and in one with a full log and 10,000 webhooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.benchmarks import events, host
from tests.benchmarks.passing import Passing
from tests.benchmarks.rounds import Line, alternate, compare, timed

EMPTY, FULL = (f"{host.DATABASE}_{name}" for name in ("empty", "full"))
MATCHING, A_PAGE, WEBHOOKS = 10, 100, 10_000
"""Webhooks that want the event; all webhooks of the empty site, a page in the admin; and of the full one."""
URL = "http://127.0.0.1:9/"
LIMIT = 1.5


def run(rounds: int, finished: int, passed: int, emitted: int) -> list[Line]:
    """Return the lines of this part. Needs ``host.enter`` before."""
    host.create(EMPTY, FULL)
    for database, webhooks, rows in ((EMPTY, A_PAGE, 0), (FULL, WEBHOOKS, finished)):
        host.use(database)
        fill(webhooks, rows)
    log = f"{finished:,} finished deliveries and {WEBHOOKS:,} webhooks"
    lines = [*steps(log, rounds), *admin(log, rounds)]
    host.use(EMPTY)
    lines += [*beside_a_snapshot(rounds, passed), one_transaction(emitted)]
    host.drop(EMPTY, FULL)
    return lines


def fill(webhooks: int, finished: int) -> None:
    """Write webhooks, of which ``MATCHING`` are spread among the others, and a log of finished deliveries."""
    from django.db import connection

    from openedx_webhooks import signing
    from openedx_webhooks.models import Webhook

    step = webhooks // MATCHING
    Webhook.objects.bulk_create(
        Webhook(
            event="SESSION_LOGIN_COMPLETED" if number % step else events.NAME,
            webhook_url=URL,
            secret=signing.generate_secret(),
        )
        for number in range(webhooks)
    )
    host.forget()
    with connection.cursor() as cursor:
        for statement in _HISTORY if finished else ():
            for start in range(1, finished + 1, 100_000):
                cursor.execute(statement.format(first=start, last=min(start + 99_999, finished), webhooks=webhooks))
        cursor.execute("ANALYZE TABLE openedx_webhooks_delivery, openedx_webhooks_event, openedx_webhooks_webhook")
        cursor.fetchall()


_PAST = "UTC_TIMESTAMP(6) - INTERVAL 1 DAY"
_EVENTS = (
    "INSERT INTO openedx_webhooks_event (id, message_id, name, event_type, course_keys, body, to_fan_out, created)"
    " SELECT seq, UUID(), 'SESSION_LOGIN_COMPLETED', 'org.openedx.learning.auth.session.login.completed.v1', '',"
    f" REPEAT('x', 400), 0, {_PAST} FROM seq_{{first}}_to_{{last}} WHERE seq % 10 = 1"
)
_DELIVERIES = (
    "INSERT INTO openedx_webhooks_delivery (event_id, webhook_id, encoding, size, status, attempts, last_error, reason,"
    " created, due_at, finished_at, last_status) SELECT seq - (seq - 1) % 10, 1 + seq % {webhooks}, 'default', 400,"
    f" 'delivered', 1, '', '', {_PAST}, {_PAST}, {_PAST}, 200 FROM seq_{{first}}_to_{{last}}"
)
_ATTEMPTS = (
    "INSERT INTO openedx_webhooks_attempt (delivery_id, number, started_at, duration, url, status, request_headers,"
    f" response_headers, response_body, error) SELECT seq, 1, {_PAST}, 20, '{URL}', 200, REPEAT('h', 150), '', 'ok', ''"
    " FROM seq_{first}_to_{last}"
)
_HISTORY = (_EVENTS, _DELIVERIES, _ATTEMPTS)


STEPS = {
    "Emission": Passing.emit,
    "Claim": Passing.claim,
    "Claim by a whole look": Passing.whole_look,
    "Record": Passing.record,
}


def steps(log: str, rounds: int) -> list[Line]:
    """Compare emission, claim and record in the full site with the empty one."""
    lines = []
    for what, step in STEPS.items():

        def sample(database: str, step: Callable[[Passing], object] = step) -> list[float]:
            host.use(database)
            passing = Passing()
            return timed(lambda: step(passing), 30, lambda: passing.until(step.__name__))

        pairs = alternate(lambda s=sample: s(FULL), lambda s=sample: s(EMPTY), rounds)  # type: ignore[misc]
        lines.append(compare(f"{what} with {log} / empty", pairs, at_most=LIMIT))
    return lines


def admin(log: str, rounds: int) -> list[Line]:
    """Compare the admin's lists in the full site with the empty one."""
    from django.contrib.auth.models import User

    for database in (EMPTY, FULL):
        host.use(database)
        User.objects.create_superuser("admin", "admin@example.com", "correct horse")

    def sample(database: str, name: str) -> list[float]:
        from django.test import Client

        host.use(database)
        client = Client()
        client.force_login(User.objects.get(username="admin"))
        client.get("/admin/")
        return timed(lambda: _get(client, f"/admin/openedx_webhooks/{name}/"), 5)

    lines = []
    for name in ("delivery", "webhook"):
        pairs = alternate(lambda n=name: sample(FULL, n), lambda n=name: sample(EMPTY, n), rounds)  # type: ignore[misc]
        lines.append(compare(f"The admin's list of each {name} with {log} / empty", pairs, at_most=LIMIT, unit="ms"))
    return lines


def _get(client: Any, path: str) -> None:
    if (answer := client.get(path)).status_code != 200:
        raise RuntimeError(f"{path} answered {answer.status_code}.")


def beside_a_snapshot(rounds: int, passed: int) -> list[Line]:
    """Compare the claim after so many deliveries passed, while another connection held a snapshot, with before.

    A drain's last look, which is a whole one, is shown beside: it reads what the snapshot keeps.
    """
    import MySQLdb

    host.clear_outbox()
    before = {step: claims(rounds, step) for step in (Passing.claim, Passing.whole_look)}
    holder = MySQLdb.connect(host="127.0.0.1", user="root", database=EMPTY)
    cursor = holder.cursor()
    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    cursor.execute("SELECT COUNT(*) FROM openedx_webhooks_delivery")
    passing = Passing()
    while passing.passed < passed:
        passing.emit(100)
        passing.drain()
    after = {step: claims(rounds, step) for step in before}
    holder.close()
    what = f"after {passed:,} deliveries passed beside a consistent snapshot / before"
    claim, look = (list(zip(after[step], before[step], strict=True)) for step in before)
    return [compare(f"Claim {what}", claim, at_most=LIMIT), compare(f"Claim by a whole look {what}", look)]


def claims(rounds: int, step: Callable[[Passing], object]) -> list[Sequence[float]]:
    """Return samples of the seconds of a claim of 40 deliveries."""
    passing = Passing()
    return [timed(lambda: step(passing), 30, lambda: passing.until(step.__name__)) for _ in range(rounds)]


def one_transaction(emitted: int) -> Line:
    """Return what an event costs in a transaction that emits ten thousand of them, with three webhooks."""
    from django.db import transaction

    host.empty()
    host.subscribe(events.NAME, [URL] * 3)
    send = events.sender()
    began = time.perf_counter()
    with transaction.atomic():
        for _ in range(emitted):
            send()
    each = (time.perf_counter() - began) / emitted
    what = f"Each of {emitted:,} events in one transaction, its commit included / 2 ms"
    return Line(what=what, ours=f"{each * 1e3:.3g} ms", other="2 ms", ratio=each / 0.002, at_most=1)
