"""JSON Schema (2020-12) of an event's body in the default format, derived from the data classes.

Every value may be null: the data classes declare types without checking them, and the platform does send
None in fields that are declared otherwise. Unknown keys are allowed: a minor version of an event adds some.
A body that was cut (``event_metadata.truncated``) may lack what the schema requires.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from opaque_keys import OpaqueKey
from openedx_events.data import EventsMetadata

from openedx_webhooks.catalog.events import EventEntry
from openedx_webhooks.payloads import types
from openedx_webhooks.payloads.fields import BINARY, is_data_class, qualified_name, written_fields
from openedx_webhooks.payloads.samples import sample, sample_body

__all__ = ["json_schema", "sample", "sample_body"]

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TEXT: Schema = {"type": "string"}
_LEAVES: tuple[tuple[type, Schema], ...] = (
    (bool, {"type": "boolean"}),
    (int, {"type": "integer"}),
    (float, {"type": "number"}),
    (str, _TEXT),
    (datetime, {"type": "string", "format": "date-time"}),
    (date, {"type": "string", "format": "date"}),
    (time, {"type": "string", "format": "time"}),
    (timedelta, {"type": "string", "format": "duration"}),
    (UUID, {"type": "string", "format": "uuid"}),
    (Decimal, _TEXT),
)
_MARKS: Schema = {
    "truncated": {"type": "boolean", "description": "The body was too large and was cut."},
    "cut": {"type": "array", "items": _TEXT, "description": "Paths of what was cut."},
    "notes": {"type": "array", "items": _TEXT, "description": "What could not be written, and why."},
}


def json_schema(entry: EventEntry) -> Schema:
    """Return the schema of an event's body: its arguments and ``event_metadata``, classes under ``$defs``."""
    definitions: dict[str, Schema] = {}
    properties = {argument.name: _reference(argument.data_class, definitions) for argument in entry.arguments}
    properties["event_metadata"] = _reference(EventsMetadata, definitions)
    metadata = definitions[qualified_name(EventsMetadata)]
    metadata["properties"] = {
        **metadata["properties"],
        "event_type": {"const": entry.event_type},
        **_MARKS,
    }
    return {
        "$schema": DIALECT,
        "title": entry.name,
        "description": f"Body of {entry.event_type} in the default format.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "$defs": definitions,
    }


def _reference(cls: type, definitions: dict[str, Schema]) -> Schema:
    """Return a reference to a class's schema, described once; a class may hold itself."""
    name = qualified_name(cls)
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = _object(cls, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _object(cls: type, definitions: dict[str, Schema]) -> Schema:
    properties = {field.name: _nullable(_of(field.declared, definitions)) for field in written_fields(cls)}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _nullable(schema: Schema) -> Schema:
    """Return the schema with null allowed; ``{}`` allows it already."""
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        return {**schema, "type": [kind, "null"]}
    if not schema or kind is not None:
        return schema
    members = schema.get("anyOf", [schema])
    return {"anyOf": [*(member for member in members if member != {"type": "null"}), {"type": "null"}]}


def _of(declared: Any, definitions: dict[str, Schema]) -> Schema:
    declared = types.unwrap(declared)
    if (members := types.alternatives(declared)) is not None:
        return {"anyOf": [_of(member, definitions) for member in members]}
    if (values := types.literals(declared)) is not None:
        return {"enum": list(values)}
    if declared in (None, type(None)):
        return {"type": "null"}
    if is_data_class(declared):
        return _reference(declared, definitions)
    if (kind := types.container(declared)) is not None and not _is_enum(declared):
        return _container(kind, types.item_types(declared), definitions)
    return _leaf(declared)


def _is_enum(declared: Any) -> bool:
    return isinstance(declared, type) and issubclass(declared, enum.Enum)


def _container(kind: type, items: tuple[Any, ...], definitions: dict[str, Schema]) -> Schema:
    """Return the schema of a dict or list; of a tuple of several types, any of them may stand anywhere."""
    if issubclass(kind, Mapping):
        value = _nullable(_of(items[1], definitions)) if len(items) == 2 else {}
        return {"type": "object", **({"additionalProperties": value} if value else {})}
    members = [_of(item, definitions) for item in items if item not in BINARY]
    if not members:
        return {"type": "array"}
    return {"type": "array", "items": _nullable(members[0] if len(members) == 1 else {"anyOf": members})}


def _leaf(declared: Any) -> Schema:
    if not isinstance(declared, type):
        return {}
    if issubclass(declared, enum.Enum):
        return {"enum": [*(member.value for member in declared)]}
    if issubclass(declared, OpaqueKey):
        return {**_TEXT, "description": declared.__name__}
    return next((dict(schema) for cls, schema in _LEAVES if issubclass(declared, cls)), {})
