"""Any Python value as a tree of dicts, lists, text, numbers, booleans, None and dates.

Runs inside the learner's request, over objects that we do not control, so it is quick (one encoder per
class, learnt once) and total (whatever an object does, the rest of the event still goes out). It never
touches the database: a model becomes its label and key, a QuerySet is never evaluated.
"""

from __future__ import annotations

import enum
import io
import json
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

from django.core.files.base import File
from django.db.models import Manager, Model, QuerySet
from django.utils.duration import duration_iso_string
from django.utils.functional import LazyObject, Promise, empty
from opaque_keys import OpaqueKey

from openedx_webhooks.payloads.fields import is_data_class, qualified_name, written_fields
from openedx_webhooks.payloads.keys import TEXT_STARTS, context_of, key_in
from openedx_webhooks.payloads.redaction import is_credential, redact_text

MAX_DEPTH = 24
"""Levels of nesting that are followed; what lies deeper becomes null."""
MAX_NODES = 50_000
"""Values that one event may hold; lists and dicts are cut where it is reached."""
MAX_TEXT = 4 * 1024 * 1024
"""Characters of text that one event may hold, which is the most that ``MAX_BODY`` can be; later text is clipped."""
CLIPPED_TEXT = 32
"""Characters that stay of a text that is clipped."""
MAX_KEY = 255
"""Characters of a dict's key that are kept."""
MAX_INT_BITS = 4096
"""Larger integers become null: Python itself refuses to write them in decimal beyond about 14,000 bits."""
_MAX_NOTES = 10
_CLASSES_KEPT = 4096

OMITTED: Any = object()
"""What an encoder returns for a value that is left out of its dict or list: bytes and files."""

_SPECIAL_TEXT = ("{", "[", *TEXT_STARTS)
"""Text that needs a second look: it may be JSON with a credential in it, or the text of an opaque key."""


Encoder = Callable[["Walk", Any, int], Any]


class Walk:
    """One walk over one event: encodes its values, and collects what it meets on the way."""

    __slots__ = ("_active", "_left", "_subject", "characters", "course_keys", "notes", "organizations")

    def __init__(self) -> None:
        self.course_keys: set[str] = set()
        self.organizations: set[str] = set()
        self.notes: list[str] = []
        self.characters = 0
        self._active: set[int] = set()
        self._left = MAX_NODES
        self._subject = ""

    def argument(self, name: str, value: object) -> Any:
        """Return the tree of one argument; None, with a note, where there is nothing to show for it."""
        self.about(name)
        tree = self.encode(value, 0)
        if tree is OMITTED:
            self.note("bytes and files are left out")
            return None
        return tree

    def about(self, name: str) -> None:
        """Have the notes from here on speak of this argument."""
        self._subject = name

    def encode(self, value: Any, depth: int) -> Any:
        """Return the tree of a value, or ``OMITTED``; never raises."""
        kind = type(value)
        try:
            return (_ENCODERS.get(kind) or _learn(kind))(self, value, depth)
        except Exception as error:  # noqa: BLE001  whatever an object raises, the event goes out
            self.note(f"{qualified_name(kind)} could not be read ({type(error).__name__})")
            return None

    def note(self, text: str) -> None:
        """Remember, for the receiver, that the current argument is not whole and why."""
        note = f"{self._subject}: {text}"[:200]
        if len(self.notes) < _MAX_NOTES and note not in self.notes:
            self.notes.append(note)

    def found(self, key: OpaqueKey) -> None:
        """Collect the course (or library) that a key belongs to, and its organisation."""
        context = context_of(key)
        organization = getattr(context if context is not None else key, "org", None)
        if context is not None:
            self.course_keys.add(str(context))
        if organization:
            self.organizations.add(str(organization))

    def nested(self, encoder: Encoder, value: object, depth: int) -> Any:
        """Encode a container one level down, unless it lies too deep or inside itself."""
        if depth >= MAX_DEPTH:
            self.note(f"nested deeper than {MAX_DEPTH} levels")
            return None
        identity = id(value)
        if identity in self._active:
            self.note("contains itself")
            return None
        self._active.add(identity)
        try:
            return encoder(self, value, depth + 1)
        finally:
            self._active.discard(identity)

    def within_budget(self, items: Iterable[Any], count: int) -> Iterable[Any]:
        """Return the items, as many as this event may still hold."""
        allowed = max(self._left, 0)
        self._left -= count
        if count <= allowed:
            return items
        self.note(f"holds more than {MAX_NODES} values")
        return islice(items, allowed)


def _same(_walk: Walk, value: Any, _depth: int) -> Any:
    return value


def _text(walk: Walk, value: str, _depth: int) -> str:
    if not value.isascii():
        value = clean_text(value)
    if value.startswith(_SPECIAL_TEXT):
        value = _special_text(walk, value)
    walk.characters += len(value)
    return value if walk.characters <= MAX_TEXT else _clipped(walk, value)


def _clipped(walk: Walk, value: str) -> str:
    """Keep the beginning of a text for which there is no room any more."""
    clipped = value[:CLIPPED_TEXT]
    walk.characters -= len(value) - len(clipped)
    walk.note(f"holds more than {MAX_TEXT} characters of text")
    return clipped


