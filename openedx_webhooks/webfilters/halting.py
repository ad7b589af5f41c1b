"""A halt: the filter's own exception, built with the parameters that its ``__init__`` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.utils.html import escape
from django.utils.translation import gettext
from openedx_filters.exceptions import OpenEdxFilterException

from openedx_webhooks.catalog.contracts import Contract, Response, is_redirect_url, needs_url, template_parameter
from openedx_webhooks.catalog.filters import Filter, Halt
from openedx_webhooks.data import Switch
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.webfilters import objects, texts
from openedx_webhooks.webfilters.changes import changed
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot

HEADERS = frozenset({"cache-control", "content-language", "expires", "last-modified", "retry-after", "x-robots-tag"})
"""What a custom response may set, in lower case."""
CONTENT_TYPES = ("text/plain", "application/json", "text/html")
RESPONSE_KEYS = ("content", "status", "content_type", "headers")
MAX_MESSAGE = 4096
"""Characters of a message; the rest is cut."""


@dataclass(slots=True)
class Halting:
    """One halt that is being built: the exception, where it is raised, and what its webfilter may do."""

    halt: Halt
    contract: Contract
    arguments: Mapping[str, Any]
    allow_html: bool
    notes: list[str] = field(default_factory=list)

    def refused(self, parameter: str, reason: str) -> ReplyError:
        """Return the error to raise for one parameter."""
        return ReplyError(".".join(filter(None, ("exception", self.halt.name, parameter))), reason)


def from_reply(
    found: Filter, contract: Contract, arguments: Mapping[str, Any], name: str, value: Any, *, allow_html: bool
) -> tuple[OpenEdxFilterException, list[str]]:
    """Return the exception that a reply names, and notes on what of it was ignored.

    ``value`` is a message, or an object of parameters. Raises ReplyError for an exception that the filter
    does not declare, and for parameters that it cannot be built with.
    """
    halt = found.halt(name)
    if halt is None:
        names = ", ".join(h.name for h in found.halts) or "none"
        raise ReplyError("exception", f"{found.name} has no exception {name[:60]!r}; it has: {names}.")
    halting = Halting(halt, contract, arguments, allow_html)
    if value is None or isinstance(value, str):
        value = {"message": value or ""}
    if not isinstance(value, dict):
        raise halting.refused("", f"It is {kind(value)}; a message or an object is expected.")
    given = {key: item for key, item in _gathered(halt, value).items() if item is not None}
    checked = {key: _check(halting, key, item) for key, item in given.items() if _is_taken(halting, key)}
    return _built(halting, checked), halting.notes


def from_switch(
    found: Filter, contract: Contract, arguments: Mapping[str, Any], switch: Switch
) -> OpenEdxFilterException | None:
    """Return the exception for a receiver that failed: the redirecting one, else the main one, else None.

    The message says nothing about the receiver, whose address is not the learner's business.
    """
    redirects = bool(switch.redirect and contract.redirecting)
    halt = found.halt(contract.redirecting if redirects else contract.main)
    if halt is None:
        return None
    halting = Halting(halt, contract, arguments, allow_html=False)
    return _built(halting, {"redirect_to": switch.redirect} if redirects else {})


def default_message() -> str:
    """Return what a learner reads where the receiver gave no message."""
    return gettext("This cannot be completed at the moment. Please try again later.")


def _gathered(halt: Halt, value: dict[str, Any]) -> dict[str, Any]:
    """Take a custom response's parts from beside the message, too, where the exception has no such parameters."""
    parts = {key: value[key] for key in RESPONSE_KEYS if key in value and not halt.parameter(key)}
    if not halt.parameter("response") or "response" in value or not parts:
        return value
    return {**{key: item for key, item in value.items() if key not in parts}, "response": parts}


def _is_taken(halting: Halting, key: str) -> bool:
    taken = halting.halt.parameter(key) is not None or (
        halting.halt.takes_any and key.isidentifier() and not key.startswith("_") and not hasattr(Exception, key)
    )
    if not taken:
        halting.notes.append(f"{halting.halt.name} has no parameter {key[:60]!r}; it was ignored.")
    return taken


def _built(halting: Halting, given: dict[str, Any]) -> OpenEdxFilterException:
    message = given.get("message") or _in_page(halting, "message", default_message())
    parameters = {**_defaults(halting, message), **given, "message": message}
    _check_needs(halting, parameters)
    _add_context(halting, parameters)
    try:
        return halting.halt.exception(**parameters)
    except TypeError as error:
        raise halting.refused("", "It cannot be built with these parameters.") from error


def _defaults(halting: Halting, message: str) -> dict[str, Any]:
    """Return what the exception needs and nobody gave, and what its call site needs beyond that."""
    known: dict[str, Any] = {"error_code": "webfilter", "developer_message": "A webfilter halted this."}
    required = {p.name: known.get(p.name, message) for p in halting.halt.parameters if p.required}
    required.pop("redirect_to", None)
    required.pop("response", None)
    takes = {key for key in halting.contract.defaults if halting.halt.parameter(key) or halting.halt.takes_any}
    defaults = {**required, **{key: halting.contract.defaults[key] for key in takes}}
    if halting.halt.parameter("response"):
        defaults["response"] = _response(halting, "response", {"content": message, "status": 403})
    return defaults


def _check_needs(halting: Halting, parameters: Mapping[str, Any]) -> None:
    if needs_url(halting.halt) and not parameters.get("redirect_to"):
        raise halting.refused("redirect_to", "A URL is needed.")
    template = template_parameter(halting.halt)
    if template and not parameters.get(template):
        raise halting.refused(template, "The name of a template is needed.")


