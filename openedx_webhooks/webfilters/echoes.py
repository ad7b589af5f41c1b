"""What of a reply only says again what was sent, and so asks for nothing.

A receiver may send the question back with one value changed. What was sent is not always what is there: large texts
are cut, credentials withheld, dates and numbers written in JSON. So a reply is compared with the body that it answers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import formats
from openedx_webhooks.payloads.filters import FilterPayload


def without(payload: FilterPayload, encoding: Encoding, data: Mapping[str, Any], *, max_body: int) -> dict[str, Any]:
    """Return what of a reply's ``data`` differs from the body that its receiver got, in that encoding."""
    return _differing(data, _sent(payload, encoding, max_body))


def _sent(payload: FilterPayload, encoding: Encoding, max_body: int) -> dict[str, Any]:
    """Return the arguments as JSON values, cut as the body was."""
    if encoding in (Encoding.FORM, Encoding.LEGACY_FORM):
        cut, _ = formats.fitted(payload.current, Encoding.FORM, max_body=max_body)
        sent: dict[str, Any] = json.loads(json.dumps(dict(cut.tree), default=formats.iso_time))
        return sent
    sent = json.loads(payload.body(encoding, max_body=max_body))
    # The legacy body has a form's fields at the top.
    return {"form_data": sent, **sent} if encoding == Encoding.LEGACY else sent


def _differing(wanted: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    new = {}
    for key, value in wanted.items():
        before = sent.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if below := _differing(value, before):
                new[key] = below
        elif key not in sent or not is_same(value, before):
            new[key] = value
    return new


def is_same(one: Any, other: Any) -> bool:
    """Compare as JSON does: 1 is 1.0, and not true."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
