"""Write down how attempts ended. Total: whatever a receiver answered, its neighbours are recorded too.

Only a row that still carries the claim's token changes; what a late worker brings is logged and changes nothing. One
bad row would keep a whole bulk write out, and all its neighbours would go out again when their leases end, so texts are
cleaned and clipped first, a piece that fails is written row by row, and a row that fails is written with a fixed text.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks.data import Outcome
from openedx_webhooks.deliveries.claim import Job, marks
from openedx_webhooks.deliveries.retry import Verdict
from openedx_webhooks.deliveries.sql import again, read_committed
from openedx_webhooks.models.clock import execute, microseconds, utc_later_sql, utc_now_sql

log = logging.getLogger(__name__)

PIECE = 1024 * 1024
"""Bytes of one bulk write; MySQL refuses packets above ``max_allowed_packet``, 16 MiB or less."""
ROWS = 100
"""Rows of one bulk write; SQLite limits the parameters of a statement."""
HEADERS_KEPT = 4096
UNWRITABLE = "(could not be stored)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One attempt, and what is to become of its delivery."""

    job: Job
    url: str
    request_headers: str
    outcome: Outcome
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """An attempt as its table takes it: cleaned and clipped."""

    number: int
    started_at: datetime
    duration: int
    url: str
    status: int | None
    request_headers: str
    response_headers: str
    response_body: str
    error: str

    @property
    def size(self) -> int:
        return 2 * (len(self.request_headers) + len(self.response_headers) + len(self.response_body)) + 1000


def record(connection: BaseDatabaseWrapper, results: Sequence[Result]) -> None:
    """Write attempts and what becomes of their deliveries. Raises only where the database itself is away."""
    rows = [(result, _row(result)) for result in results]
    for piece in _pieces(rows):
        try:
            again(lambda p=piece: _write(connection, p), connection=connection)  # type: ignore[misc]
        except DatabaseError:
            log.warning("openedx_webhooks: %s attempts are recorded one by one", len(piece), exc_info=True)
            _write_one_by_one(connection, piece)


def _write_one_by_one(connection: BaseDatabaseWrapper, piece: Sequence[tuple[Result, _Row]]) -> None:
    for result, row in piece:
        try:
            again(lambda r=result, w=row: _write(connection, [(r, w)]), connection=connection)  # type: ignore[misc]
        except DatabaseError:
            plain = replace(
                result, verdict=replace(result.verdict, error=UNWRITABLE if result.verdict.error else "")
            ), replace(
                row, request_headers=UNWRITABLE, response_headers=UNWRITABLE, response_body=UNWRITABLE,
                error=UNWRITABLE, url=row.url.encode("ascii", "replace").decode(),
            )  # fmt: skip
            again(lambda p=plain: _write(connection, [p]), connection=connection)  # type: ignore[misc]


def _pieces(rows: Iterable[tuple[Result, _Row]]) -> Iterator[list[tuple[Result, _Row]]]:
    piece: list[tuple[Result, _Row]] = []
    size = 0
    for item in rows:
        if piece and (len(piece) >= ROWS or size + item[1].size > PIECE):
            yield piece
            piece, size = [], 0
        piece.append(item)
        size += item[1].size
    if piece:
        yield piece


def _write(connection: BaseDatabaseWrapper, piece: Sequence[tuple[Result, _Row]]) -> None:
    read_committed(connection)
    with transaction.atomic(using=connection.alias):
        finished = [(r, w) for r, w in piece if r.verdict.status != "pending"]
        for key, group in groupby(sorted(finished, key=_finish_key), key=_finish_key):
            _finish(connection, key, [result for result, _ in group])
        for result, row in piece:
            if result.verdict.status == "pending":
                _postpone(connection, result, row)
        _insert_attempts(connection, [(r, w) for r, w in piece if r.verdict.counts])


def _finish_key(item: tuple[Result, _Row]) -> tuple[str, str, str, int]:
    verdict = item[0].verdict
    return verdict.status, verdict.reason, _text(verdict.error, 255), item[1].status or 0


def _finish(connection: BaseDatabaseWrapper, key: tuple[str, str, str, int], results: Sequence[Result]) -> None:
    status, reason, error, http = key
    tokens = sorted({result.job.token for result in results})
    ids = sorted(result.job.delivery_id for result in results)
    execute(
        connection,
        f"UPDATE openedx_webhooks_delivery SET status = %s, reason = %s, last_error = %s, last_status = %s,"
        f" attempts = attempts + 1, token = NULL, finished_at = {utc_now_sql(connection)}"
        f" WHERE id IN ({marks(ids)}) AND token IN ({marks(tokens)})",
        [status, reason, error, http or None, *ids, *tokens],
    )


def _postpone(connection: BaseDatabaseWrapper, result: Result, row: _Row) -> None:
    verdict = result.verdict
    execute(
        connection,
        "UPDATE openedx_webhooks_delivery SET status = 'pending', token = NULL, last_error = %s, last_status = %s,"
        f" attempts = attempts + %s, due_at = {utc_later_sql(connection)} WHERE id = %s AND token = %s",
        [
            _text(verdict.error, 255),
            row.status,
            int(verdict.counts),
            microseconds(verdict.delay or 0.0),
            result.job.delivery_id,
            result.job.token,
        ],
    )


def _insert_attempts(connection: BaseDatabaseWrapper, items: Sequence[tuple[Result, _Row]]) -> None:
    if not items:
        return
    params: list[object] = []
    adapt = connection.ops.adapt_datetimefield_value
    for result, row in items:
        params += [
            result.job.delivery_id,
            row.number,
            adapt(row.started_at),
            row.duration,
            row.url,
            row.status,
            row.request_headers,
            row.response_headers,
            row.response_body,
            row.error,
        ]
    execute(
        connection,
        "INSERT INTO openedx_webhooks_attempt (delivery_id, number, started_at, duration, url, status,"
        " request_headers, response_headers, response_body, error) VALUES "
        + ", ".join(["(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"] * len(items)),
        params,
    )


def _row(result: Result) -> _Row:
    outcome, reply = result.outcome, result.outcome.reply
    return _Row(
        number=result.job.attempts + 1,
        started_at=outcome.started_at,
        duration=min(max(round(outcome.duration * 1000), 0), 2**31 - 1),
        url=_text(result.url, 255),
        status=None if reply is None else min(max(reply.status, 0), 32767),
        request_headers=_text(result.request_headers, HEADERS_KEPT),
        response_headers="" if reply is None else _text(_lines(reply.headers.items()), HEADERS_KEPT),
        response_body="" if reply is None else _text(reply.body.decode("utf-8", "replace"), len(reply.body)),
        error=_text(result.verdict.error, 255),
    )


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in headers)


def _text(text: str, length: int) -> str:
    """Return text that any text column takes: no lone surrogate, no NUL, clipped."""
    if text.isascii() and "\0" not in text:
        return text[:length]
    return text.encode("utf-8", "replace").decode("utf-8", "replace").replace("\0", "\ufffd")[:length]
