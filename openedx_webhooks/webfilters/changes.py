"""How a reply changes an argument: by the type of what is there now, one row per type.

Nothing changes here: each row takes the present value and what the reply wants, and returns the new value, or
raises ReplyError. Present values are never modified in place; containers are copied.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import attr
from django.core.exceptions import FieldError, ValidationError
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from opaque_keys import InvalidKeyError, OpaqueKey
from opaque_keys.edx.keys import AssetKey, CourseKey, LearningContextKey, UsageKey

from openedx_webhooks import app_settings
from openedx_webhooks.catalog.contracts import Contract, is_redirect_url
from openedx_webhooks.payloads import formats
from openedx_webhooks.payloads.objects import Walk
from openedx_webhooks.payloads.redaction import is_credential
from openedx_webhooks.webfilters.refusal import ReplyError
from openedx_webhooks.webfilters.replies import kind

NEVER_IN_FORMS = frozenset({"id", "is_staff", "is_superuser", "is_active", "last_login", "date_joined"})
OPENED_BY_NAME = frozenset({"username", "email"})
"""Fields of an account, or of a form that makes one, that ``WRITABLE_FIELDS`` may open."""

_TEMPLATE = re.compile(r"[\w-]+([./][\w-]+)*")
_MODE = re.compile(r"[\w-]{1,100}")
_KEY_FAMILIES = (CourseKey, UsageKey, AssetKey, LearningContextKey)
_FORM_FIELD = ("default", "field_type", "label", "instructions", "restrictions")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One leaf that a reply changes."""

    path: str
    before: Any
    after: Any
    """JSON values, or None."""


@dataclass(slots=True)
class Spot:
    """Where in the arguments a value stands, and what its reply may do there."""

    path: str
    contract: Contract
    allow_html: bool
    changes: list[Change] = field(default_factory=list)

    @property
    def argument(self) -> str:
        """The argument that it belongs to."""
        return self.path.partition(".")[0]

    @property
    def is_top(self) -> bool:
        """Whether it is an argument itself."""
        return "." not in self.path

    def below(self, key: str) -> Spot:
        """Return the spot one level down."""
        return Spot(f"{self.path}.{key[:60]}", self.contract, self.allow_html, self.changes)

    def changed(self, before: Any, after: Any) -> None:
        """Remember one changed leaf."""
        self.changes.append(Change(path=self.path, before=shown(before), after=shown(after)))

    def refused(self, reason: str) -> ReplyError:
        """Return the error to raise."""
        return ReplyError(self.path, reason)


Apply = Callable[[Spot, Any, Any], Any]


def changed(spot: Spot, current: Any, wanted: Any) -> Any:
    """Return the new value; the present one itself where nothing changes, as when a receiver sends back what it got.

    Raises ReplyError where the reply may not have what it wants.
    """
    apply = next(row for accepts, row in ROWS if accepts(current))
    return apply(spot, current, wanted)


def shown(value: Any) -> Any:
    """Return a value as the JSON that a body holds for it."""
    tree = Walk().argument("value", value)
    return json.loads(json.dumps(tree, default=formats.iso_time))


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
    except ValueError:
        raise spot.refused("A date in ISO 8601 is expected.") from None
    if isinstance(new, datetime) and isinstance(current, datetime):
        if new.tzinfo is None and current.tzinfo is not None:
            new = new.replace(tzinfo=UTC)
        if new.tzinfo is not None and current.tzinfo is None:
            new = new.astimezone(UTC).replace(tzinfo=None)
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


def _form(spot: Spot, current: QueryDict, wanted: Any) -> Any:
    """Copy the form and set the fields; a form's values are text, so numbers and booleans become it."""
    new = current.copy()
    for name, value in _items(spot, wanted):
        at = spot.below(name)
        before = current.getlist(name)
        after = [_form_text(at, item) for item in (value if isinstance(value, list) else [value])]
        if after == before:
            continue
        _check_form_field(at, name)
        new.setlist(name, after)
        at.changed(before[0] if len(before) == 1 else before or None, after[0] if len(after) == 1 else after)
    return new


def _check_form_field(spot: Spot, name: str) -> None:
    opened = name.lower() in app_settings.WRITABLE_FIELDS()
    is_closed = name.lower() in OPENED_BY_NAME and not opened
    if is_credential(name) or "password" in name.lower() or name.lower() in NEVER_IN_FORMS or is_closed:
        raise spot.refused("A webfilter may not change it.")


