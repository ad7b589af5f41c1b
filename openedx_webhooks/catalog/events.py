"""The events that this site can emit, and which of them a webhook's pattern means.

Discovered from the signals that exist in this process: those of openedx-events and those that any other
package registers. Identity is the ``event_type``; the Python name (``SESSION_LOGIN_COMPLETED``) is what rows
of webhooks usually hold, and can only be read from the module that holds the signal.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType, ModuleType

from openedx_events.tooling import OpenEdxPublicSignal, load_all_signals

NAMED_ONLY = frozenset({"org.openedx.analytics.tracking.event.emitted.v1"})
"""Event types that no glob matches: the tracking log emits several for every click of every learner."""

_PATTERNS_KEPT = 16_384
_SEARCHES = 5
_GLOB = re.compile(r"[*?\[]")
_VERSION = re.compile(r"v\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One argument of an event."""

    name: str
    """The keyword of ``send_event``, and the key in the body."""
    data_class: type
    qualified_class: str
    """Module and class, such as ``openedx_events.learning.data.UserData``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventEntry:
    """One event that this site can emit."""

    name: str
    """The signal's Python name; derived from the event_type where no module holds the signal."""
    event_type: str
    group: str
    """Where a grouped list shows it: subdomain and subject, such as ``learning / course``."""
    arguments: tuple[Argument, ...]
    signal: OpenEdxPublicSignal


Listener = Callable[[Collection[EventEntry]], object]
"""Takes every event that a discovery found, those found before included."""


def register(listener: Listener) -> None:
    """Name who is told what is discovered, now and whenever signals were registered since: a room above this one."""
    _discovery.listener = listener
    listener(all_events().values())


def all_events() -> Mapping[str, EventEntry]:
    """Return every event of this process by event_type, ordered by group and name."""
    return _current().entries


def find(pattern: str) -> tuple[EventEntry, ...]:
    """Return the events that a webhook's pattern means: a name, an event_type, or a glob over either.

    Case counts. A glob (``*``, ``?``, ``[...]``) never brings an event of ``NAMED_ONLY``. Two signals of one
    name are both found by the name, and told apart by their event_type. Nothing found is ``()``.
    """
    return _current().find(pattern)


def version() -> int:
    """Return a number that changes when the catalog does, for whoever keeps what ``find`` returned."""
    return _current().version


def is_pattern(text: str) -> bool:
    """Tell whether the text is a glob, and not the name of one event."""
    return _GLOB.search(text) is not None


def suggest(text: str, n: int = 3) -> list[str]:
    """Return up to ``n`` existing names or event types that someone who typed ``text`` may have meant."""
    entries = all_events().values()
    if "." in text:
        return difflib.get_close_matches(text.lower(), [entry.event_type for entry in entries], n)
    typed = re.sub(r"[^A-Z0-9]+", "_", text.strip().upper())
    return difflib.get_close_matches(typed, sorted({entry.name for entry in entries}), n)


class _Catalog:
    """What was discovered at one moment, with the patterns already looked up in it."""

    def __init__(self, signals: Iterable[OpenEdxPublicSignal], version: int) -> None:
        names = _names_in_modules(signals)
        found = sorted(
            (_entry(signal, names.get(id(signal))) for signal in _distinct(signals, names)),
            key=lambda entry: (entry.group, entry.name, entry.event_type),
        )
        self.version = version
        self.entries: Mapping[str, EventEntry] = MappingProxyType({entry.event_type: entry for entry in found})
        self.complete = all(id(entry.signal) in names for entry in found)
        self.find = lru_cache(maxsize=_PATTERNS_KEPT)(self._find)
        self._by_name: dict[str, tuple[EventEntry, ...]] = {}
        for entry in found:
            self._by_name[entry.name] = (*self._by_name.get(entry.name, ()), entry)

    def _find(self, pattern: str) -> tuple[EventEntry, ...]:
        if pattern in self.entries:
            return (self.entries[pattern],)
        if pattern in self._by_name or not is_pattern(pattern):
            return self._by_name.get(pattern, ())
        matches = re.compile(fnmatch.translate(pattern)).match
        return tuple(
            entry
            for entry in self.entries.values()
            if entry.event_type not in NAMED_ONLY and (matches(entry.name) or matches(entry.event_type))
        )


