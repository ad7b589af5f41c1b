"""One event as a value that any format can be written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openedx_events.data import EventsMetadata

from openedx_webhooks.payloads.fields import qualified_name
from openedx_webhooks.payloads.objects import Walk


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """One emitted event, read once; every body is written from it."""

    name: str
    """The signal's Python name."""
    event_type: str
    message_id: str
    """The ``webhook-id``: the event's own id, the same on every attempt and replay."""
    course_keys: tuple[str, ...]
    """Every course (or content library) that any key in the event belongs to, sorted."""
    organizations: tuple[str, ...]
    """The organisations of the same keys, sorted."""
    tree: Mapping[str, Any]
    """Argument -> dicts, lists, text, numbers, booleans, None; dates stay dates, since formats differ in them."""
    metadata: Mapping[str, Any]
    """All fields of EventsMetadata in the same form, ``id`` as text, plus ``notes`` where something is not whole."""
    class_names: Mapping[str, str]
    """Argument -> qualified class name, such as ``openedx_events.learning.data.UserData``."""
    characters: int = 0
    """How much text is in it: no body can be much smaller, so a larger one need not be written to be judged."""


def serialize(name: str, event_type: str, arguments: Mapping[str, object], metadata: EventsMetadata) -> Payload:
    """Read an event's arguments, whatever they hold; never raises, and never touches the database.

    What cannot be read becomes None, and ``event_metadata.notes`` says so.
    """
    walk = Walk()
    described = walk.argument("event_metadata", metadata)
    tree = {key: walk.argument(key, value) for key, value in arguments.items()}
    if walk.notes:
        described["notes"] = list(walk.notes)
    return Payload(
        name=name,
        event_type=event_type,
        message_id=str(metadata.id),
        course_keys=tuple(sorted(walk.course_keys)),
        organizations=tuple(sorted(walk.organizations)),
        tree=tree,
        metadata=described,
        characters=walk.characters,
        class_names={key: qualified_name(type(value)) for key, value in arguments.items()},
    )
