"""Where deliveries go and what they carry: a webhook's URL, headers and keys; an event's bytes."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from openedx_webhooks import app_settings, egress, signing
from openedx_webhooks.data import Encoding, Request
from openedx_webhooks.deliveries.claim import Job
from openedx_webhooks.deliveries.sql import again
from openedx_webhooks.exceptions import WebhooksError
from openedx_webhooks.models import Event, Webhook, lines
from openedx_webhooks.models.clock import fetch, numbers
from openedx_webhooks.models.webhook import effective_timeout
from openedx_webhooks.payloads import formats


@dataclass(frozen=True, kw_only=True)
class Target:
    """A webhook as the engine needs it."""

    url: str
    timeout: float
    """Seconds."""
    headers: dict[str, str]
    """The operator's own."""
    keys: tuple[bytes, ...]
    """What signs: the current key, and the previous one while it rotates."""
    problem: str = ""
    """Why it cannot be called as it is configured; empty where it can."""

    @functools.cached_property
    def shown(self) -> str:
        """The operator's own headers as the log shows them, each on a line of its own: without their values."""
        return "".join([f"\n{name}: (not shown)" for name in self.headers])


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An event's identity and bytes."""

    message_id: str
    bodies: dict[str, bytes]
    """By ``Encoding``; empty where the row cannot be read."""


class Targets:
    """The webhooks of one drain, read again once they are older than ``CONFIG_TTL``."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._known: dict[int, tuple[float, Target]] = {}

    def load(self, webhook_ids: Iterable[int]) -> dict[int, Target]:
        """Return the targets of these webhooks; one that was deleted is not in it."""
        now = time.monotonic()
        wanted = set(webhook_ids)
        old = now - app_settings.CONFIG_TTL()
        stale = [w for w in wanted if w not in self._known or self._known[w][0] < old]
        for webhook_id in stale:
            self._known.pop(webhook_id, None)
        if stale:
            rows = Webhook.objects.using(self._connection.alias).filter(pk__in=stale)
            for row in again(lambda: list(rows.all()), connection=self._connection):
                self._known[row.pk] = (now, _target(row))
        return {w: self._known[w][1] for w in wanted if w in self._known}


def _target(row: Webhook) -> Target:
    headers: dict[str, str] = {}
    keys: tuple[bytes, ...] = ()
    problem = ""
    try:
        headers = lines.parse_headers(row.headers)
        keys = tuple(signing.decode_secret(secret) for secret in _secrets(row))
    except WebhooksError as error:
        problem = f"{error} Correct the webhook."
    timeout = effective_timeout(row.timeout)
    return Target(url=row.webhook_url, timeout=timeout, headers=headers, keys=keys, problem=problem)


def _secrets(row: Webhook) -> list[str]:
    if not row.secret:
        # Written by the published package after a roll-back; it gets its own, as the upgrade gives every old row.
        fresh = signing.generate_secret()
        Webhook.objects.filter(pk=row.pk, secret=row.secret).update(secret=fresh)
        row.refresh_from_db(fields=["secret"])
    secrets = [row.secret or ""]
    until = row.previous_secret_until
    if row.previous_secret and until is not None and until > timezone.now():
        secrets.append(row.previous_secret)
    return secrets


def load_messages(connection: BaseDatabaseWrapper, jobs: Iterable[Job]) -> dict[int, Message]:
    """Return the events of these jobs, each read and decoded once."""
    ids = sorted({job.event_id for job in jobs})
    sql = f"SELECT id, message_id, body, other_bodies FROM {Event._meta.db_table} WHERE id IN ({numbers(ids)})"
    rows = again(lambda: fetch(connection, sql), connection=connection)
    return {pk: Message(message_id=message_id, bodies=_bodies(body, others)) for pk, message_id, body, others in rows}


_ENCODINGS = frozenset(Encoding)
"""What this version can say the content type of; a later one may have written more."""


def _bodies(body: str, others: str | None) -> dict[str, bytes]:
    try:
        bodies: dict[str, bytes] = {Encoding.DEFAULT: body.encode()}
        if not others:
            return bodies
        return bodies | {name: text.encode() for name, text in json.loads(others).items() if name in _ENCODINGS}
    except (AttributeError, TypeError, ValueError):
        return {}


def request(job: Job, target: Target, message: Message, timestamp: int) -> tuple[Request, str]:
    """Return the signed POST of one attempt, and its headers as the log shows them, one on each line.

    ``timestamp`` is Unix seconds of this attempt. The values of the operator's own headers are not shown.
    """
    body = message.bodies[job.encoding]
    fixed, fixed_shown = _fixed(job.encoding)
    signed = signing.headers(target.keys, message.message_id, timestamp, body)
    shown = fixed_shown + "\n".join([f"{name}: {value}" for name, value in signed.items()]) + target.shown
    return Request(target.url, {**target.headers, **fixed, **signed}, body, target.timeout), shown


@functools.cache
def _fixed(encoding: str) -> tuple[dict[str, str], str]:
    """Return what every request with such a body carries, and its lines for the log."""
    headers = {"Content-Type": formats.content_type(Encoding(encoding)), "User-Agent": egress.user_agent()}
    return headers, "".join([f"{name}: {value}\n" for name, value in headers.items()])