class _Discovery:
    """Keeps the catalog of this process, and renews it when signals were registered since.

    Looking compares how many signals there are and which is the last. A signal made while its module is still
    being imported has no name yet, so as long as one is nameless, newly imported modules are a reason to look
    again, a few times: a signal that no module will ever hold must not cost a search at every lazy import.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded = False
        self._signals: list[OpenEdxPublicSignal] = []
        self._modules = 0
        self._searches_left = 0
        self._catalog: _Catalog | None = None
        self.listener: Listener = lambda _entries: None

    def current(self) -> _Catalog:
        catalog = self._catalog
        if catalog is not None and self._is_current(catalog):
            return catalog
        with self._lock:
            catalog = self._catalog
            return catalog if catalog is not None and self._is_current(catalog) else self._renew()

    def _is_current(self, catalog: _Catalog) -> bool:
        if self._has_new_signals():
            return False
        return catalog.complete or not self._searches_left or len(sys.modules) == self._modules

    def _has_new_signals(self) -> bool:
        signals, seen = OpenEdxPublicSignal.all_events(), self._signals
        return len(signals) != len(seen) or bool(seen and signals[-1] is not seen[-1])

    def _renew(self) -> _Catalog:
        if not self._loaded:
            load_all_signals()
            self._loaded = True
        self._searches_left = _SEARCHES if self._has_new_signals() else self._searches_left - 1
        self._modules = len(sys.modules)
        signals = list(OpenEdxPublicSignal.all_events())
        catalog = _Catalog(signals, self._catalog.version + 1 if self._catalog else 1)
        # Before anybody finds an event in it: what can be subscribed to is heard.
        self.listener(catalog.entries.values())
        self._catalog, self._signals = catalog, signals
        return catalog


_discovery = _Discovery()
_current = _discovery.current


def _names_in_modules(signals: Iterable[OpenEdxPublicSignal]) -> dict[int, str]:
    """Return the Python name of each signal that a loaded module holds, by the signal's id.

    Compares identities alone: touching what modules hold may wake lazy objects. Of several names the one in
    a module called ``signals`` counts, then the shortest module path: there it was made, elsewhere imported.
    """
    wanted = {id(signal) for signal in signals}
    best: dict[int, tuple[bool, int, str, str]] = {}
    for path, module in list(sys.modules.items()):
        for name, value in _attributes(module):
            if id(value) in wanted and not name.startswith("_"):
                rank = (not path.endswith("signals"), len(path), path, name)
                best[id(value)] = min(best.get(id(value), rank), rank)
    return {identity: rank[-1] for identity, rank in best.items()}


def _attributes(module: object) -> list[tuple[str, object]]:
    """Return what a module holds; ``sys.modules`` may hold None and objects that stand in for a module."""
    return list(vars(module).items()) if isinstance(module, ModuleType) else []


def _distinct(signals: Iterable[OpenEdxPublicSignal], names: Mapping[int, str]) -> list[OpenEdxPublicSignal]:
    """Keep one signal per event_type: one that a module holds, else the one made last."""
    kept: dict[str, OpenEdxPublicSignal] = {}
    for signal in signals:
        rival = kept.get(signal.event_type)
        if rival is None or id(signal) in names or id(rival) not in names:
            kept[signal.event_type] = signal
    return list(kept.values())


def _entry(signal: OpenEdxPublicSignal, name: str | None) -> EventEntry:
    return EventEntry(
        name=name or derived_name(signal.event_type),
        event_type=signal.event_type,
        group=group_of(signal.event_type),
        arguments=tuple(
            Argument(
                name=key, data_class=data_class, qualified_class=f"{data_class.__module__}.{data_class.__qualname__}"
            )
            for key, data_class in signal.init_data.items()
        ),
        signal=signal,
    )


def derived_name(event_type: str) -> str:
    """Return a name for a signal that no module holds: subject and action, as openedx-events spells names."""
    _, parts = _split(event_type)
    return re.sub(r"\W+", "_", "_".join(parts)).upper()


def group_of(event_type: str) -> str:
    """Return subdomain and subject's first word of an event_type (OEP-41: reverse DNS, subdomain, subject, action)."""
    subdomain, parts = _split(event_type)
    return f"{subdomain} / {parts[0]}" if len(parts) > 1 else subdomain


def _split(event_type: str) -> tuple[str, list[str]]:
    parts = event_type.split(".")
    if _VERSION.fullmatch(parts[-1]):
        parts = parts[:-1]
    parts = parts[2:] if len(parts) > 3 else parts
    return parts[0], parts[1:] or parts
