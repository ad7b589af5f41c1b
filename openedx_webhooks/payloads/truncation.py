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
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from openedx_webhooks.payloads.events import Payload

TEXT_LIMITS = tuple(2**power for power in range(15, 4, -1))
ITEM_LIMITS = tuple(2**power for power in range(10, -1, -1))
_LIMITS = (*((text, None) for text in TEXT_LIMITS), *((TEXT_LIMITS[-1], items) for items in ITEM_LIMITS))
ELLIPSIS = "\u2026"
PATHS_ROOM = 512
"""Bytes, as ASCII-escaped JSON, that the list of cut paths may take."""


@dataclass(slots=True)
class _Cut:
    """One step: how long a text and a container may be, and what it met and shortened on its way."""

    text: int
    items: int | None
    paths: dict[str, None]
    characters: int = 0
    longest_text: int = 0
    longest_container: int = 0

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
        if len(value) > self.text:
            self.paths[path] = None
            value = value[: self.text - 1] + ELLIPSIS
        self.characters += len(value)
        self.longest_text = max(self.longest_text, len(value))
        return value

    def _first(self, items: Any, count: int, path: str) -> Any:
        if self.items is not None and count > self.items:
            self.paths[path] = None
            items, count = islice(items, self.items), self.items
        self.longest_container = max(self.longest_container, count)
        return items

    def changes_nothing_after(self, previous: _Cut) -> bool:
        """Tell whether everything is short enough already, so that this step need not be taken."""
        if self.items is not None:
            return self.items >= previous.longest_container
        return self.text >= previous.longest_text


def smaller(payload: Payload) -> Iterator[Payload]:
    """Yield the payload cut more and more, by the rule of this module; the last one holds metadata alone."""
    paths: dict[str, None] = {}
    tree = payload.tree
    previous = None
    for text, items in _LIMITS:
        cut = _Cut(text, items, paths)
        if previous and cut.changes_nothing_after(previous):
            continue
        tree = {name: cut.shorten(value, name) for name, value in tree.items()}
        previous = cut
        yield _marked(payload, tree, paths, cut.characters)
    yield _marked(payload, dict.fromkeys(payload.tree), dict.fromkeys(payload.tree))
    bare = {key: value for key, value in payload.metadata.items() if key != "notes"}
    yield _marked(replace(payload, metadata=bare), {}, {})
    yield _marked(replace(payload, metadata=_Cut(128, 8, {}).shorten(bare, "")), {}, {})


def _marked(payload: Payload, tree: Mapping[str, Any], paths: Mapping[str, None], characters: int = 0) -> Payload:
    marks = {"truncated": True, "cut": list(_with_room(paths))}
    return replace(payload, tree=tree, metadata={**payload.metadata, **marks}, characters=characters)


def _with_room(paths: Mapping[str, None]) -> Iterator[str]:
    room = PATHS_ROOM
    for path in paths:
        room -= len(json.dumps(path)) + 1
        if room < 0:
            return
        yield path
