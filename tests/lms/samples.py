"""Sends any event of the installed packages, with values made from its data classes."""

import io
import types
import typing
import uuid
from datetime import UTC, datetime
from typing import Any

import attr
from ccx_keys.locator import CCXLocator
from opaque_keys.edx import locator
from opaque_keys.edx.keys import AssetKey, CourseKey, LearningContextKey, UsageKey
from openedx_events.tooling import OpenEdxPublicSignal

COURSE = "course-v1:edX+DemoX+2026"
BLOCK = "block-v1:edX+DemoX+2026+type@problem+block@p1"

_VALUES: dict[Any, Any] = {
    str: "sample",
    int: 7,
    bool: True,
    float: 0.75,
    dict: {"sample": "value"},
    list: ["sample"],
    bytes: b"sample",
    datetime: datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    uuid.UUID: uuid.UUID("00000000-0000-4000-8000-000000000001"),
    CourseKey: CourseKey.from_string(COURSE),
    LearningContextKey: CourseKey.from_string(COURSE),
    UsageKey: UsageKey.from_string(BLOCK),
    AssetKey: AssetKey.from_string("asset-v1:edX+DemoX+2026+type@asset+block@a.png"),
    CCXLocator: CCXLocator.from_string("ccx-v1:edX+DemoX+2026+ccx@1"),
    locator.LibraryLocatorV2: locator.LibraryLocatorV2.from_string("lib:edX:L1"),
    locator.LibraryUsageLocatorV2: locator.LibraryUsageLocatorV2.from_string("lb:edX:L1:problem:p1"),
    Any: "sample",
    type(None): None,
}


def send_sample(name: str) -> Any:
    """Send the event of a Python name or an event_type; raise LookupError where there is none."""
    for signal in OpenEdxPublicSignal.all_events():
        if signal.event_type == name or _python_name(signal) == name:
            return signal.send_event(**sample_arguments(signal))
    raise LookupError(name)


def sample_arguments(signal: OpenEdxPublicSignal) -> dict[str, Any]:
    """Return arguments that ``signal.send_event`` takes, with every optional field filled."""
    return {name: sample_of(annotation) for name, annotation in signal.init_data.items()}


def sample_of(annotation: Any) -> Any:
    """Return a value of an annotation; raise TypeError where none is known."""
    if annotation in _VALUES:
        return _VALUES[annotation]
    if isinstance(annotation, type) and attr.has(annotation):
        attr.resolve_types(annotation)
        return annotation(**{field.alias: sample_of(field.type) for field in attr.fields(annotation) if field.init})
    if hasattr(annotation, "__supertype__"):
        return sample_of(annotation.__supertype__)
    if annotation is typing.BinaryIO:
        return io.BytesIO(b"sample")
    if typing.get_origin(annotation) is not None:
        return _sample_of_generic(typing.get_origin(annotation), typing.get_args(annotation))
    return _sample_key(annotation)


def _sample_of_generic(origin: Any, parts: tuple[Any, ...]) -> Any:
    if origin in (typing.Union, types.UnionType):
        return sample_of(parts[0])
    if origin is dict:
        return {sample_of(parts[0]): sample_of(parts[1])}
    if origin in (list, set, frozenset):
        return origin([sample_of(parts[0])])
    if origin is tuple:
        return tuple(sample_of(part) for part in parts if part is not Ellipsis)
    raise TypeError(f"No sample of {origin}.")


def _sample_key(annotation: Any) -> Any:
    """Return a key of a class that older releases of edx-opaque-keys do not have."""
    spellings = {
        "LibraryCollectionLocator": "lib-collection:edX:L1:c1",
        "LibraryContainerLocator": "lct:edX:L1:unit:u1",
    }
    spelling = spellings.get(getattr(annotation, "__name__", ""))
    if spelling is None:
        raise TypeError(f"No sample of {annotation}.")
    return annotation.from_string(spelling)


def _python_name(signal: OpenEdxPublicSignal) -> str | None:
    """Return the name under which a loaded ``signals`` module holds the event."""
    import sys

    modules = [module for name, module in sys.modules.items() if name.endswith(".signals")]
    names = (name for module in modules for name, value in vars(module).items() if value is signal)
    return next(names, None)