def _add_context(halting: Halting, parameters: dict[str, Any]) -> None:
    """Give another template the page's own context, changed as ``data`` would change it: it is rendered with that.

    Raises ReplyError for what a reply may not change there: objects of the platform, the user, a CSRF token.
    """
    page = halting.arguments.get("context")
    name = next((n for n in ("template_context", "context") if halting.halt.parameter(n)), "")
    if name and template_parameter(halting.halt):
        spot = Spot(name, halting.contract, halting.allow_html)
        page = dict(page) if isinstance(page, Mapping) else {}
        parameters[name] = changed(spot, page, parameters.get(name) or {})


def _check(halting: Halting, name: str, value: Any) -> Any:
    is_named_template = name == template_parameter(halting.halt)
    return (_template if is_named_template else CHECKS.get(name, _anything))(halting, name, value)


def _message(halting: Halting, name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise halting.refused(name, f"It is {kind(value)}; text is expected.")
    return _in_page(halting, name, str(value)[:MAX_MESSAGE])


def _in_page(halting: Halting, name: str, text: str) -> str:
    """Return a text as it may stand in a page: without HTML, unless the webfilter allows it."""
    if texts.runs(text):
        raise halting.refused(name, "It is an address that a browser would run.")
    if halting.allow_html:
        return text
    return escape(text) if halting.halt.name in halting.contract.in_page else texts.without_html(text)


def _text(halting: Halting, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise halting.refused(name, f"It is {kind(value)}; text is expected.")
    return _in_page(halting, name, value[:MAX_MESSAGE])


def _url(halting: Halting, name: str, value: Any) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not is_redirect_url(value):
        raise halting.refused(name, "A URL with http or https, or a path that begins with a slash, is expected.")
    return value


def _status(halting: Halting, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 599:
        raise halting.refused(name, "A status from 400 to 599 is expected.")
    return value


def _template(halting: Halting, name: str, value: Any) -> str:
    if not isinstance(value, str) or not texts.is_template(value):
        raise halting.refused(name, "It is not the name of a template that this site has.")
    return value


def _object(halting: Halting, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise halting.refused(name, f"It is {kind(value)}; an object is expected.")
    return value


def _list(halting: Halting, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise halting.refused(name, "A list of objects is expected.")
    if key := objects.closed_in(value, halting.arguments.get(name)):
        raise halting.refused(f"{name}.{key[:60]}", "A webfilter may not change it.")
    return list(_anything(halting, name, value))


def _context(halting: Halting, name: str, value: Any) -> Any:
    return _anything(halting, name, _object(halting, name, value))


def _anything(halting: Halting, name: str, value: Any) -> Any:
    if reason := texts.problem_in(name, value, allow_html=halting.allow_html):
        raise halting.refused(name, reason)
    return value


def _response(halting: Halting, name: str, value: Any) -> HttpResponse | str:
    """Build a custom response from its content, or from ``content``, ``status``, ``content_type``, ``headers``."""
    parts = {"content": value} if isinstance(value, str) else _object(halting, name, value)
    for key in parts:
        if key not in RESPONSE_KEYS:
            halting.notes.append(f"A custom response has no {key[:60]!r}; it was ignored.")
    content = _content(halting, parts.get("content", ""))
    if halting.contract.response == Response.HTML:
        return content if halting.allow_html else str(escape(content))
    media = _content_type(halting, parts.get("content_type"))
    return HttpResponse(
        content,
        status=_response_status(halting, parts.get("status")),
        content_type=f"{media}; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff", **_response_headers(halting, parts.get("headers"))},
    )


def _content(halting: Halting, value: Any) -> str:
    if not isinstance(value, str):
        raise halting.refused("content", f"It is {kind(value)}; text is expected.")
    return value


def _content_type(halting: Halting, value: Any) -> str:
    if value is None:
        return "text/html" if halting.allow_html else "text/plain"
    media = value.partition(";")[0].strip().lower() if isinstance(value, str) else ""
    if media not in CONTENT_TYPES:
        raise halting.refused("content_type", f"One of {', '.join(CONTENT_TYPES)} is expected.")
    if media == "text/html" and not halting.allow_html:
        raise halting.refused("content_type", "It is HTML, which this webfilter does not allow.")
    return media


def _response_status(halting: Halting, value: Any) -> int:
    if value is None:
        return 200
    is_status = isinstance(value, int) and not isinstance(value, bool)
    if not is_status or not (200 <= value <= 299 or 400 <= value <= 599):
        raise halting.refused("status", "A status from 200 to 299 or from 400 to 599 is expected.")
    return int(value)


def _response_headers(halting: Halting, value: Any) -> dict[str, str]:
    kept = {}
    for name, text in (_object(halting, "headers", value) if value is not None else {}).items():
        is_text = isinstance(text, str) and text.isascii() and text.isprintable()
        if name.lower() in HEADERS and is_text:
            kept[name] = text
        else:
            halting.notes.append(f"The header {name[:60]!r} of a custom response was ignored.")
    return kept


CHECKS: Mapping[str, Callable[[Halting, str, Any], Any]] = {
    "message": _message,
    "redirect_to": _url,
    "status_code": _status,
    "error_code": _text,
    "developer_message": _text,
    "user_message": _text,
    "context": _context,
    "template_context": _context,
    "response": _response,
    "tabs": _list,
}
"""By the name of a parameter: how a reply's value is checked. Names not here take any JSON value without HTML."""
