"""Write down how attempts ended. Total: whatever a receiver answered, its neighbours are recorded too.

Only a row that still carries the claim's token changes; what a late worker brings is logged and changes nothing. A row
that somebody has locked is passed over and comes again, so that one webhook's locks delay no other's record. One bad
row would keep a whole bulk write out, and all its neighbours would go out again when their leases end, so texts are
cleaned and clipped first, a piece that fails is written row by row, and a row that fails is written with fixed texts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from django.db import Error, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.data import Outcome, Reply, value
from openedx_webhooks.deliveries.claim import Job
from openedx_webhooks.deliveries.retry import Verdict
from openedx_webhooks.deliveries.sql import again, passing, read_committed, skip_locked
from openedx_webhooks.models.clock import execute, fetch, microseconds, numbers, utc_later_sql, utc_now_sql

log = logging.getLogger(__name__)

PIECE = 1024 * 1024
"""Bytes of one bulk write; MySQL refuses packets above ``max_allowed_packet``, 16 MiB or less."""
ROWS = 500
"""Rows of one bulk write; fewer where the database takes fewer parameters in a statement, as SQLite does."""
TEXTS = 5
"""Parameters of a row, at most."""
HEADERS_KEPT = 4096
UNWRITABLE = "(could not be stored)"

Keys = set[tuple[int, str]]
"""Of ``Job.key``."""


@value
class Result:
    """One attempt, and what is to become of its delivery."""

    job: Job
    url: str
    request_headers: str
    outcome: Outcome
    verdict: Verdict
    came: float = 0.0
    """When, on the monotonic clock."""


@value
class _Row:
    """A result, and its attempt as the table takes it."""

    result: Result
    literals: str
    """The delivery, the attempt's number, start and duration, and the HTTP status, as they stand in the SQL."""
    status: int | None
    texts: tuple[str, str, str, str, str]
    """The URL, the headers sent, the headers and the body that came, and the error: cleaned and clipped."""

    @property
    def error(self) -> str:
        return self.texts[4]

    @property
    def size(self) -> int:
        return 2 * sum(map(len, self.texts)) + 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What became of one piece of the results given to ``record``."""

    count: int
    """Of the results that this piece was made of; pieces come in the order of the results."""
    written: list[Result]
    """Their deliveries carried the claim's token, and are as the verdicts say."""
    busy: list[Result]
    """Somebody has their rows locked: to be given again."""


