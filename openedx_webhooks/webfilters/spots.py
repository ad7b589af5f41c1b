"""Where in the arguments a value stands, and what a reply changes there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from openedx_webhooks.catalog.contracts import Contract
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.payloads import formats
from openedx_webhooks.payloads.objects import Walk
from openedx_webhooks.webfilters.replies import kind

MAX_SHOWN = 50
"""Changes of one reply whose values are kept for the record; of the rest the path alone is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One leaf that a reply changes."""

    path: str
    before: Any
    after: Any
    """JSON values, or None."""


@dataclass(slots=True)
class Spot:
    """Where in the arguments a value stands, and what its reply may do there."""

    path: str
    contract: Contract
    allow_html: bool
    changes: list[Change] = field(default_factory=list)

    @property
    def argument(self) -> str:
        """The argument that it belongs to."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """Its own key."""
        return self.path.rpartition(".")[2]

    @property
    def is_top(self) -> bool:
        """Whether it is an argument itself."""
        return "." not in self.path

    def below(self, key: str) -> Spot:
        """Return the spot one level down."""
        return Spot(f"{self.path}.{key[:60]}", self.contract, self.allow_html, self.changes)

    def changed(self, before: Any, after: Any) -> None:
        """Remember one changed leaf."""
        if len(self.changes) < MAX_SHOWN:
            before, after = shown(before), shown(after)
        else:
            before = after = None
        self.changes.append(Change(path=self.path, before=before, after=after))

    def refused(self, reason: str) -> ReplyError:
        """Return the error to raise."""
        return ReplyError(self.path, reason)


def items(spot: Spot, wanted: Any) -> Iterator[tuple[str, Any]]:
    """Return the entries of what a reply wants there; raise ReplyError unless it is an object."""
    if not isinstance(wanted, dict):
        raise spot.refused(f"It is {kind(wanted)}; an object is expected.")
    yield from wanted.items()


def shown(value: Any) -> Any:
    """Return a value as the JSON that a body holds for it."""
    tree = Walk().argument("value", value)
    return json.loads(json.dumps(tree, default=formats.iso_time))
