"""The filters that the installed packages define, discovered: their arguments, exceptions and parameters.

Nothing is named here, so that a new release's filters are there the day they are installed. What a webfilter
may do with each is declared in ``contracts``.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType

import openedx_filters
from django.apps import AppConfig, apps
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.tooling import OpenEdxPublicFilter

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One parameter of an exception's ``__init__``."""

    name: str
    required: bool
    annotation: str
    """As written in the source; empty where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """One exception that a filter declares: one way to stop what it guards."""

    name: str
    parameters: tuple[Parameter, ...]
    takes_any: bool
    """Whether its ``__init__`` takes keywords beyond ``parameters``."""
    own_init: bool
    """Whether the class states its parameters itself; bare ones have those of OpenEdxFilterException."""
    exception: type[OpenEdxFilterException]

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name, if there is one."""
        return next((p for p in self.parameters if p.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """One filter: the point where the platform asks before it goes on."""

    name: str
    """The class name, which operators know it by."""
    filter_type: str
    """Its identity, which the configuration of pipelines knows it by."""
    module: str
    arguments: Mapping[str, str]
    """The annotation of each argument by its name; empty where there is none."""
    halts: tuple[Halt, ...]
    purpose: str
    """The first paragraph of its docstring."""

    def halt(self, name: str) -> Halt | None:
        """Return the exception of that name, if the filter declares it."""
        return next((h for h in self.halts if h.name == name), None)


_known: tuple[frozenset[type[OpenEdxPublicFilter]], Mapping[str, Filter]] = (frozenset(), MappingProxyType({}))


def all_filters() -> Mapping[str, Filter]:
    """Return every filter whose class is loaded, by filter_type; those of openedx-filters always are."""
    global _known  # noqa: PLW0603
    _load_package()
    classes = frozenset(_subclasses(OpenEdxPublicFilter))
    if classes != _known[0]:
        described = [_described(cls) for cls in classes if vars(cls).get("filter_type")]
        known = sorted((found for found in described if found is not None), key=_order)
        _known = classes, MappingProxyType({found.filter_type: found for found in known})
    return _known[1]


def get(filter_type: str) -> Filter | None:
    """Return one filter, or None where no loaded class has that filter_type."""
    found = _known[1].get(filter_type)
    return found if found is not None else all_filters().get(filter_type)


def find(pattern: str) -> tuple[Filter, ...]:
    """Return the filters that a name, a filter_type, or a glob over either (``Course*``, ``*``) names."""
    known = all_filters().values()
    return tuple(f for f in known if fnmatchcase(f.name, pattern) or fnmatchcase(f.filter_type, pattern))


def suggest(text: str, n: int = 3) -> list[str]:
    """Return up to ``n`` existing names or filter types that someone who typed ``text`` may have meant."""
    known = all_filters()
    spelled = {f.name.lower(): f.name for f in known.values()} | {t: t for t in known}
    typed = text.strip().lower()
    pool = [key for key in spelled if ("." in key) == ("." in typed)]
    return [spelled[key] for key in difflib.get_close_matches(typed, pool, n)]


def load_from_apps() -> None:
    """Load the filters of other installed packages. To be called once the apps are loaded."""
    for config in apps.get_app_configs():
        for module in _modules_with_filters(config):
            _load(module)


def _modules_with_filters(config: AppConfig) -> Iterator[str]:
    """Return the ``filters`` modules of an app, and of the packages right below it, that define some.

    Only a module whose source speaks of OpenEdxPublicFilter: ``filters`` is also what django-filter's users call
    theirs. Nothing is imported to find them.
    """
    root = Path(config.path)
    for path in (root / "filters.py", root / "filters" / "__init__.py", *sorted(root.glob("*/filters.py"))):
        names = [name for name in path.relative_to(root).with_suffix("").parts if name != "__init__"]
        if not names[0].startswith("test") and _speaks_of_filters(path):
            yield ".".join([config.name, *names])


def _speaks_of_filters(path: Path) -> bool:
    try:
        return "OpenEdxPublicFilter" in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _load_package() -> None:
    if _known[0]:
        return
    for module in pkgutil.walk_packages(openedx_filters.__path__, "openedx_filters."):
        if module.name.endswith(".filters") and ".tests" not in module.name:
            _load(module.name)


def _load(module: str) -> None:
    """Import another package's filters; its mistake must not keep settings from loading, and so the LMS from starting.

    The platform would meet it where it uses that module.
    """
    try:
        importlib.import_module(module)
    except Exception:
        log.warning("openedx_webhooks: %s could not be loaded", module, exc_info=True)


def _described(cls: type[OpenEdxPublicFilter]) -> Filter | None:
    """Describe a filter; None for one whose signatures Python cannot tell."""
    try:
        return _describe(cls)
    except (TypeError, ValueError):
        log.warning("openedx_webhooks: the filter %s cannot be described", cls.__qualname__, exc_info=True)
        return None


def _subclasses(cls: type[OpenEdxPublicFilter]) -> Iterator[type[OpenEdxPublicFilter]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)


def _order(found: Filter) -> tuple[str, str]:
    return found.name.lower(), found.filter_type


def _describe(cls: type[OpenEdxPublicFilter]) -> Filter:
    return Filter(
        name=cls.__name__,
        filter_type=cls.filter_type,
        module=cls.__module__,
        arguments=MappingProxyType(dict(_arguments(cls))),
        halts=tuple(_halts(cls)),
        purpose=_first_paragraph(cls),
    )


def _arguments(cls: type[OpenEdxPublicFilter]) -> Iterable[tuple[str, str]]:
    run = getattr(cls, "run_filter", None)
    if run is None:
        return
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            yield parameter.name, _annotation(parameter)


def _halts(cls: type[OpenEdxPublicFilter]) -> Iterable[Halt]:
    """Describe the nested exceptions, inherited ones too, in the order of the source."""
    nested: dict[str, type[OpenEdxFilterException]] = {}
    for base in reversed(cls.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, type) and issubclass(value, OpenEdxFilterException):
                nested |= {name: value}
    for name, exception in nested.items():
        yield _describe_halt(name, exception)


def _describe_halt(name: str, exception: type[OpenEdxFilterException]) -> Halt:
    parameters = list(inspect.signature(exception).parameters.values())
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Halt(
        name=name,
        parameters=tuple(
            Parameter(name=p.name, required=p.default is p.empty, annotation=_annotation(p)) for p in named
        ),
        takes_any=any(p.kind is p.VAR_KEYWORD for p in parameters),
        own_init=exception.__init__ is not OpenEdxFilterException.__init__,
        exception=exception,
    )


def _annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    written = parameter.annotation
    return written.__name__ if isinstance(written, type) else str(written)


def _first_paragraph(cls: type[OpenEdxPublicFilter]) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
