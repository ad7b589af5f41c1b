"""What came back from a receiver: is it a reply, what does it ask for, and how replies merge."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from openedx_webhooks.data import Outcome, Switch, WebfilterSubscription
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.webfilters.echoes import is_same

MAX_DEPTH = 32
"""Levels of nesting that a reply may have."""
MAX_VALUES = 2_000
"""Values that a reply may change: the learner waits while each is checked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What one reply asks for."""

    data: Mapping[str, Any] | None = None
    exception: str = ""
    """The name of the exception to halt with; empty: none."""
    value: Any = None
    """A message, or an object of the exception's parameters."""
    notes: tuple[str, ...] = ()


def failing_switch(outcome: Outcome, subscription: WebfilterSubscription) -> tuple[str, Switch] | None:
    """Return what went wrong, for a person, and the switch that decides; None where it is a success.

    A redirect is not followed, and any other status that is neither success nor 4xx nor 5xx is no answer.
    """
    if outcome.reply is None:
        return outcome.detail or str(outcome.failure), subscription.on_request_exception
    status = outcome.reply.status
    if 200 <= status < 300:
        return None
    switches = {4: subscription.on_4xx, 5: subscription.on_5xx}
    return f"It answered {status}.", switches.get(status // 100, subscription.on_request_exception)


def read(body: bytes, *, truncated: bool) -> Wish:
    """Read the body of a success; nothing but blanks asks for nothing.

    Raises ReplyError for whatever is not an object with ``data``, ``exception`` or both.
    """
    if truncated:
        raise ReplyError("", f"The answer is longer than {len(body)} bytes.")
    if not body.strip():
        return Wish()
    reply = _parsed(body)
    if not isinstance(reply, dict):
        raise ReplyError("", f"The answer is {kind(reply)}; an object is expected.")
    data, exception = reply.get("data"), reply.get("exception")
    if data is not None and not isinstance(data, dict):
        raise ReplyError("data", f"It is {kind(data)}; an object is expected.")
    name, value = _halting(exception)
    unknown = sorted(set(reply) - {"data", "exception"})
    notes = (f"Unknown in the answer, and ignored: {_listed(unknown)}.",) if unknown else ()
    return Wish(data=data, exception=name, value=value, notes=notes)


def merge(wishes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the ``data`` of several replies: objects deep, anything else the later wins."""
    merged: dict[str, Any] = {}
    for wish in wishes:
        merged = _merged(merged, wish)
    return merged


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged


def kept(wish: Mapping[str, Any], merged: Mapping[str, Any], above: str = "") -> set[str]:
    """Return the paths of a reply's ``data`` at which merging left something as it wants it, and those above them."""
    paths: set[str] = set()
    for key, value in wish.items():
        path, now = f"{above}{key[:60]}", merged.get(key)
        if isinstance(value, dict) and isinstance(now, Mapping):
            below = kept(value, now, f"{path}.")
            paths |= {path, *below} if below else set()
        elif is_same(value, now):
            paths.add(path)
    return paths


def check_size(data: Mapping[str, Any]) -> None:
    """Refuse to change more than ``MAX_VALUES`` values. Raises ReplyError."""
    if (count := _count(data)) > MAX_VALUES:
        raise ReplyError("data", f"It changes {count} values; up to {MAX_VALUES} are taken.")


def _count(value: Any) -> int:
    if isinstance(value, Mapping):
        value = list(value.values())
    return sum(map(_count, value)) if isinstance(value, list) and value else 1


def _parsed(body: bytes) -> Any:
    try:
        reply = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise ReplyError("", "The answer is not UTF-8.") from None
    except RecursionError:
        raise ReplyError("", f"The answer is nested deeper than {MAX_DEPTH} levels.") from None
    except ValueError as error:
        raise ReplyError("", f"The answer is not JSON: {_where(error)}.") from None
    _check(reply, MAX_DEPTH)
    return reply


def _where(error: ValueError) -> str:
    """Return what is wrong without the text itself, which may be anything."""
    return f"{error.msg}, at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "a number"


def _refuse_constant(name: str) -> NoReturn:
    raise ReplyError("", f"The answer is not JSON: {name} is no number of it.")


def _check(value: Any, depth: int) -> None:
    """Refuse what is nested too deep, and numbers and text that no database takes."""
    if depth < 0:
        raise ReplyError("", f"The answer is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ReplyError("", "The answer holds a number that is too large.")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ReplyError("", "The answer holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ReplyError("", "The answer holds half of a surrogate pair, which is no character.") from None


def _halting(exception: Any) -> tuple[str, Any]:
    if exception is None or exception == {}:
        return "", None
    if not isinstance(exception, dict):
        raise ReplyError("exception", f"It is {kind(exception)}; an object with one key is expected.")
    if len(exception) != 1:
        raise ReplyError("exception", f"It has {len(exception)} keys; exactly one is expected.")
    return next(iter(exception.items()))


def kind(value: Any) -> str:
    """Return what a JSON value is, for a sentence."""
    if value is None:
        return "null"
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