def _form_text(spot: Spot, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise spot.refused(f"It is {kind(value)}; text is expected.")


def _mapping(spot: Spot, current: Mapping[Any, Any], wanted: Any) -> Any:
    """Merge deep into a copy; keys that the reply does not name stay."""
    new: Any = None
    for name, value in _items(spot, wanted):
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


def _items(spot: Spot, wanted: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(wanted, dict):
        raise spot.refused(f"It is {kind(wanted)}; an object is expected.")
    yield from wanted.items()


def _set(spot: Spot, current: set[Any], wanted: Any) -> Any:
    if not isinstance(wanted, list) or not all(isinstance(item, str) for item in wanted):
        raise spot.refused("A list of text is expected.")
    if not all(isinstance(item, str) for item in current):
        return _echoed(spot, current, wanted)
    return current if set(wanted) == current else _replaced(spot, current, type(current)(wanted))


def _list(spot: Spot, current: list[Any], wanted: Any) -> Any:
    """Replace a list of plain values; one that holds objects of the platform stays as it is."""
    if not isinstance(wanted, list):
        raise spot.refused(f"It is {kind(wanted)}; a list is expected.")
    if wanted == shown(current):
        return current
    if not _is_plain(current):
        raise spot.refused("It holds objects of the platform; a webfilter may not change it.")
    kinds = {type(item) for item in current}
    if kinds == {dict} and not all(isinstance(item, dict) for item in wanted):
        raise spot.refused("A list of objects is expected.")
    return _replaced(spot, current, type(current)(wanted))


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return isinstance(value, (str, int, float, bool, date, type(None)))


def _rows(spot: Spot, current: QuerySet[Any], wanted: Any) -> Any:
    """Narrow a QuerySet, lazily: ``{"filter": {lookup: value}, "exclude": {lookup: value}}``."""
    if wanted == shown({"model": current.model._meta.label_lower}):
        return current
    allowed = spot.contract.lookups.get(spot.path, ())
    new = current
    for name, lookups in _items(spot, wanted):
        if name == "model":
            continue
        if name not in ("filter", "exclude"):
            raise spot.below(name).refused("Only filter and exclude are known.")
        for lookup, value in _items(spot.below(name), lookups):
            new = _narrowed(spot.below(name).below(lookup), new, {lookup: value}, name, allowed)
    return new


def _narrowed(
    spot: Spot, rows: QuerySet[Any], lookup: dict[str, Any], method: str, allowed: tuple[str, ...]
) -> QuerySet[Any]:
    (name, value), *_ = lookup.items()
    if name not in allowed:
        raise spot.refused(f"Only these lookups are allowed: {', '.join(allowed) or 'none'}.")
    if name.endswith("__in") != isinstance(value, list) or isinstance(value, dict) or value is None:
        raise spot.refused("A list is expected with __in, and a plain value without.")
    try:
        narrowed: QuerySet[Any] = getattr(rows, method)(**lookup)
    except (FieldError, ValidationError, InvalidKeyError, TypeError, ValueError):
        raise spot.refused("The platform cannot filter by this.") from None
    spot.changed(None, value)
    return narrowed


def _fragment(spot: Spot, current: Any, wanted: Any) -> Any:
    """Replace the content of a fragment, in a copy."""
    new = current
    for name, value in _items(spot, wanted):
        at = spot.below(name)
        if name != "content" or not isinstance(value, str):
            raise at.refused("Only a fragment's content, as text, may change.")
        if value == current.content:
            continue
        if not spot.allow_html:
            raise at.refused("It is HTML, which this webfilter does not allow.")
        new = copy.copy(current)
        new.content = value
        at.changed(current.content, value)
    return new


def _form_description(spot: Spot, current: Any, wanted: Any) -> Any:
    """Override properties of a form's fields; the description records overrides, so a copy takes them."""
    overrides = {}
    for name, properties in _items(spot, wanted):
        at = spot.below(name)
        if not isinstance(properties, dict):
            if properties == shown(getattr(current, name, None)):
                continue
            raise at.refused("An object of a field's properties is expected.")
        unknown = [p for p in properties if p not in _FORM_FIELD]
        if unknown:
            raise at.below(unknown[0]).refused(f"Only these properties are known: {', '.join(_FORM_FIELD)}.")
        overrides[name] = properties
    if not overrides:
        return current
    new = copy.deepcopy(current)
    for name, properties in overrides.items():
        new.override_field_properties(name, **properties)
        spot.below(name).changed(None, properties)
    return new


def _data_class(spot: Spot, current: Any, wanted: Any) -> Any:
    """Evolve an attrs value by its fields; each changes by the type it has now."""
    known = {f.name: f.alias for f in attr.fields(type(current)) if f.init}
    new = {}
    for name, value in _items(spot, wanted):
        at = spot.below(name)
        if name not in known:
            raise at.refused("There is no such field.")
        before = getattr(current, name)
        after = changed(at, before, value)
        if after is not before:
            new[known[name]] = after
    return attr.evolve(current, **new) if new else current


def _echoed(spot: Spot, current: Any, wanted: Any) -> Any:
    """Take what was sent, and nothing else: rows of the database and objects of the platform stay."""
    if wanted is None or wanted == shown(current):
        return current
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
    (_is(QueryDict), _form),
    (_is(QuerySet), _rows),
    (_is(Mapping), _mapping),
    (_is(set, frozenset), _set),
    (_is(list, tuple), _list),
    (lambda value: attr.has(type(value)), _data_class),
    (_has("content", "add_content", "to_dict"), _fragment),
    (_has("override_field_properties"), _form_description),
    (lambda _: True, _echoed),
)
"""The first row that takes the present value applies; order matters where a type is another's subclass."""
