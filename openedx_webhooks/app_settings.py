"""The only reader of ``django.conf.settings``: typed, checked, and read at call time.

Every setting is a callable: ``app_settings.TIMEOUT()``. A value that cannot be used is replaced by the
default, and the system checks name the setting and the mend (``Setting.problem``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.conf import settings

from openedx_webhooks.exceptions import SettingError

T = TypeVar("T")

PREFIX = "OPENEDX_WEBHOOKS_"


class Setting(Generic[T]):
    """One setting: its full name, its default, and the function that turns a raw value into a typed one.

    ``parse`` raises ``ValueError`` with a sentence that says what the value must be.
    """

    def __init__(self, name: str, default: Any, parse: Callable[[Any], T]) -> None:
        self.name = name
        self.default = default
        self._parse = parse
        self._parsed: tuple[Any, T] | None = None
        """The site's value and what it meant, because some are read for every event."""

    def __call__(self) -> T:
        """Return the typed value, or the default's where the site's value cannot be used."""
        given, parsed = getattr(settings, self.name, self.default), self._parsed
        if isinstance(given, list):  # somebody may add to it
            given = tuple(given)
        if parsed is not None and (parsed[0] is given or (isinstance(given, tuple) and parsed[0] == given)):
            return parsed[1]
        try:
            value = self.parse()
        except SettingError:
            value = self._parse(self.default)
        self._parsed = given, value
        return value

    def parse(self) -> T:
        """Return the typed value; raise SettingError where it cannot be used."""
        try:
            return self._parse(getattr(settings, self.name, self.default))
        except (TypeError, ValueError) as error:
            raise SettingError(f"{self.name} {error}") from error


def _number(minimum: float, maximum: float, unit: str = "seconds") -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value <= maximum:
            raise ValueError(f"must be a number of {unit} from {minimum:g} to {maximum:g}; it is {value!r}.")
        return float(value)

    return parse


def _integer(minimum: int, maximum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}; it is {value!r}.")
        return value

    return parse


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be True or False; it is {value!r}.")
    return value


def _choice(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}; it is {value!r}.")
        return str(value)

    return parse


def _text_or_none(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise ValueError(f"must be text or None; it is {value!r}.")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"must be a list of text; it is {value!r}.")
    return tuple(value)


def _schedule(value: Any) -> tuple[float, ...]:
    second = _number(0, 30 * 86400)
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise ValueError(f"must be a list of seconds, one per attempt; it is {value!r}.")
    return tuple(second(v) for v in value)


def _writable(value: Any) -> frozenset[str]:
    if not set(_texts(value)) <= {"username", "email"}:
        raise ValueError(f"may hold 'username' and 'email' and nothing else; it is {value!r}.")
    return frozenset(value)


def _is_secret(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not re.search("[\ud800-\udfff]", value)


def _secrets(value: Any) -> tuple[str, ...]:
    """Return the secrets, none where none is set. The message never shows what was given."""
    values = [value] if isinstance(value, str) else value
    if value in (None, "", [], ()):
        return ()
    if not isinstance(values, Sequence) or not all(map(_is_secret, values)):
        raise ValueError("must be a text, or a list of texts while it rotates, none of them empty or beyond UTF-8.")
    return tuple(values)


def _rate(value: Any) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not re.fullmatch(
        r"[1-9][0-9]{0,8}/(second|minute|hour|day|sec|min|[smhd])", value
    ):
        raise ValueError(f"must be a number per second, minute, hour or day, as 600/minute, or None; it is {value!r}.")
    return value


DISPATCH = Setting("OPENEDX_WEBHOOKS_DISPATCH", "auto", _choice("auto", "celery", "thread", "none"))
CELERY_QUEUE = Setting("OPENEDX_WEBHOOKS_CELERY_QUEUE", None, _text_or_none)
MAX_DRAINS = Setting("OPENEDX_WEBHOOKS_MAX_DRAINS", 1, _integer(1, 16))
CONFIG_TTL = Setting("OPENEDX_WEBHOOKS_CONFIG_TTL", 5, _number(0.1, 3600))
TIMEOUT = Setting("OPENEDX_WEBHOOKS_TIMEOUT", 15, _number(0.1, 60))
RETRY_SCHEDULE = Setting(
    "OPENEDX_WEBHOOKS_RETRY_SCHEDULE",
    [0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400],
    _schedule,
)
DISABLE_AFTER = Setting("OPENEDX_WEBHOOKS_DISABLE_AFTER", 5 * 86400, _number(60, 365 * 86400))
NOTIFY_ADMINS = Setting("OPENEDX_WEBHOOKS_NOTIFY_ADMINS", True, _boolean)
ALLOWED_NETWORKS = Setting("OPENEDX_WEBHOOKS_ALLOWED_NETWORKS", [], _texts)
PROXY = Setting("OPENEDX_WEBHOOKS_PROXY", None, _text_or_none)
MAX_BODY = Setting("OPENEDX_WEBHOOKS_MAX_BODY", 256 * 1024, _integer(4 * 1024, 1024 * 1024))
RETENTION_DAYS = Setting("OPENEDX_WEBHOOKS_RETENTION_DAYS", 30, _integer(1, 3650))
FROM_EVENT_BUS = Setting("OPENEDX_WEBHOOKS_FROM_EVENT_BUS", False, _boolean)
FILTER_TIMEOUT = Setting("OPENEDX_WEBHOOKS_FILTER_TIMEOUT", 5, _number(0.1, 30))
FILTER_BUDGET = Setting("OPENEDX_WEBHOOKS_FILTER_BUDGET", 8, _number(0.1, 60))
WRITABLE_FIELDS = Setting("OPENEDX_WEBHOOKS_WRITABLE_FIELDS", [], _writable)
LERNITO_WEBHOOK_SECRET = Setting("LERNITO_WEBHOOK_SECRET", None, _secrets)
LERNITO_REQUIRE_STANDARD = Setting("OPENEDX_WEBHOOKS_LERNITO_REQUIRE_STANDARD", False, _boolean)
LERNITO_CHECK_ACCESS = Setting("OPENEDX_WEBHOOKS_LERNITO_CHECK_ACCESS", False, _boolean)
LERNITO_THROTTLE_RATE = Setting("OPENEDX_WEBHOOKS_LERNITO_THROTTLE_RATE", "600/minute", _rate)
LERNITO_MAX_BODY = Setting("OPENEDX_WEBHOOKS_LERNITO_MAX_BODY", 64 * 1024, _integer(1024, 1024 * 1024))
LERNITO_MAX_COURSES = Setting("OPENEDX_WEBHOOKS_LERNITO_MAX_COURSES", 50, _integer(1, 1000))


def secret_keys() -> list[str | bytes]:
    """Return the site's ``SECRET_KEY``, and those of before that its ``SECRET_KEY_FALLBACKS`` still know."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def pipeline_of(filter_type: str) -> tuple[str, ...]:
    """Return the paths of the steps that the platform runs for a filter, from ``OPEN_EDX_FILTERS_CONFIG``.

    The tooling takes a path, a list of paths, or a dict with a ``pipeline``.
    """
    config = getattr(settings, "OPEN_EDX_FILTERS_CONFIG", None)
    entry = config.get(filter_type) if isinstance(config, Mapping) else None
    steps = entry.get("pipeline") if isinstance(entry, Mapping) else entry
    return (steps,) if isinstance(steps, str) else tuple(steps) if isinstance(steps, (list, tuple)) else ()


def all_settings() -> list[Setting[Any]]:
    """Return every setting of this package, in the order of this file."""
    return [value for value in globals().values() if isinstance(value, Setting)]
