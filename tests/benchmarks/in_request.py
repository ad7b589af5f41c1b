"""What an event costs the learner: with no webhook, with one and with ten, beside plain SQL and beside 22.0.0."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.benchmarks import events, host
from tests.benchmarks.peers.driver import Peer
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rounds import Line, Round, alternate, compare, timed

UTC = "UTC_TIMESTAMP(6)"
BESIDE_PUBLISHED = ((1, 0, 30, None), (10, 0, 10, None), (1, 200, 3, None), (10, 200, 3, 1 / 400))
"""Webhooks, milliseconds that the receivers take, events of 22.0.0 in a round, required ratio."""


def run(receiver: Receiver, rounds: int) -> list[Line]:
    """Return the lines of this part. Needs ``host.enter`` before."""
    host.create(host.DATABASE)
    lines = [*no_webhook(rounds)]
    for webhooks in (1, 10):
        lines += plain_sql(receiver, webhooks, rounds)
    return [*lines, *beside_published(receiver, rounds)]


def no_webhook(rounds: int) -> list[Line]:
    """Compare an event that nobody subscribed to with the same event and a receiver that does nothing."""
    from django.db import transaction

    host.empty()
    send = events.sender()

    def many() -> list[float]:
        with transaction.atomic():
            return timed(send, 2000)

    lines = [
        compare("An event with no webhook / a receiver that does nothing", _against_nothing(many, rounds), at_most=1.3)
    ]
    with stale_after(host.CONFIG_TTL):

        def first() -> list[float]:
            with transaction.atomic(), no_queries():
                return timed(send, 5, lambda: time.sleep(host.CONFIG_TTL * 1.5))

        what = "The first one after CONFIG_TTL, 0 queries / a receiver that does nothing"
        lines.append(compare(what, _against_nothing(first, rounds), at_most=2))
    return lines


def _against_nothing(sample: Callable[[], list[float]], rounds: int) -> list[Round]:
    def nothing() -> list[float]:
        with events.received_by(events.nothing):
            return sample()

    return alternate(sample, nothing, rounds)


@contextmanager
def stale_after(seconds: float) -> Iterator[None]:
    """Have the snapshot of the configuration age, and its thread renew it."""
    from django.test import override_settings

    from openedx_webhooks import subscriptions

    with override_settings(OPENEDX_WEBHOOKS_CONFIG_TTL=seconds):
        subscriptions.stop()
        subscriptions.webhooks("")  # starts the thread
        yield
        subscriptions.stop()
    host.forget()


@contextmanager
def no_queries() -> Iterator[None]:
    """Raise where this thread's connection runs a query."""
    from django.db import connection

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("An event that nobody subscribed to made a query.")

    with connection.execute_wrapper(refuse):
        yield


def plain_sql(receiver: Receiver, webhooks: int, rounds: int) -> list[Line]:
    """Compare an event with the savepoint and the two INSERTs that it makes, in plain SQL.

    The whole ``send_event`` with the SQL alone, and with the same ``send_event`` whose receiver does nothing but that.
    """
    host.empty()
    host.subscribe(events.NAME, [receiver.url(f"0/{number}") for number in range(webhooks)])
    send = events.sender()
    insert = insert_the_same(send)

    def inserting() -> list[float]:
        with events.received_by(insert):
            return each_in_a_transaction(send, 100)

    ours = partial(each_in_a_transaction, send, 100)
    alone = alternate(ours, lambda: each_in_a_transaction(insert, 100), rounds)
    within = alternate(ours, inserting, rounds)
    what = f"An event with {webhooks} webhook{'s' if webhooks > 1 else ''} /"
    return [
        compare(f"{what} a savepoint and two INSERTs, without the event", alone, at_most=1.5),
        compare(f"{what} the event with a receiver that makes them in plain SQL", within, at_most=1.5),
    ]


def each_in_a_transaction(call: Callable[[], object], count: int) -> list[float]:
    """Return the seconds of each call, the commit outside the time."""
    from django.db import transaction

    seconds = []
    for _ in range(count):
        with transaction.atomic():
            seconds += timed(call, 1)
    return seconds


def insert_the_same(send: Callable[[], object]) -> Callable[[], None]:
    """Send once, and return a call that inserts what this wrote: the same columns, the same sizes."""
    from django.db import connection, transaction

    from openedx_webhooks.models import Delivery, Event

    send()
    row = Event.objects.latest("pk")
    first = [row.message_id, row.name, row.event_type, row.course_keys, row.body, row.other_bodies, False, None]
    deliveries = list(Delivery.objects.filter(event=row).values_list("webhook_id", "encoding", "size"))
    insert_event = (
        "INSERT INTO openedx_webhooks_event (message_id, name, event_type, course_keys, body, other_bodies, to_fan_out,"
        f" fan_out, created) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, {UTC})"
    )
    values = f"(%s, %s, %s, %s, 'pending', 0, '', '', {UTC}, {UTC})"
    insert_deliveries = (
        "INSERT INTO openedx_webhooks_delivery (event_id, webhook_id, encoding, size, status, attempts, last_error,"
        f" reason, created, due_at) VALUES {', '.join([values] * len(deliveries))}"
    )

    def insert() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(insert_event, first)
            ident = cursor.lastrowid
            cursor.execute(insert_deliveries, [value for d in deliveries for value in (ident, *d)])

    return insert


def beside_published(receiver: Receiver, rounds: int) -> list[Line]:
    """Compare with openedx-webhooks 22.0.0; ours with its deliveries going out at the same time."""
    database = f"{host.DATABASE}_published"
    host.run_as_root(f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    name = events.enrollment().course.display_name
    with (
        Peer("published", "published.py", database, events.NAME, name) as peer,
        host.waking_workers(),
        host.delivering(),
    ):
        idle = alternate(lambda: peer.ask("send", 200, True), lambda: peer.ask("send", 200, False), rounds)
        lines = [compare("22.0.0: an event with no webhook / a receiver that does nothing", idle)]
        for webhooks, delay, count, at_most in BESIDE_PUBLISHED:
            pairs = _beside(peer, [receiver.url(f"{delay}/{n}") for n in range(webhooks)], count, rounds)
            what = f"An event with {webhooks} webhooks at {delay} ms / 22.0.0"
            lines.append(compare(what, pairs, at_most=at_most, unit="ms"))
    host.drop(database)
    return lines


def _beside(peer: Peer, urls: list[str], count: int, rounds: int) -> list[Round]:
    host.empty()
    host.subscribe(events.NAME, urls)
    peer.ask("webhooks", urls)
    send = events.sender()
    return alternate(lambda: each_in_a_transaction(send, 50), lambda: peer.ask("send", count, True), rounds)
