"""How many requests may be under way: in all, per webhook, and for webhooks in trouble together. Pure.

A webhook's share grows by one with each success and halves with each failure, so a slow or dead receiver keeps few
sockets, and one that keeps failing is probed one at a time. One that recovers gets its backlog one by one, in order,
for its first successes, and then ramps up instead of being flooded. Whoever is in trouble, because it fails or because
nothing came back for a while, shares half of the sockets with its like; and no webhook grows into the half that keeps
room for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

SOCKETS = 800
"""Requests under way in one drain."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of bodies under way in one drain."""
FIRST, MOST = 4, 64
"""The share of a webhook: at the start of a drain, and at most."""
PROBATION = 10
"""Successes in a row that end the one-by-one of a webhook that failed."""
SILENCE = 2.0
"""Seconds without any answer after which a webhook with requests under way counts as one in trouble."""
QUICK = 1.0
"""Seconds within which a webhook's last answer came that may still be sent to at the end of a slice."""


@dataclass(slots=True)
class _Webhook:
    """One webhook in this drain."""

    share: int = FIRST
    in_flight: int = 0
    failing: bool = False
    """It fails, or has failed and is not yet past its probation."""
    successes: int = 0
    """In a row, while it is failing."""
    heard: float = 0.0
    """When it last answered, or was sent the first of what is under way."""
    quick: bool = False
    """Its last answer was a success that came within ``QUICK`` seconds."""


class Rooms:
    """Counts what is under way. Not thread-safe: one drain, one thread."""

    def __init__(
        self, sockets: int = SOCKETS, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = monotonic
    ) -> None:
        self.sockets = sockets
        self.max_bytes = max_bytes
        self.in_flight = 0
        self.bytes_in_flight = 0
        self.quick_only = False
        """At the end of a slice: only webhooks that are known to answer quickly have room."""
        self._clock = clock
        self._webhooks: dict[int, _Webhook] = {}

    @property
    def free(self) -> int:
        """How many more requests may start."""
        return max(self.sockets - self.in_flight, 0)

    @property
    def free_bytes(self) -> int:
        """How many more bytes of bodies may start."""
        return max(self.max_bytes - self.bytes_in_flight, 0)

    def half(self) -> int:
        """Return how many requests may still be under way when it is time to refill: half, beside the silent ones."""
        now = self._clock()
        silent = sum(w.in_flight for w in self._webhooks.values() if self._is_silent(w, now))
        others = self.in_flight - silent
        return silent + others // 2 if others else silent // 2

    def learn(self, webhook_id: int, *, failing: bool) -> None:
        """Take over what is known of a webhook that this drain has not met yet."""
        if webhook_id not in self._webhooks:
            self._webhooks[webhook_id] = _Webhook(share=1 if failing else FIRST, failing=failing)

    def shares(self, webhook_ids: list[int]) -> list[tuple[int, int]]:
        """Return how many more requests may start for each of these webhooks, in their order; 0 where none may.

        Together no more than are free; each gets its part where they do not suffice for all.
        """
        now = self._clock()
        troubled = sum(w.in_flight for w in self._webhooks.values() if self._in_trouble(w, now))
        for_trouble, for_growth = self.sockets // 2 - troubled, self.sockets // 2 - self.in_flight
        fair = max(self.free // max(len(webhook_ids), 1), 1)
        shares, free = [], self.free
        for webhook_id in webhook_ids:
            webhook = self._webhooks.setdefault(webhook_id, _Webhook())
            room = min(webhook.share - webhook.in_flight, fair, free)
            if self._in_trouble(webhook, now):
                room = min(room, for_trouble)
            if webhook.in_flight + room > FIRST:
                room = min(room, max(FIRST - webhook.in_flight, for_growth))
            if self.quick_only and not webhook.quick:
                room = 0
            room = max(room, 0)
            if self._in_trouble(webhook, now):
                for_trouble -= room
            for_growth -= room
            free -= room
            shares.append((webhook_id, room))
        return shares

    def start(self, webhook_id: int, size: int) -> None:
        """Count one request as under way."""
        webhook = self._webhooks.setdefault(webhook_id, _Webhook())
        if not webhook.in_flight:
            webhook.heard = self._clock()
        webhook.in_flight += 1
        self.in_flight += 1
        self.bytes_in_flight += size

    def finish(self, webhook_id: int, size: int, *, ok: bool | None, seconds: float = 0.0) -> None:
        """Count one request as over after ``seconds``, and let the webhook's share grow or shrink.

        ``ok`` is None where the outcome says nothing about the receiver.
        """
        webhook = self._webhooks[webhook_id]
        webhook.in_flight -= 1
        self.in_flight -= 1
        self.bytes_in_flight -= size
        if ok is None:
            return
        webhook.heard = self._clock()
        webhook.quick = ok and seconds <= QUICK
        if not ok:
            webhook.share, webhook.failing, webhook.successes = max(webhook.share // 2, 1), True, 0
        elif webhook.failing and webhook.share == 1 and webhook.successes < PROBATION:
            webhook.successes += 1
        else:
            webhook.share, webhook.failing = min(webhook.share + 1, MOST), False

    @staticmethod
    def _is_silent(webhook: _Webhook, now: float) -> bool:
        return bool(webhook.in_flight and now - webhook.heard > SILENCE)

    def _in_trouble(self, webhook: _Webhook, now: float) -> bool:
        return webhook.failing or self._is_silent(webhook, now)
