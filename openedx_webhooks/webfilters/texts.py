"""Which text of a receiver may reach a page: HTML, addresses and names of templates are looked at first."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from django.template import loader

from openedx_webhooks.catalog.contracts import is_redirect_url

_ADDRESSES = ("url", "href", "link")
_TEMPLATE = re.compile(r"[\w-]+([./][\w-]+)*")


def problem(name: str, text: str, *, allow_html: bool) -> str:
    """Return why a text may not stand under this name, a sentence; empty where it may."""
    if name.lower().endswith(_ADDRESSES) and not is_redirect_url(text):
        return "A URL with http or https, or a path that begins with a slash, is expected."
    return "It may be HTML, which this webfilter does not allow." if "<" in text and not allow_html else ""


def problem_in(name: str, value: Any, *, allow_html: bool, known: Collection[str] = ()) -> str:
    """Return the first problem of a JSON value's text, at any depth; ``known`` text, which is there, has none."""
    if isinstance(value, str):
        return "" if value in known else problem(name, value, allow_html=allow_html)
    pairs = value.items() if isinstance(value, dict) else [(name, v) for v in value] if isinstance(value, list) else ()
    found = (problem_in(key, item, allow_html=allow_html, known=known) for key, item in pairs)
    return next(filter(None, found), "")


def all_in(value: Any) -> set[str]:
    """Return every text of a JSON value."""
    if isinstance(value, str):
        return {value}
    below = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return {text for item in below for text in all_in(item)}


def is_template(text: str) -> bool:
    """Return whether a text names a template that the site has: a relative path without ``..``.

    One that is missing, or that does not compile, would be a server error where the platform renders it.
    """
    if not _TEMPLATE.fullmatch(text) or len(text) > 255:
        return False
    try:
        loader.get_template(text)
    except Exception:  # noqa: BLE001  each engine has its own errors
        return False
    return True
