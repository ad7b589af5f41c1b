"""Credentials never leave: which keys hold one, and how they are left out of bodies and records.

A key is judged by its whole name, lower-cased, with ``-`` as ``_``, and by its end: parts of names would take
``token_count`` or ``secretary`` with them, and any ``_key`` the keys of courses and blocks. One with ``password``
anywhere in it always is: forms have many names for it. Text that is itself a JSON object or array, as a profile's
``meta`` or a tracking log's ``context``, is judged by its keys too, and written again without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

CREDENTIALS = frozenset(
    {
        # What people prove themselves with.
        "password", "passwd",
        # What a browser proves itself with.
        "session_id", "sessionid", "session_key", "cookie", "set_cookie", "csrfmiddlewaretoken", "csrftoken",
        "csrf_token", "x_csrftoken",
        # What programs prove themselves with.
        "secret", "client_secret", "secret_key", "private_key", "api_key", "apikey", "token", "access_token",
        "refresh_token", "id_token", "auth_token", "jwt", "authorization", "proxy_authorization",
        "oauth_signature", "oauth_token", "oauth_token_secret", "lti_consumer_secret",
    }
)  # fmt: skip
"""The keys whose value is a credential, whatever it is; beside them, all with ``password`` in them."""

ENDINGS = (
    "secret", "token", "api_key", "apikey", "secret_key", "private_key", "access_key", "signing_key", "encryption_key",
)  # fmt: skip
"""How the names of credentials end that nobody can list: a site's configuration has its own."""

_JSON_STARTS = ("{", "[")
# Backslashes before the closing quote: JSON inside JSON. Atomic, so that no text takes long.
_NAMES = "|".join(sorted(name.replace("_", "[_-]") for name in CREDENTIALS))
_ENDS = "|".join(f"(?<={ending.replace('_', '[_-]')})" for ending in ENDINGS)
_MENTIONS = re.compile(rf'"(?:(?:{_NAMES})\\*+|[^"\\]*+(?:{_ENDS})\\*+|(?>[^"]*?password)[^"]*+)"\s*+:', re.IGNORECASE)


def is_credential(key: str) -> bool:
    """Tell whether the value under this key is a credential."""
    name = key.lower().replace("-", "_")
    return name in CREDENTIALS or name.endswith(ENDINGS) or "password" in name


def redact(value: Any) -> Any:
    """Return a copy of a JSON-like value without the entries whose key names a credential, at any depth."""
    if isinstance(value, Mapping):
        return {key: redact(item) for key, item in value.items() if not (isinstance(key, str) and is_credential(key))}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return redact_text(value) if isinstance(value, str) else value


def redact_text(text: str) -> str:
    """Return the text, written again without credentials where it is JSON that names one.

    Text that only looks like JSON and names a credential is replaced whole: it may be JSON cut short.
    """
    if not text.startswith(_JSON_STARTS) or not _MENTIONS.search(text):
        return text
    try:
        return json.dumps(redact(json.loads(text)))
    except (ValueError, RecursionError):
        return "[redacted]"
