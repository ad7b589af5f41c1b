"""The fields of a data class, whether attrs or the standard library made it."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, BinaryIO

import attr

from openedx_webhooks.payloads.redaction import is_credential

BINARY: tuple[Any, ...] = (BinaryIO, IO, IO[bytes], bytes, bytearray, memoryview)
"""Declared types whose value has no place in a body: such a field is left out."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a data class."""

    name: str
    declared: Any
    """Its type; ``Any`` where none is declared or the declaration cannot be resolved."""
    init: str | None
    """The parameter of ``__init__`` that sets it; None if none does."""


def qualified_name(cls: type) -> str:
    """Return module and class, such as ``openedx_events.learning.data.UserData``; never raises."""
    try:
        return f"{cls.__module__}.{cls.__qualname__}"
    except Exception:  # noqa: BLE001  a metaclass is foreign code
        return "an unnamed class"


def is_data_class(cls: Any) -> bool:
    """Tell whether instances of the class are read field by field."""
    return isinstance(cls, type) and (attr.has(cls) or dataclasses.is_dataclass(cls))


@lru_cache(maxsize=4096)
def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the public fields of a data class in the order of their definition, binary ones included."""
    hints = _hints(cls)
    if attr.has(cls):
        found = [Field(a.name, _resolved(a.type, a.name, hints), _init_name(a)) for a in attr.fields(cls)]
    else:
        found = [
            Field(f.name, _resolved(f.type, f.name, hints), f.name if f.init else None) for f in dataclasses.fields(cls)
        ]
    return tuple(field for field in found if not field.name.startswith("_"))


def written_fields(cls: type) -> tuple[Field, ...]:
    """Return the fields that a body holds: neither binary ones nor credentials."""
    return tuple(f for f in fields_of(cls) if f.declared not in BINARY and not is_credential(f.name))


def _init_name(attribute: Any) -> str | None:
    return (attribute.alias or attribute.name) if attribute.init else None


def _resolved(declared: Any, name: str, hints: dict[str, Any]) -> Any:
    if declared is None or isinstance(declared, str):
        return hints.get(name, Any)
    return declared


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001  an annotation may name what only a type checker sees
        return {}