def clean_text(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD: no database and no receiver takes them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _special_text(walk: Walk, value: str) -> str:
    if value.startswith(("{", "[")):
        return redact_text(value)
    if (key := key_in(value)) is not None:
        walk.found(key)
    return value


def _integer(walk: Walk, value: int, _depth: int) -> int | None:
    if value.bit_length() > MAX_INT_BITS:
        walk.note("an integer is too large")
        return None
    return int(value)


def _float(_walk: Walk, value: float, _depth: int) -> float | None:
    return float(value) if math.isfinite(value) else None


def _decimal(_walk: Walk, value: Decimal, _depth: int) -> str | None:
    return str(value) if value.is_finite() else None


def _as_text(_walk: Walk, value: Any, _depth: int) -> str:
    return clean_text(str(value))


def _plain_text(walk: Walk, value: str, depth: int) -> str:
    return _text(walk, str.__str__(value), depth)


def _clock_time(_walk: Walk, value: time, _depth: int) -> str:
    return value.isoformat()


def _duration(_walk: Walk, value: timedelta, _depth: int) -> str:
    return duration_iso_string(value)


def _key(walk: Walk, value: OpaqueKey, _depth: int) -> str:
    walk.found(value)
    return clean_text(str(value))


def _enum(walk: Walk, value: enum.Enum, depth: int) -> Any:
    return walk.encode(value.value, depth)


def _omitted(_walk: Walk, _value: Any, _depth: int) -> Any:
    return OMITTED


def _lazy_object(walk: Walk, value: Any, depth: int) -> Any:
    """Encode what a lazy object stands for if it is already there; waking it may query the database."""
    wrapped = value.__dict__.get("_wrapped", empty)
    if wrapped is empty:
        walk.note("a lazy object is not evaluated")
        return None
    return walk.encode(wrapped, depth)


def _model(walk: Walk, value: Model, depth: int) -> dict[str, Any]:
    label = value._meta.label_lower
    return {"model": label, "pk": walk.encode(value.pk, depth)}


def _unknown(walk: Walk, value: Any, _depth: int) -> None:
    walk.note(f"{qualified_name(type(value))} has no JSON form")


def _container(encoder: Encoder) -> Encoder:
    def encode(walk: Walk, value: Any, depth: int) -> Any:
        return walk.nested(encoder, value, depth)

    return encode


def _data_class(kind: type) -> Encoder:
    names = tuple(field.name for field in written_fields(kind))

    @_container
    def encode(walk: Walk, value: Any, depth: int) -> dict[str, Any]:
        tree = {}
        for name in walk.within_budget(names, len(names)):
            item = walk.encode(getattr(value, name, None), depth)
            if item is not OMITTED:
                tree[name] = item
        return tree

    return encode


@_container
def _mapping(walk: Walk, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    tree = {}
    for key, item in walk.within_budget(value.items(), len(value)):
        name = key if type(key) is str and key.isascii() else key_text(walk, key)
        if is_credential(name):
            continue
        encoded = walk.encode(item, depth)
        if encoded is not OMITTED:
            tree[name[:MAX_KEY]] = encoded
    return tree


def key_text(walk: Walk, key: Any) -> str:
    """Return a dict's key as text: text as it is, anything else as its JSON (``1``, ``true``, ``null``)."""
    encoded = walk.encode(key, MAX_DEPTH - 2)
    if isinstance(encoded, str):
        return encoded
    return encoded.isoformat() if isinstance(encoded, date) else json.dumps(encoded, default=str)


def _items(walk: Walk, value: Collection[Any], depth: int) -> list[Any]:
    items = (walk.encode(item, depth) for item in walk.within_budget(value, len(value)))
    return [item for item in items if item is not OMITTED]


_sequence = _container(_items)


@_container
def _set(walk: Walk, value: Set[Any], depth: int) -> list[Any]:
    """Encode a set as a list in a fixed order, so that the same set gives the same bytes."""
    return sorted(_items(walk, value, depth), key=lambda item: json.dumps(item, default=str, sort_keys=True))


_ENCODERS: dict[type, Encoder] = {
    str: _text,
    int: _integer,
    bool: _same,
    type(None): _same,
    float: _float,
    datetime: _same,
    date: _same,
    UUID: _as_text,
    dict: _mapping,
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
}
"""The encoder of each class met so far. Classes that are not here are learnt by ``_RULES``."""

_RULES: tuple[tuple[tuple[type, ...], Encoder], ...] = (
    ((enum.Enum,), _enum),
    ((str,), _plain_text),
    ((int,), _integer),
    ((float,), _float),
    ((date,), _same),
    ((time,), _clock_time),
    ((timedelta,), _duration),
    ((UUID, Promise), _as_text),
    ((Decimal,), _decimal),
    ((OpaqueKey,), _key),
    ((bytes, bytearray, memoryview, io.IOBase, File), _omitted),
    ((LazyObject,), _lazy_object),
    ((Model,), _model),
    ((QuerySet, Manager), _unknown),
)
_CONTAINERS: tuple[tuple[tuple[type, ...], Encoder], ...] = (
    ((Mapping,), _mapping),
    ((Set,), _set),
    ((Sequence, deque), _sequence),
)


def _learn(kind: type) -> Encoder:
    """Choose the encoder of a class and remember it."""
    encoder = _by_rule(kind, _RULES) or (_data_class(kind) if is_data_class(kind) else None)
    encoder = encoder or _by_rule(kind, _CONTAINERS) or _unknown
    if len(_ENCODERS) < _CLASSES_KEPT:
        _ENCODERS[kind] = encoder
    return encoder


def _by_rule(kind: type, rules: tuple[tuple[tuple[type, ...], Encoder], ...]) -> Encoder | None:
    return next((encoder for classes, encoder in rules if issubclass(kind, classes)), None)
