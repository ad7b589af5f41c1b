"""The demo's inbox: a receiver on a port of its own that keeps what came, for the page to show."""

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.testing import CLOSE, Answer, Received, Receiver

KEPT = 300
"""How many deliveries the inbox keeps."""


@dataclass(frozen=True, kw_only=True)
class Mood:
    """How the inbox answers while a person has it so."""

    label: str
    answer: Answer
    shown: str
    ok: bool = False


MOODS = {
    "healthy": Mood(label="Healthy", answer=Answer(), shown="200 OK", ok=True),
    "slow": Mood(label="Slow", answer=Answer(delay=3), shown="200 OK, after 3 s", ok=True),
    "failing": Mood(label="Failing", answer=Answer(status=500), shown="500 Internal Server Error"),
    "dead": Mood(label="Dead", answer=CLOSE, shown="connection closed"),
}


class Inbox:
    """What came, newest last, and the mood in which it is answered. Safe to use from any thread."""

    def __init__(self, port: int) -> None:
        self.run = uuid.uuid4().hex
        self.receiver = _receiver(port)
        self.receiver.answer(self._answer)
        self._mood = "healthy"
        self._lock = threading.Lock()
        self._entries: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0

    @property
    def url(self) -> str:
        """Where a webhook reaches it."""
        return self.receiver.url("/inbox")

    @property
    def mood(self) -> str:
        """A key of ``MOODS``."""
        return self._mood

    @mood.setter
    def mood(self, mood: str) -> None:
        if mood not in MOODS:
            raise ValueError(mood)
        self._mood = mood

    def entries(self, after: int = 0) -> list[dict[str, Any]]:
        """Return what came behind the entry of that number, in order."""
        with self._lock:
            return [entry for entry in self._entries if entry["number"] > after]

    def _answer(self, request: Received) -> Answer:
        mood = MOODS[self._mood]
        with self._lock:
            self._count += 1
            earlier = sum(entry["message_id"] == request.message_id for entry in self._entries)
            self._entries.append(
                {
                    "number": self._count,
                    "attempt": earlier + 1,
                    "answer": mood.shown,
                    "ok": mood.ok,
                    **_describe(request),
                }
            )
        self.receiver.clear()
        return mood.answer


def _receiver(port: int) -> Receiver:
    """Return a receiver on the port, so that its URL is the same at the next start, or on a free one."""
    try:
        return Receiver(port=port)
    except (OSError, OverflowError):  # Taken, or above the highest port.
        return Receiver()


def _describe(request: Received) -> dict[str, Any]:
    """Return a request as the page shows it."""
    event_type, body = _read(request)
    names = [entry.name for entry in catalog.find(event_type)] if event_type else []
    return {
        "message_id": request.message_id,
        "event": names[0] if names else event_type or "(not an event)",
        "event_type": event_type,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "verified": request.verified,
        "headers": dict(request.headers),
        "body": body,
        "size": len(request.body),
    }


def _read(request: Received) -> tuple[str, str]:
    """Return the event_type and the body for a person, of whatever format."""
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        fields = parse_qs(request.body.decode("utf-8", "replace"))
        shown = "\n".join(f"{name} = {', '.join(values)}" for name, values in fields.items())
        return fields.get("event_metadata_event_type", [""])[0], shown
    try:
        data = request.json()
    except ValueError:
        return "", request.body.decode("utf-8", "replace")
    metadata = data.get("event_metadata", {}) if isinstance(data, dict) else {}
    event_type = metadata.get("event_type") or (data.get("type") if isinstance(data, dict) else "")
    return str(event_type or ""), json.dumps(data, indent=2, ensure_ascii=False)


_opened: list[Inbox] = []


def current() -> Inbox:
    """Return the inbox that is open."""
    return _opened[-1]


@contextmanager
def opened(port: int) -> Iterator[Inbox]:
    """Keep the inbox open while the block runs, on the port if it is free."""
    inbox = Inbox(port)
    _opened.append(inbox)
    with inbox.receiver:
        yield inbox
    _opened.remove(inbox)
