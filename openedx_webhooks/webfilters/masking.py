"""What of a change is kept in the record: enough to understand it, without the learner's personal data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from openedx_webhooks.payloads.redaction import is_credential, redact
from openedx_webhooks.webfilters.spots import Change

CLEAR = frozenset(
    {
        *("course_key", "mode", "status", "generation_mode", "price", "template_name", "readonly_fields"),
        *("enrollments", "schedules"),
    }
)
"""Arguments that say nothing of a person; what stands in any other may: in a form's default, the learner's name."""
ADDRESSES = frozenset({"url", "course_home_url", "redirect_url"})
"""Arguments that say nothing of a person but in what follows their path."""
MAX_VALUE = 255
"""Characters of one value."""
MAX_CHANGES = 50


def masked(changes: Iterable[Change]) -> str:
    """Return the changes as JSON for the record; empty where there are none."""
    shown = [_masked(change) for change in changes]
    if not shown:
        return ""
    if len(shown) > MAX_CHANGES:
        shown = [*shown[:MAX_CHANGES], {"path": f"and {len(shown) - MAX_CHANGES} more"}]
    return json.dumps(shown)


def _masked(change: Change) -> dict[str, Any]:
    argument, _, rest = change.path.partition(".")
    if any(is_credential(name) for name in rest.split(".")):
        return {"path": change.path, "before": "[redacted]", "after": "[redacted]"}
    hide = _clipped if argument in CLEAR else _path if argument in ADDRESSES else _initial
    return {"path": change.path, "before": hide(change.before), "after": hide(change.after)}


def _initial(value: Any) -> Any:
    """Return the first character of a text, unless it says all, and its length; of other values the kind alone."""
    if value is None or isinstance(value, bool) or value == "":
        return value
    if isinstance(value, str):
        return f"{value[0] if len(value) > 2 else ''}\u2026 ({len(value)} characters)"
    return f"[{type(value).__name__}]"


def _path(value: Any) -> Any:
    """Return an address without its query and fragment, which may hold an e-mail address or a token."""
    if not isinstance(value, str):
        return value
    path = re.split("(?<=[?#])", value, maxsplit=1)
    return _clipped(path[0] + ("\u2026" if path[1:] else ""))


def _clipped(value: Any) -> Any:
    text = json.dumps(redact(value))
    return redact(value) if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}\u2026"
