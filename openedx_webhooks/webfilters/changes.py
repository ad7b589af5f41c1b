"""How a reply changes an argument: by the type of what is there now, one row per type.

Nothing changes here: each row takes the present value and what the reply wants, and returns the new value, or
raises ReplyError. Present values are never modified in place; containers are copied.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import attr
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from opaque_keys import InvalidKeyError, OpaqueKey
from opaque_keys.edx.keys import AssetKey, CourseKey, LearningContextKey, UsageKey

from openedx_webhooks.catalog.contracts import is_redirect_url
from openedx_webhooks.payloads.redaction import is_credential
from openedx_webhooks.webfilters import objects
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot, items, shown

_TEMPLATE = re.compile(r"[\w-]+([./][\w-]+)*")
_MODE = re.compile(r"[\w-]{1,100}")
_KEY_FAMILIES = (CourseKey, UsageKey, AssetKey, LearningContextKey)


Apply = Callable[[Spot, Any, Any], Any]


def changed(spot: Spot, current: Any, wanted: Any) -> Any:
    """Return the new value; the present one itself where nothing changes, as when a receiver sends back what it got.

    Raises ReplyError where the reply may not have what it wants.
    """
    apply = next(row for accepts, row in ROWS if accepts(current))
    return apply(spot, current, wanted)


def _replaced(spot: Spot, current: Any, new: Any) -> Any:
    if type(new) is type(current) and new == current:
        return current
    spot.changed(current, new)
    return new


def _nothing(spot: Spot, current: None, wanted: Any) -> Any:
    """Fill an empty value: with anything inside a container, with text where an argument was empty."""
    if wanted is None:
        return current
    if spot.is_top and not isinstance(wanted, str):
        raise spot.refused(f"It is {kind(wanted)}; text is expected.")
    return _replaced(spot, current, _text_checked(spot, wanted) if isinstance(wanted, str) else wanted)


def _boolean(spot: Spot, current: bool, wanted: Any) -> Any:  # noqa: FBT001
    if not isinstance(wanted, bool):
        raise spot.refused(f"It is {kind(wanted)}; true or false is expected.")
    return _replaced(spot, current, wanted)


def _number(spot: Spot, current: float, wanted: Any) -> Any:
    if isinstance(wanted, bool) or not isinstance(wanted, (int, float)):
        raise spot.refused(f"It is {kind(wanted)}; a number is expected.")
    if isinstance(current, int) and isinstance(wanted, float):
        if not wanted.is_integer():
            raise spot.refused("A whole number is expected.")
        wanted = int(wanted)
    if abs(wanted) > 2**63:
        raise spot.refused("The number is too large.")
    return _replaced(spot, current, wanted if isinstance(current, int) else float(wanted))


def _text(spot: Spot, current: str, wanted: Any) -> Any:
    if not isinstance(wanted, str):
        raise spot.refused(f"It is {kind(wanted)}; text is expected.")
    return current if wanted == current else _replaced(spot, current, _text_checked(spot, wanted))


def _lazy_text(spot: Spot, current: Promise, wanted: Any) -> Any:
    new = _text(spot, str(current), wanted)
    return current if new == str(current) else new


def _text_checked(spot: Spot, wanted: str) -> str:
    """Check the arguments whose text means something: addresses, templates, modes."""
    if not spot.is_top:
        return wanted
    name = spot.argument
    if (name == "url" or name.endswith("_url")) and not is_redirect_url(wanted):
        raise spot.refused("A URL with http or https, or a path that begins with a slash, is expected.")
    if name == "template_name" and not is_template(wanted):
        raise spot.refused("It does not look like the name of a template.")
    if name == "mode" and not _MODE.fullmatch(wanted):
        raise spot.refused("A mode is up to 100 letters, digits, hyphens and underscores.")
    return wanted


def is_template(text: str) -> bool:
    """Return whether a text may name a template: a relative path without ``..``."""
    return bool(_TEMPLATE.fullmatch(text)) and len(text) <= 255


def _moment(spot: Spot, current: date, wanted: Any) -> Any:
    if not isinstance(wanted, str):
        raise spot.refused(f"It is {kind(wanted)}; a date in ISO 8601 is expected.")
    try:
        new = datetime.fromisoformat(wanted) if isinstance(current, datetime) else date.fromisoformat(wanted)
        if isinstance(new, datetime) and isinstance(current, datetime):
            if new.tzinfo is None and current.tzinfo is not None:
                new = new.replace(tzinfo=UTC)
            if new.tzinfo is not None and current.tzinfo is None:
                new = new.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise spot.refused("A date in ISO 8601 is expected.") from None
    return _replaced(spot, current, new)


def _key(spot: Spot, current: OpaqueKey, wanted: Any) -> Any:
    if not isinstance(wanted, str):
        raise spot.refused(f"It is {kind(wanted)}; a key as text is expected.")
    if wanted == str(current):
        return current
    family = next((f for f in _KEY_FAMILIES if isinstance(current, f)), type(current))
    try:
        return _replaced(spot, current, family.from_string(wanted))
    except InvalidKeyError:
        raise spot.refused(f"It is no {family.__name__}.") from None


def _mapping(spot: Spot, current: Mapping[Any, Any], wanted: Any) -> Any:
    """Merge deep into a copy; keys that the reply does not name stay."""
    new: Any = None
    for name, value in items(spot, wanted):
        at = spot.below(name)
        before = current.get(name)
        after = changed(at, before, value)
        if after is before and name in current:
            continue
        if is_credential(name):
            raise at.refused("A webfilter may not change it.")
        if name not in current and value is None:
            at.changed(None, None)
        if new is None:
            new = copy.copy(current) if isinstance(current, dict) else dict(current)
        new[name] = after
    return current if new is None else new


def _set(spot: Spot, current: set[Any], wanted: Any) -> Any:
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        raise spot.refused("A list of text is expected.")
    if not all(isinstance(item, str) for item in current):
        return _object(spot, current, wanted)
    return current if set(wanted) == current else _replaced(spot, current, type(current)(wanted))


def _list(spot: Spot, current: list[Any] | tuple[Any, ...], wanted: Any) -> Any:
    """Replace a list that JSON holds whole; of any other, dates, objects and withheld keys would be lost."""
    if not isinstance(wanted, list):
        raise spot.refused(f"It is {kind(wanted)}; a list is expected.")
    if shown(current) != list(current) or hasattr(current, "_fields"):
        raise spot.refused("It holds more than JSON does (dates, objects, credentials); a webfilter may not change it.")
    kinds = {type(item) for item in current}
    if kinds == {dict} and not all(isinstance(item, dict) for item in wanted):
        raise spot.refused("A list of objects is expected.")
    new = tuple(wanted) if isinstance(current, tuple) else wanted
    spot.changed(current, new)
    return new


def _data_class(spot: Spot, current: Any, wanted: Any) -> Any:
    """Evolve an attrs value by its fields; each changes by the type it has now."""
    known = {f.name: f.alias for f in attr.fields(type(current)) if f.init}
    new = {}
    for name, value in items(spot, wanted):
        at = spot.below(name)
        if name not in known:
            raise at.refused("There is no such field.")
        before = getattr(current, name)
        after = changed(at, before, value)
        if after is not before:
            new[known[name]] = after
    return attr.evolve(current, **new) if new else current


def _object(spot: Spot, _current: Any, _wanted: Any) -> Any:
    """Refuse: rows of the database and objects of the platform stay."""
    raise spot.refused("It is an object of the platform; a webfilter may not change it.")


def _is(*types: Any) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, types)


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: all(hasattr(value, name) for name in names)


ROWS: tuple[tuple[Callable[[Any], bool], Apply], ...] = (
    (_is(type(None)), _nothing),
    (_is(bool), _boolean),
    (_is(int, float), _number),
    (_is(str), _text),
    (_is(Promise), _lazy_text),
    (_is(date), _moment),
    (_is(OpaqueKey), _key),
    (_is(QueryDict), objects.form),
    (_is(QuerySet), objects.rows),
    (_is(Mapping), _mapping),
    (_is(set, frozenset), _set),
    (_is(list, tuple), _list),
    (lambda value: attr.has(type(value)), _data_class),
    (_has("content", "add_content", "to_dict"), objects.fragment),
    (_has("override_field_properties"), objects.form_description),
    (lambda _: True, _object),
)
"""The first row that takes the present value applies; order matters where a type is another's subclass."""
