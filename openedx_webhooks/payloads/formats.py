"""Bodies of webhooks: one event written in one encoding, as ASCII text whose bytes stay as they are.

default      JSON: one key per argument, and ``event_metadata`` with all fields of EventsMetadata.
form         The same as form fields, see ``flattening``.
cloudevents  CloudEvents 1.0, structured JSON; attributes as OEP-41 names them, the arguments in ``data``.
legacy       JSON as openedx-webhooks before 23 wrote it: keys are qualified class names, times ``str(datetime)``.
legacy_form  The legacy body as form fields: every value is Python's ``str`` of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any
from urllib.parse import quote, urlencode

from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import truncation
from openedx_webhooks.payloads.events import Payload
from openedx_webhooks.payloads.flattening import flatten, flatten_legacy

FORM = "application/x-www-form-urlencoded"
_CONTENT_TYPES = {
    Encoding.DEFAULT: "application/json",
    Encoding.FORM: FORM,
    Encoding.CLOUDEVENTS: "application/cloudevents+json",
    Encoding.LEGACY: "application/json",
    Encoding.LEGACY_FORM: FORM,
}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NOT_IN_ATTRIBUTES = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


def render(payload: Payload, encoding: Encoding, *, max_body: int) -> str:
    """Return the body: ASCII, valid in its format, at most ``max_body`` bytes (4,096 and more).

    A body that would be larger is cut by the rule of ``truncation``.
    """
    return fitted(payload, encoding, max_body=max_body)[1]


def fitted(payload: Payload, encoding: Encoding, *, max_body: int) -> tuple[Payload, str]:
    """Return the payload as far as there is room for it, and its body; see ``render``."""
    write = _WRITERS[encoding]
    for candidate in chain([payload], truncation.smaller(payload)):
        if candidate.characters <= max_body and len(body := write(candidate)) <= max_body:
            break
    return candidate, body


def content_type(encoding: Encoding) -> str:
    """Return the media type of a body, for the header."""
    return _CONTENT_TYPES[encoding]


def iso_time(value: date) -> str | None:
    """Return a date or time in ISO 8601; a time in UTC with ``Z`` (a naive one is taken as UTC), RFC 3339."""
    try:
        if not isinstance(value, datetime):
            return value.isoformat()
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.replace(tzinfo=None).isoformat() + "Z"
    except Exception:  # noqa: BLE001  a tzinfo is foreign code, and year 1 or 9999 overflow
        return None


def _legacy_time(value: date) -> str | None:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a tzinfo is foreign code
        return None


_json = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=iso_time).encode
_legacy_json = json.JSONEncoder(separators=(",", ":"), check_circular=False, default=_legacy_time).encode


def _default(payload: Payload) -> str:
    return _json({**payload.tree, "event_metadata": payload.metadata})


def _form(payload: Payload) -> str:
    return urlencode(flatten({**payload.tree, "event_metadata": payload.metadata}, _form_text))


def _form_text(value: Any) -> str:
    """Write a leaf as JSON would, without quotes; null is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        value = iso_time(value)
    return "" if value is None else str(value)


def _cloudevents(payload: Payload) -> str:
    known = {**payload.metadata}
    event_type = known.pop("event_type")
    attributes = {
        "specversion": "1.0",
        "id": known.pop("id"),
        "source": _uri_reference(known.pop("source")),
        "type": event_type,
        "time": known.pop("time"),
        "datacontenttype": "application/json",
    }
    extensions = {name.replace("_", ""): _attribute(name, value) for name, value in known.items()}
    return _json({**attributes, **extensions, "data": payload.tree})


def _uri_reference(source: str) -> str:
    """Return the source as OEP-41 spells it, ``/openedx/lms/web``: a valid URI-reference (RFC 3986)."""
    quoted = quote(source, safe="/:@!$&'()*+,;=~%" if _SCHEME.match(source) else "/:@!$&'()*+,;=~")
    return quoted if _SCHEME.match(source) or source.startswith("/") else f"/{quoted}"


def _attribute(name: str, value: Any) -> Any:
    """Return an extension's value in a type that CloudEvents has: a list becomes text."""
    if isinstance(value, list):
        value = ("." if name == "sourcelib" else "; ").join(str(item) for item in value)
    return _NOT_IN_ATTRIBUTES.sub("", value) if isinstance(value, str) else value


def _legacy_tree(payload: Payload) -> dict[str, Any]:
    """Return the legacy envelope; a second argument of one class has its name behind the class."""
    tree: dict[str, Any] = {}
    for name, value in payload.tree.items():
        key = payload.class_names[name]
        tree[f"{key}_{name}" if key in tree else key] = value
    return {**tree, "event_metadata": payload.metadata}


def _legacy(payload: Payload) -> str:
    return _legacy_json(_legacy_tree(payload))


def _legacy_form(payload: Payload) -> str:
    tree = _legacy_tree(payload)
    metadata = {key: tuple(v) if isinstance(v, list) else v for key, v in payload.metadata.items()}
    return urlencode(flatten_legacy({**tree, "event_metadata": metadata}, _legacy_text))


def _legacy_text(value: Any) -> str:
    return str(_legacy_time(value) if isinstance(value, date) else _legacy_values(value))


def _legacy_values(value: Any) -> Any:
    """Return a list's value with times as text inside, so that ``str`` of it shows no Python objects."""
    if isinstance(value, Mapping):
        return {key: _legacy_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_legacy_values(item) for item in value]
    return _legacy_time(value) if isinstance(value, date) else value


_WRITERS: dict[Encoding, Callable[[Payload], str]] = {
    Encoding.DEFAULT: _default,
    Encoding.FORM: _form,
    Encoding.CLOUDEVENTS: _cloudevents,
    Encoding.LEGACY: _legacy,
    Encoding.LEGACY_FORM: _legacy_form,
}
