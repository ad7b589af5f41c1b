"""Sample arguments of an event, real enough to be sent: built from the types and names of the fields."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from opaque_keys import InvalidKeyError, OpaqueKey
from openedx_events.data import EventsMetadata

from openedx_webhooks.catalog.events import EventEntry
from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import formats, types
from openedx_webhooks.payloads.events import serialize
from openedx_webhooks.payloads.fields import BINARY, fields_of, is_data_class

MOMENT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
IDENTIFIER = UUID("5f0c6a8e-f1f7-11f0-8de9-0242ac120002")
COURSE = "course-v1:edX+DemoX+2026"
BLOCK = "block-v1:edX+DemoX+2026+type@problem+block@sample"
_MAX_DEPTH = 8
_SAMPLE_BODY = 1024 * 1024

_KEY_TEXTS = (
    COURSE,
    BLOCK,
    "asset-v1:edX+DemoX+2026+type@asset+block@sample.png",
    "def-v1:5f0c6a8ef1f711f08de90242+type@problem",
    "library-v1:edX+Sample",
    "lib:edX:sample",
    "lb:edX:sample:problem:sample",
    "lct:edX:sample:unit:sample",
    "lib-collection:edX:sample:sample",
    "ccx-v1:edX+DemoX+2026+ccx@1",
    "ccb-v1:edX+DemoX+2026+ccx@1+type@problem+block@sample",
)
"""One text of each family of opaque keys; the one that a declared class can read is its sample."""

_TEXTS: tuple[tuple[str, str], ...] = (
    ("email", "learner@example.com"),
    ("username", "learner"),
    ("url", "https://lms.example.com/sample"),
    ("uuid", str(IDENTIFIER)),
    ("course_id", COURSE),
    ("course_key", COURSE),
    ("content_key", COURSE),
    ("object_id", BLOCK),
    ("org_key", "edX"),
    ("mode", "audit"),
)
"""Endings of the names of text fields, and what such a field holds."""

_LEAVES: tuple[tuple[type, Any], ...] = (
    (bool, True),
    (int, 1),
    (float, 0.75),
    (datetime, MOMENT),
    (date, MOMENT.date()),
    (time, MOMENT.time()),
    (timedelta, timedelta(minutes=30)),
    (UUID, IDENTIFIER),
    (Decimal, Decimal("12.50")),
)


def sample(entry: EventEntry) -> dict[str, object]:
    """Return arguments that ``entry.signal.send_event`` takes, the same on every call."""
    return {argument.name: _instance(argument.data_class, 0) for argument in entry.arguments}


def sample_body(entry: EventEntry, encoding: Encoding) -> str:
    """Return the body of the sample in one encoding."""
    metadata = EventsMetadata(
        event_type=entry.event_type,
        id=IDENTIFIER,
        minorversion=entry.signal.minor_version,
        source="openedx/lms/web",
        sourcehost="lms.example.com",
        time=MOMENT,
    )
    payload = serialize(entry.name, entry.event_type, sample(entry), metadata)
    return formats.render(payload, encoding, max_body=_SAMPLE_BODY)


def _instance(cls: type, depth: int) -> Any:
    settable = ((field.init, field) for field in fields_of(cls) if field.init)
    return cls(**{parameter: _value(field.declared, field.name, depth + 1) for parameter, field in settable})


def _value(declared: Any, name: str, depth: int) -> Any:
    """Return a value of the declared type; None below a depth that only a class holding itself reaches."""
    declared = _first_alternative(types.unwrap(declared))
    if depth > _MAX_DEPTH:
        return None
    if (values := types.literals(declared)) is not None:
        return values[0]
    if declared in BINARY:
        return io.BytesIO(b"sample")
    if is_data_class(declared):
        return _instance(declared, depth)
    if (kind := types.container(declared)) is not None and not issubclass(kind, enum.Enum):
        return _filled(kind, types.item_types(declared), name, depth)
    return _leaf(declared, name)


def _first_alternative(declared: Any) -> Any:
    members = types.alternatives(declared)
    if members is None:
        return declared
    return types.unwrap(next(member for member in members if member is not type(None)))


def _filled(kind: type, items: tuple[Any, ...], name: str, depth: int) -> Any:
    if issubclass(kind, Mapping):
        key, value = items if len(items) == 2 else (str, str)
        return {_value(key, "", depth + 1): _value(value, "value", depth + 1)}
    values = [_value(item, name.removesuffix("s"), depth + 1) for item in items or (str,)]
    build: Callable[[Any], Any] = kind if kind in (list, tuple, set, frozenset) else list
    return build(values)


def _leaf(declared: Any, name: str) -> Any:
    if not isinstance(declared, type):
        return f"sample {name}"
    if issubclass(declared, enum.Enum):
        return next(iter(declared))
    if issubclass(declared, OpaqueKey):
        return key_sample(declared)
    if declared is not str:
        for cls, value in _LEAVES:
            if issubclass(declared, cls):
                return value
    return next((text for ending, text in _TEXTS if name.endswith(ending)), f"sample {name}".strip())


@lru_cache(maxsize=256)
def key_sample(cls: type[OpaqueKey]) -> OpaqueKey | None:
    """Return a key of the class, or of one below it; None for a family whose texts are not known here."""
    for text in _KEY_TEXTS:
        try:
            key = cls.from_string(text)
        except (InvalidKeyError, TypeError, NotImplementedError):
            continue
        if isinstance(key, cls):
            return key
    return None
