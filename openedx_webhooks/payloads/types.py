"""What a declared type means for a body: one reading of annotations for the schema and for the samples."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from typing import Any


def unwrap(declared: Any) -> Any:
    """Return the type behind ``NewType``, ``Annotated`` and a type variable's bound; ``Any`` for what is unknown."""
    while True:
        if isinstance(declared, typing.NewType):
            declared = declared.__supertype__
        elif typing.get_origin(declared) is typing.Annotated:
            declared = typing.get_args(declared)[0]
        elif isinstance(declared, typing.TypeVar):
            declared = declared.__bound__ or Any
        elif isinstance(declared, (str, typing.ForwardRef)):
            return Any
        else:
            return declared


def alternatives(declared: Any) -> tuple[Any, ...] | None:
    """Return the members of a union, ``NoneType`` included; None where the type is no union."""
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return None


def literals(declared: Any) -> tuple[Any, ...] | None:
    """Return the values of a ``Literal``; None where the type is none."""
    return typing.get_args(declared) if typing.get_origin(declared) is typing.Literal else None


def container(declared: Any) -> type | None:
    """Return the class of a dict or list-like type, generic or bare; None for anything else."""
    origin = typing.get_origin(declared) or declared
    if not isinstance(origin, type) or issubclass(origin, (str, bytes, bytearray, memoryview)):
        return None
    return origin if issubclass(origin, (Mapping, Collection)) else None


def item_types(declared: Any) -> tuple[Any, ...]:
    """Return what a container is declared to hold: ``(key, value)`` of a dict, ``(item,)`` of a list; or ``()``."""
    return tuple(argument for argument in typing.get_args(declared) if argument is not Ellipsis)
