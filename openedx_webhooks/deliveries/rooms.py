"""How many requests may be under way: in all, per webhook, and for failing webhooks together. Pure.

A webhook's share grows by one with each success and halves with each failure, so a slow or dead receiver keeps few
sockets, and one that keeps failing is probed one at a time. One that recovers gets its backlog one by one, in order,
for its first successes, and then ramps up instead of being flooded.
"""

from __future__ import annotations

from collections import Counter

SOCKETS = 500
"""Requests under way in one drain."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of bodies under way in one drain."""
FIRST, MOST = 4, 64
"""The share of a webhook: at the start of a drain, and at most."""
PROBATION = 10
"""Successes in a row that end the one-by-one of a webhook that failed."""


class Rooms:
    """Counts what is under way. Not thread-safe: one drain, one thread."""

    def __init__(self, sockets: int = SOCKETS, max_bytes: int = MAX_BYTES) -> None:
        self.sockets = sockets
        self.max_bytes = max_bytes
        self.in_flight = 0
        self.bytes_in_flight = 0
        self._per_webhook: Counter[int] = Counter()
        self._share: dict[int, int] = {}
        self._failing: dict[int, int] = {}
        """Webhooks that fail or have failed: successes since."""

    @property
    def free(self) -> int:
        """How many more requests may start."""
        return max(self.sockets - self.in_flight, 0)

    @property
    def free_bytes(self) -> int:
        """How many more bytes of bodies may start."""
        return max(self.max_bytes - self.bytes_in_flight, 0)

    def learn(self, webhook_id: int, *, failing: bool) -> None:
        """Take over what is known of a webhook that this drain has not met yet."""
        if webhook_id not in self._share:
            self._share[webhook_id] = 1 if failing else FIRST
            if failing:
                self._failing[webhook_id] = 0

    def room(self, webhook_id: int) -> int:
        """How many more requests may start for a webhook."""
        room = self._share.get(webhook_id, FIRST) - self._per_webhook[webhook_id]
        if webhook_id in self._failing:
            used = sum(self._per_webhook[w] for w in self._failing)
            room = min(room, self.sockets // 2 - used)
        return max(min(room, self.free), 0)

    def start(self, webhook_id: int, size: int) -> None:
        """Count one request as under way."""
        self.in_flight += 1
        self.bytes_in_flight += size
        self._per_webhook[webhook_id] += 1

    def finish(self, webhook_id: int, size: int, *, ok: bool) -> None:
        """Count one request as over, and let the webhook's share grow or shrink."""
        self.in_flight -= 1
        self.bytes_in_flight -= size
        self._per_webhook[webhook_id] -= 1
        share = self._share.get(webhook_id, FIRST)
        if not ok:
            self._share[webhook_id] = max(share // 2, 1)
            self._failing[webhook_id] = 0
        elif self._on_probation(webhook_id):
            self._failing[webhook_id] += 1
        else:
            self._share[webhook_id] = min(share + 1, MOST)
            self._failing.pop(webhook_id, None)

    def _on_probation(self, webhook_id: int) -> bool:
        return self._share.get(webhook_id, FIRST) == 1 and self._failing.get(webhook_id, PROBATION) < PROBATION
