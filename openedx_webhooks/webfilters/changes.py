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

from openedx_webhooks.webfilters import objects, texts
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot, items, shown

_MODE = re.compile(r"[\w-]{1,100}")
_KEY_FAMILIES = (CourseKey, UsageKey, AssetKey, LearningContextKey)
_PLAIN = (type(None), bool, int, float, str, Promise, date, OpaqueKey)
"""Values that are no container and no object of the platform."""

Apply = Callable[[Spot, Any, Any], Any]


def changed(spot: Spot, current: Any, wanted: Any) -> Any:
    """Return the new value; the present one itself where nothing changes, as when a receiver sends back what it got.

    Raises ReplyError where the reply may not have what it wants.
    """
    _check_open(spot)
    if spot.contract.plain and spot.path in spot.contract.changes and not isinstance(current, _PLAIN):
        raise spot.refused("Of this filter only text, numbers, dates and keys may change.")
    apply = next(row for accepts, row in ROWS if accepts(current))
    return apply(spot, current, wanted)


def _check_open(spot: Spot) -> None:
    """Refuse what is closed by its name, wherever it stands, and what the contract withholds of a dict."""
    if objects.is_closed(spot.name) or (not spot.is_top and spot.path in spot.contract.withheld):
        raise spot.refused("A webfilter may not change it.")


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
    _check_added(spot, wanted)
    return _replaced(spot, current, wanted)


def _check_added(spot: Spot, wanted: Any) -> None:
    """Check what comes where there was nothing, at every depth."""
    if isinstance(wanted, str):
        _text_checked(spot, wanted)
    elif isinstance(wanted, dict):
        for name, value in wanted.items():
            at = spot.below(name)
            _check_key(at, name)
            _check_added(at, value)
    elif isinstance(wanted, list):
        for value in wanted:
            _check_added(spot, value)


def _check_key(spot: Spot, key: str) -> None:
    """Check a key that is new; a page may show it as it may show any text."""
    _check_open(spot)
    if reason := texts.problem("", key, allow_html=spot.allow_html):
        raise spot.refused(reason)


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
    """Check HTML and addresses, and of the arguments templates and modes."""
    if reason := texts.problem(spot.name, wanted, allow_html=spot.allow_html):
        raise spot.refused(reason)
    if spot.path == "template_name" and not texts.is_template(wanted):
        raise spot.refused("It is not the name of a template that this site has.")
    if spot.path == "mode" and not _MODE.fullmatch(wanted):
        raise spot.refused("A mode is up to 100 letters, digits, hyphens and underscores.")
    return wanted


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
        new = family.from_string(wanted)
    except InvalidKeyError:
        raise spot.refused(f"It is no {family.__name__}.") from None
    if type(new) is not type(current):
        raise spot.refused("It is a key of another kind.")
    return _replaced(spot, current, new)


def _mapping(spot: Spot, current: Mapping[Any, Any], wanted: Any) -> Any:
    """Merge deep into a copy; keys that the reply does not name stay."""
    new: Any = None
    for name, value in items(spot, wanted):
        at = spot.below(name)
        if name not in current:
            _check_key(at, name)
        before = current.get(name)
        after = changed(at, before, value)
        if after is before and name in current:
            continue
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
    added = [item for item in wanted if item not in current]
    if reason := texts.problem_in(spot.name, added, allow_html=spot.allow_html):
        raise spot.refused(reason)
    new = {*current, *wanted} if spot.path in spot.contract.grows else set(wanted)
    return current if new == current else _replaced(spot, current, type(current)(new))


def _list(spot: Spot, current: list[Any] | tuple[Any, ...], wanted: Any) -> Any:
    """Replace a list that JSON holds whole; of any other, dates, objects and withheld keys would be lost."""
    if not isinstance(wanted, list):
        raise spot.refused(f"It is {kind(wanted)}; a list is expected.")
    if shown(current) != list(current) or hasattr(current, "_fields"):
        raise spot.refused("It holds more than JSON does (dates, objects, credentials); a webfilter may not change it.")
    kinds = {type(item) for item in current}
    if kinds == {dict} and not all(isinstance(item, dict) for item in wanted):
        raise spot.refused("A list of objects is expected.")
    if key := objects.closed_in(wanted, current):
        raise spot.below(key).refused("A webfilter may not change it.")
    if reason := texts.problem_in(
        spot.name, wanted, allow_html=spot.allow_html, known=texts.all_in(spot.name, current)
    ):
        raise spot.refused(reason)
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
