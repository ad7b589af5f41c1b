"""What happens to a body that is too large: it is cut by one rule, never lost.

1. The longest texts go first: no text is longer than 32,768 characters, then 16,384, and so on by halves
   down to 32. A cut text ends with an ellipsis.
2. Then the longest lists and dicts: no more than 1,024 items, then 512, and so on down to 1. The first ones stay.
3. Then the arguments are null; then there are none.

The first step after which the body fits is the one that counts. ``event_metadata`` is never cut and gets
``truncated`` (true) and ``cut``: the paths of what is not whole, as many as have room.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from openedx_webhooks.payloads.events import Payload

TEXT_LIMITS = tuple(2**power for power in range(15, 4, -1))
ITEM_LIMITS = tuple(2**power for power in range(10, -1, -1))
ELLIPSIS = "\u2026"
PATHS_ROOM = 512
"""Bytes, as ASCII-escaped JSON, that the list of cut paths may take."""


@dataclass(slots=True)
class _Cut:
    """One step: how long a text and a container may be, and the paths that it had to shorten."""

    text: int
    items: int | None = None
    paths: dict[str, None] = field(default_factory=dict)

    def shorten(self, value: Any, path: str) -> Any:
        if isinstance(value, str):
            return self._shorten_text(value, path)
        if isinstance(value, Mapping):
            kept = self._first(value.items(), len(value), path)
            return {key: self.shorten(item, f"{path}.{key}") for key, item in kept}
        if isinstance(value, list):
            return [self.shorten(item, path) for item in self._first(value, len(value), path)]
        return value

    def _shorten_text(self, value: str, path: str) -> str:
        if len(value) <= self.text:
            return value
        self.paths[path] = None
        return value[: self.text - 1] + ELLIPSIS

    def _first(self, items: Any, count: int, path: str) -> Any:
        if self.items is None or count <= self.items:
            return items
        self.paths[path] = None
        return islice(items, self.items)


def smaller(payload: Payload) -> Iterator[Payload]:
    """Yield the payload cut more and more, by the rule of this module; the last one holds metadata alone."""
    paths: dict[str, None] = {}
    tree = payload.tree
    limits = [(text, None) for text in TEXT_LIMITS] + [(TEXT_LIMITS[-1], items) for items in ITEM_LIMITS]
    for text, items in limits:
        cut = _Cut(text, items, paths)
        tree = {name: cut.shorten(value, name) for name, value in tree.items()}
        yield _marked(payload, tree, paths)
    yield _marked(payload, dict.fromkeys(payload.tree), dict.fromkeys(payload.tree))
    bare = {key: value for key, value in payload.metadata.items() if key != "notes"}
    yield _marked(replace(payload, metadata=bare), {}, {})
    yield _marked(replace(payload, metadata=_Cut(128, 8).shorten(bare, "")), {}, {})


def _marked(payload: Payload, tree: Mapping[str, Any], paths: Mapping[str, None]) -> Payload:
    marks = {"truncated": True, "cut": list(_with_room(paths))}
    return replace(payload, tree=tree, metadata={**payload.metadata, **marks})


def _with_room(paths: Mapping[str, None]) -> Iterator[str]:
    room = PATHS_ROOM
    for path in paths:
        room -= len(json.dumps(path)) + 1
        if room < 0:
            return
        yield path
