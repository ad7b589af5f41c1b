"""What was committed, what arrived, and the rules that hold between the two."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

try:
    import MySQLdb
except ImportError:  # A machine without the driver skips what uses it.
    MySQLdb = None

from openedx_webhooks.testing import Received, Receiver
from tests.faults.emit import PHANTOM
from tests.services.processes import say


class Database:
    """Plain queries, over a connection each, whatever happens to the server between them."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        settings = self.settings
        connection = MySQLdb.connect(
            host=settings["HOST"],
            port=int(settings.get("PORT") or 3306),
            user=settings["USER"],
            database=settings["NAME"],
            connect_timeout=5,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                connection.commit()
                return list(cursor.fetchall())
        finally:
            connection.close()

    def count(self, status: str) -> int:
        return int(self.rows("SELECT COUNT(*) FROM openedx_webhooks_delivery WHERE status = %s", status)[0][0])

    def unfinished(self) -> int:
        sql = "SELECT COUNT(*) FROM openedx_webhooks_delivery WHERE status IN ('pending', 'leased')"
        return int(self.rows(sql)[0][0])

    def states(self) -> str:
        rows = self.rows("SELECT status, attempts, COUNT(*), MIN(due_at) FROM openedx_webhooks_delivery GROUP BY 1, 2")
        slots = self.rows("SELECT UTC_TIMESTAMP(6), id, token, until, marked FROM openedx_webhooks_drainslot")
        return f"{[tuple(map(str, row)) for row in rows]}; {[tuple(map(str, row)) for row in slots]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The figures of one scenario."""

    committed: int
    webhooks: int
    delivered: int
    requests: int
    duplicates: int

    def __str__(self) -> str:
        return (
            f"{self.committed} committed x {self.webhooks} webhooks, {self.delivered} delivered, "
            f"{self.requests} requests, {self.duplicates} of them again; 0 lost, 0 phantom"
        )


def settle(database: Database, receiver: Receiver, paths: Sequence[str]) -> Account:
    """Assert what holds once everything is quiet, print the figures, and return them.

    Every committed event arrived at every webhook at least once, nothing else ever did, what came twice is the same
    message with the same bytes, and no delivery is stuck.
    """
    committed = {int(key) for (key,) in database.rows("SELECT session_key FROM django_session")}
    recorded = [_number(body) for (body,) in database.rows("SELECT body FROM openedx_webhooks_event")]
    assert sorted(recorded) == sorted(committed), "what was recorded is not what was committed"
    assert not [number for number in committed if number >= PHANTOM]
    by_path: dict[str, list[Received]] = defaultdict(list)
    for request in receiver.requests:
        by_path[request.path].append(request)
    for path in paths:
        _complete(path, by_path.pop(path, []), committed)
    assert not by_path, f"requests to {sorted(by_path)}"
    assert database.unfinished() == 0, database.states()
    requests = len(receiver.requests)
    account = Account(
        committed=len(committed),
        webhooks=len(paths),
        delivered=database.count("delivered"),
        requests=requests,
        duplicates=requests - len(committed) * len(paths),
    )
    assert account.delivered == account.committed * account.webhooks, database.states()
    say(str(account))
    return account


def _complete(path: str, requests: Sequence[Received], committed: set[int]) -> None:
    ids: dict[int, set[str]] = defaultdict(set)
    bodies: dict[str, set[bytes]] = defaultdict(set)
    for request in requests:
        ids[_number(request.body)].add(request.message_id)
        bodies[request.message_id].add(request.body)
    assert set(ids) <= committed, f"{path} received what was never committed: {sorted(set(ids) - committed)[:10]}"
    assert set(ids) == committed, f"{path} did not receive {sorted(committed - set(ids))[:10]}"
    assert all(len(each) == 1 for each in ids.values()), "an event came under two webhook-ids"
    assert all(len(each) == 1 for each in bodies.values()), "a message came with other bytes"


def _number(body: bytes | str) -> int:
    return int(json.loads(body)["user"]["id"])


def again(requests: Sequence[Received]) -> int:
    """Return how many requests came more than once to the same path."""
    seen = Counter((request.path, request.message_id) for request in requests)
    return sum(count - 1 for count in seen.values())