def record(connection: BaseDatabaseWrapper, results: Sequence[Result], tried: Keys) -> Iterator[Recorded]:
    """Write attempts and what becomes of their deliveries, piece by piece; waits for nobody's lock.

    ``tried`` remembers, from one call to the next, what had been written when a commit was not answered.

    A result whose delivery no longer carries the token is neither written nor busy: another worker has it. Raises
    only where the database itself is away; the pieces before are written then, and must not be given again.
    """
    most = connection.features.max_query_params
    rows = ROWS if most is None else min(ROWS, most // TEXTS)
    for piece in _pieces(map(_row, results), rows):
        written, busy = _write_somehow(connection, piece, tried)
        yield Recorded(count=len(piece), written=written, busy=busy)


_Piece = Sequence[_Row]
_Split = tuple[list[Result], list[Result]]


def _write_somehow(connection: BaseDatabaseWrapper, piece: _Piece, tried: Keys) -> _Split:
    """Write a piece in one transaction; where the database refuses it, row by row."""
    try:
        return again(lambda: _write(connection, piece, tried), connection=connection)
    except Error as error:
        if passing(error):
            raise
        log.warning("openedx_webhooks: %s attempts are recorded one by one: %s", len(piece), _code(error))
    parts = [_write_one(connection, row, tried) for row in piece]
    return [r for own, _ in parts for r in own], [r for _, locked in parts for r in locked]


def _write_one(connection: BaseDatabaseWrapper, row: _Row, tried: Keys) -> _Split:
    """Write one row as it is, else with fixed texts, else the delivery alone without its attempt."""
    last: Error | None = None
    for write in (
        lambda: _write(connection, [row], tried),
        lambda: _write(connection, [_plain(row)], tried),
        lambda: _write(connection, [_plain(row)], tried, log_attempts=False),
    ):
        try:
            return again(write, connection=connection)
        except Error as error:
            if passing(error):
                raise
            last = error
    log.error("openedx_webhooks: delivery %s could not be recorded: %s", row.result.job.delivery_id, _code(last))
    return [], []


def _plain(row: _Row) -> _Row:
    """Return the same attempt without a byte that came from outside."""
    result = row.result
    error = UNWRITABLE if result.verdict.error else ""
    url = row.texts[0].encode("ascii", "replace").decode()
    return replace(
        row,
        result=replace(result, verdict=replace(result.verdict, error=error)),
        texts=(url, UNWRITABLE, UNWRITABLE, UNWRITABLE, error),
    )


def _code(error: Exception | None) -> str:
    """Return an error's kind and number, and not its text, which may quote what the receiver answered."""
    number = error.args[0] if error and error.args and isinstance(error.args[0], int) else ""
    return f"{type(error).__name__} {number}".strip()


def _pieces(rows: Iterable[_Row], most: int) -> Iterator[list[_Row]]:
    piece: list[_Row] = []
    size = 0
    for row in rows:
        more = row.size
        if piece and (len(piece) >= most or size + more > PIECE):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += more
    if piece:
        yield piece


def _write(connection: BaseDatabaseWrapper, piece: _Piece, tried: Keys, *, log_attempts: bool = True) -> _Split:
    """Write a piece in one transaction; return what is written, and what somebody has locked.

    What is in ``tried`` and has lost its token by now was written by an earlier try, whose commit took effect.
    """
    read_committed(connection)
    with transaction.atomic(using=connection.alias):
        owned, locked = _lock(connection, [row.result.job for row in piece])
        own = [row for row in piece if row.result.job.key in owned]
        finished: dict[_End, list[int]] = {}
        for row in own:
            result, verdict = row.result, row.result.verdict
            if verdict.status == "pending":
                _postpone(connection, row)
            else:
                end = (verdict.status, verdict.reason, row.error, row.status, int(verdict.counts))
                finished.setdefault(end, []).append(result.job.delivery_id)
        for end, ids in finished.items():
            _finish(connection, end, ids)
        if log_attempts:
            _insert_attempts(connection, [row for row in own if row.result.verdict.counts])
        owned |= {key for key in tried if key[0] not in locked}
        tried.update([row.result.job.key for row in own])
    return _split(piece, owned, locked)


def _split(piece: _Piece, owned: Keys, locked: set[int]) -> _Split:
    written: list[Result] = []
    busy: list[Result] = []
    for row in piece:
        job = row.result.job
        if job.key in owned:
            written.append(row.result)
        elif job.delivery_id in locked:
            busy.append(row.result)
        else:
            log.warning(
                "openedx_webhooks: delivery %s is another worker's by now; what came late (%s) changes nothing",
                job.delivery_id,
                row.status or row.error,
            )
    return written, busy


def _lock(connection: BaseDatabaseWrapper, jobs: Sequence[Job]) -> tuple[Keys, set[int]]:
    """Lock the deliveries; return the keys that still hold, and the ids that somebody else has locked."""
    ids = sorted({job.delivery_id for job in jobs})
    sql = "SELECT id, token FROM openedx_webhooks_delivery WHERE id IN"
    rows = dict(fetch(connection, f"{sql} ({numbers(ids)}) {skip_locked(connection)}"))
    owned = {(delivery_id, token) for delivery_id, token in rows.items() if token is not None}
    missing = [delivery_id for delivery_id in ids if delivery_id not in rows]
    # Not among the rows is one that is locked, or one that is gone.
    there = fetch(connection, f"{sql} ({numbers(missing)})") if missing else []
    return owned, {delivery_id for delivery_id, _ in there}


_End = tuple[str, str, str, int | None, int]
"""Status, reason, last error, last HTTP status of a delivery that is over, and 1 where an attempt ended it, else 0."""


def _finish(connection: BaseDatabaseWrapper, end: _End, ids: Sequence[int]) -> None:
    execute(
        connection,
        f"UPDATE openedx_webhooks_delivery SET status = %s, reason = %s, last_error = %s, last_status = %s,"
        f" attempts = attempts + %s, token = NULL, finished_at = {utc_now_sql(connection)}"
        f" WHERE id IN ({numbers(sorted(ids))})",
        end,
    )


def _postpone(connection: BaseDatabaseWrapper, row: _Row) -> None:
    job, verdict = row.result.job, row.result.verdict
    due: str = utc_later_sql(connection)
    at: object = microseconds(verdict.delay or 0.0)
    if verdict.delay is None:
        due, at = "%s", job.due_at
    execute(
        connection,
        "UPDATE openedx_webhooks_delivery SET status = 'pending', token = NULL, last_error = %s, last_status = %s,"
        f" attempts = attempts + %s, due_at = {due} WHERE id = %s",
        [row.error, row.status, int(verdict.counts), at, job.delivery_id],
    )


def _insert_attempts(connection: BaseDatabaseWrapper, rows: Sequence[_Row]) -> None:
    if not rows:
        return
    # Our own numbers and times stand in the SQL, and each text is a parameter once: a receiver answers alike most of
    # the time. As parameters, all of it would be half of what recording costs.
    values: list[str] = []
    places: dict[str, str] = {}
    for row in rows:
        for text in row.texts:
            if text not in places:
                places[text] = f"%(t{len(places)})s"
        url, sent, came, body, error = row.texts
        values.append(
            f"({row.literals}, {places[url]}, {places[sent]}, {places[came]}, {places[body]}, {places[error]})"
        )
    execute(
        connection,
        "INSERT INTO openedx_webhooks_attempt (delivery_id, number, started_at, duration, status, url,"
        f" request_headers, response_headers, response_body, error) VALUES {', '.join(values)}",
        {f"t{number}": text for number, text in enumerate(places)},
    )


def _row(result: Result) -> _Row:
    job, outcome, error = result.job, result.outcome, result.verdict.error
    url, sent, reply = result.url, result.request_headers, outcome.reply
    status = None if reply is None else min(max(reply.status, 0), 32767)
    came, body = ("", "") if reply is None else _answer(reply)
    whole = "".join((url, sent, came, body, error))
    if not whole.isascii() or "\0" in whole:
        url, sent, came, body, error = map(_clean, (url, sent, came, body, error))
    duration = min(max(round(outcome.duration * 1000), 0), 2**31 - 1)
    number, started = job.attempts + 1, _in_utc(outcome.started_at)
    return _Row(
        result,
        f"{job.delivery_id:d}, {number}, '{started}', {duration}, {'NULL' if status is None else status}",
        status,
        (url[:255], sent[:HEADERS_KEPT], came[:HEADERS_KEPT], body, error[:255]),
    )


def _in_utc(moment: datetime) -> str:
    """Return an aware moment as the database writes it; ``isoformat`` is a quarter of what a row costs."""
    return f"{_second(int(moment.timestamp()))}.{moment.microsecond:06}"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _answer(reply: Reply) -> tuple[str, str]:
    """Return the headers that came, one on each line, and the body."""
    lines = [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\n".join(lines), reply.body.decode("utf-8", "replace")


def _clean(text: str) -> str:
    """Return text that any text column takes: no lone surrogate, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8", "replace").replace("\0", "\ufffd")
