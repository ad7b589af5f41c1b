"""Which text of a receiver may reach a page: HTML, addresses and names of templates are looked at first."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from django.template import loader
from django.utils.html import strip_tags

from openedx_webhooks.catalog.contracts import is_redirect_url

_ADDRESSES = ("url", "href", "link", "src", "redirect_to")
"""Ends of the names of addresses."""
_ALSO_ADDRESSES = frozenset({"action", "next"})
"""Names of addresses that other names may end in."""
_RUNS = re.compile(r"(javascript|vbscript) *:|data: *([\w.+-]+/[\w.+-]|[,;])")
"""What begins such an address; prose may begin with ``Data:``."""
_UNSEEN = re.compile(r"^[\x00-\x20]+|[\t\r\n]")
"""What a browser takes out of an address before it reads it."""
_TEMPLATE = re.compile(r"[\w-]+([./][\w-]+)*")


def problem(name: str, text: str, *, allow_html: bool) -> str:
    """Return why a text may not stand under this name, a sentence; empty where it may."""
    if _is_address(name.lower()) and not is_redirect_url(text):
        return "A URL with http or https, or a path that begins with a slash, is expected."
    if runs(text):
        return "It is an address that a browser would run."
    return "It may be HTML, which this webfilter does not allow." if "<" in text and not allow_html else ""


def runs(text: str) -> bool:
    """Return whether a browser that takes the text for an address would run it or show what it holds."""
    return bool(_RUNS.match(_UNSEEN.sub("", text).lower()))


def without_html(text: str) -> str:
    """Return the text without tags; of one that has no end, which ``strip_tags`` leaves, without what opens it."""
    return str(strip_tags(text)).replace("<", "")


def _is_address(name: str) -> bool:
    return name.endswith(_ADDRESSES) or name in _ALSO_ADDRESSES


def problem_in(name: str, value: Any, *, allow_html: bool, known: Collection[tuple[str, str]] = ()) -> str:
    """Return the first problem of a JSON value's text and keys, at any depth.

    What is ``known``, text by the name that it stands under, has none: it is there already.
    """
    if isinstance(value, str):
        return "" if (name, value) in known else problem(name, value, allow_html=allow_html)
    found = (problem_in(key, item, allow_html=allow_html, known=known) for key, item in _pairs(name, value))
    return next(filter(None, found), "")


def all_in(name: str, value: Any) -> set[tuple[str, str]]:
    """Return every text and key of a JSON value with the name that it stands under; a key stands under none."""
    if isinstance(value, str):
        return {(name, value)}
    return {pair for key, item in _pairs(name, value) for pair in all_in(key, item)}


def _pairs(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return [*(("", key) for key in value), *value.items()]
    return [(name, item) for item in value] if isinstance(value, (list, tuple)) else ()


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
