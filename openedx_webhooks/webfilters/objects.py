"""How a reply changes what only the platform has: forms, queries, fragments, descriptions of forms."""

from __future__ import annotations

import copy
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from openedx_webhooks import app_settings
from openedx_webhooks.payloads.redaction import is_credential
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot, items

_NEVER = frozenset({"id", "pk", "user_id", "is_staff", "is_superuser", "is_active", "last_login", "date_joined"})
OPENED_BY_NAME = frozenset({"username", "email"})
"""Fields of an account, or of a form that makes one, that ``WRITABLE_FIELDS`` may open."""

_FORM_FIELD = ("default", "field_type", "label", "instructions", "restrictions")


def is_closed(name: str) -> bool:
    """Return whether nothing of this name may change, in a form, a context or an argument."""
    name = name.lower()
    is_opened = name not in OPENED_BY_NAME or name in app_settings.WRITABLE_FIELDS()
    return is_credential(name) or name in _NEVER or not is_opened


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
        new.setlist(name, after)
        at.changed(before[0] if len(before) == 1 else before or None, after[0] if len(after) == 1 else after)
    return new


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
    overrides = {}
    for name, properties in items(spot, wanted):
        at = spot.below(name)
        if not isinstance(properties, dict):
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
