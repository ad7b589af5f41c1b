"""How a reply changes what only the platform has: forms, queries, fragments, descriptions of forms."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from openedx_webhooks import app_settings
from openedx_webhooks.payloads.redaction import is_credential
from openedx_webhooks.webfilters import texts
from openedx_webhooks.webfilters.echoes import is_same
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot, items

_NEVER = frozenset({"id", "pk", "user_id", "is_staff", "is_superuser", "is_active", "last_login", "date_joined"})
OPENED_BY_NAME = frozenset({"username", "email"})
"""Fields of an account, or of a form that makes one, that ``WRITABLE_FIELDS`` may open."""

FIELD_TYPES = frozenset({"text", "email", "select", "textarea", "checkbox", "plaintext", "hidden"})
RESTRICTIONS: Mapping[str, tuple[type, ...]] = {"min_length": (int,), "max_length": (int,), "readonly": (str, bool)}
FIELD_PROPERTIES: Mapping[str, tuple[type, ...]] = {
    "default": (str, bool),
    "field_type": (str,),
    "label": (str,),
    "instructions": (str,),
    "restrictions": (dict,),
}
"""What a reply may say of a form's field, and the types of it."""
_FILLS = frozenset({"default", "field_type"})
"""Properties by which a form could answer in the learner's place: a hidden field with a value."""


def is_closed(name: str) -> bool:
    """Return whether nothing of this name may change, in a form, a context or an argument."""
    name = name.lower()
    is_opened = name not in OPENED_BY_NAME or name in app_settings.WRITABLE_FIELDS()
    return is_credential(name) or name in _NEVER or not is_opened


def closed_in(wanted: Any, current: Any) -> str:
    """Return the first closed key of a JSON value, at any depth, that is new or not as it was; empty where none is.

    Items of a list are compared at their places; one that is whole as another was may stand anywhere, so that a
    reply can leave items out and sort them.
    """
    if isinstance(wanted, dict):
        return _closed_in_dict(wanted, current if isinstance(current, Mapping) else {})
    if isinstance(wanted, list):
        return _closed_in_list(wanted, current if isinstance(current, (list, tuple)) else ())
    return ""


def _closed_in_dict(wanted: dict[str, Any], current: Mapping[str, Any]) -> str:
    for key, value in wanted.items():
        if not is_closed(key):
            if found := closed_in(value, current.get(key)):
                return found
        elif key not in current or not is_same(value, current[key]):
            return key
    return ""


def _closed_in_list(wanted: list[Any], current: Sequence[Any]) -> str:
    for index, item in enumerate(wanted):
        found = closed_in(item, current[index] if index < len(current) else None)
        if found and not any(is_same(item, other) for other in current):
            return found
    return ""


def form(spot: Spot, current: QueryDict, wanted: Any) -> Any:
    """Copy the form and set the fields; a form's values are text, so numbers and booleans become it."""
    new = current.copy()
    for name, value in items(spot, wanted):
        at = spot.below(name)
        before = current.getlist(name)
        after = [_form_text(at, item) for item in (value if isinstance(value, list) else [value])]
        if after == before:
            continue
        if is_closed(name):
            raise at.refused("A webfilter may not change it.")
        if reason := _form_problem(at, name, [item for item in after if item not in before]):
            raise at.refused(reason)
        new.setlist(name, after)
        at.changed(before[0] if len(before) == 1 else before or None, after[0] if len(after) == 1 else after)
    return new


def _form_problem(spot: Spot, name: str, added: list[str]) -> str:
    """Return what is wrong with a field that is new or text that is; a form becomes an account, or a page."""
    key = texts.problem("", name, allow_html=spot.allow_html)
    return key or texts.problem_in(name, added, allow_html=spot.allow_html)


def _form_text(spot: Spot, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise spot.refused(f"It is {kind(value)}; text is expected.")


def rows(spot: Spot, current: QuerySet[Any], wanted: Any) -> Any:
    """Narrow a QuerySet, lazily: ``{"filter": {lookup: value}, "exclude": {lookup: value}}``."""
    allowed = spot.contract.lookups.get(spot.path, ())
    new = current
    for name, lookups in items(spot, wanted):
        if name not in ("filter", "exclude"):
            raise spot.below(name).refused("Only filter and exclude are known.")
        for lookup, value in items(spot.below(name), lookups):
            new = _narrowed(spot.below(name).below(lookup), new, {lookup: value}, name, allowed)
    return new


def _narrowed(
    spot: Spot, rows: QuerySet[Any], lookup: dict[str, Any], method: str, allowed: tuple[str, ...]
) -> QuerySet[Any]:
    (name, value), *_ = lookup.items()
    if name not in allowed:
        raise spot.refused(f"Only these lookups are allowed: {', '.join(allowed) or 'none'}.")
    values = value if name.endswith("__in") and isinstance(value, list) else [value]
    if name.endswith("__in") != isinstance(value, list) or not all(isinstance(v, (str, int, float)) for v in values):
        raise spot.refused("A list is expected with __in, and a plain value without.")
    try:
        narrowed: QuerySet[Any] = getattr(rows, method)(**lookup)
    except Exception:  # noqa: BLE001  a column of the platform, which checks in its own way
        raise spot.refused("The platform cannot filter by this.") from None
    spot.changed(None, value)
    return narrowed


def fragment(spot: Spot, current: Any, wanted: Any) -> Any:
    """Replace the content of a fragment, in a copy."""
    new = current
    for name, value in items(spot, wanted):
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


def form_description(spot: Spot, current: Any, wanted: Any) -> Any:
    """Override properties of a form's fields; the description records overrides, so a copy takes them."""
    overrides = {name: _field_properties(spot.below(name), name, given) for name, given in items(spot, wanted)}
    overrides = {name: properties for name, properties in overrides.items() if properties}
    if not overrides:
        return current
    new = copy.deepcopy(current)
    for name, properties in overrides.items():
        new.override_field_properties(name, **properties)
        for key, value in properties.items():
            spot.below(name).below(key).changed(None, value)
    return new


def _field_properties(spot: Spot, name: str, wanted: Any) -> dict[str, Any]:
    """Check what a reply says of one field. A closed field stays; of the username and the address, what it holds."""
    is_kept = is_closed(name)
    if is_kept and name.lower() not in OPENED_BY_NAME:
        raise spot.refused("A webfilter may not change it.")
    for key, value in items(spot, wanted):
        at = spot.below(key)
        if key not in FIELD_PROPERTIES:
            raise at.refused(f"Only these properties are known: {', '.join(FIELD_PROPERTIES)}.")
        if is_kept and key in _FILLS:
            raise at.refused("A webfilter may not change it.")
        _check_property(at, key, value)
    return dict(wanted)


def _check_property(spot: Spot, key: str, value: Any) -> None:
    _check_type(spot, value, FIELD_PROPERTIES[key])
    if key == "field_type" and value not in FIELD_TYPES:
        raise spot.refused(f"One of {', '.join(sorted(FIELD_TYPES))} is expected.")
    if reason := texts.problem_in(key, value, allow_html=spot.allow_html):
        raise spot.refused(reason)
    for name, limit in value.items() if isinstance(value, dict) else ():
        if name not in RESTRICTIONS:
            raise spot.below(name).refused(f"Only these restrictions are known: {', '.join(RESTRICTIONS)}.")
        _check_type(spot.below(name), limit, RESTRICTIONS[name])


def _check_type(spot: Spot, value: Any, expected: tuple[type, ...]) -> None:
    """Compare exact types: True is an int to Python."""
    if type(value) not in expected:
        raise spot.refused(f"It is {kind(value)}, which does not stand here.")
