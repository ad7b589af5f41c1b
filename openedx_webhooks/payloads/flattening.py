"""A tree as the fields of a form.

One rule: every leaf is one field, its name is its path joined by ``_``, items of lists count from 0, and the
``pii`` level is left out, so that ``user.pii.email`` is ``user_email``. An empty dict or list is one empty
field. Where two leaves want one name, the one without a ``pii`` level has it, then the one that comes first;
the other is called by its whole path, and if that is taken too, gets ``_2``, ``_3`` and so on behind it.
Nothing is lost: there are as many fields as leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

PII = "pii"
"""The level that openedx-events puts between a user and the personal data."""

Path = tuple[str, ...]


def flatten(tree: Mapping[str, Any], write: Callable[[Any], str]) -> list[tuple[str, str]]:
    """Return the fields of a form, in the order of the tree; ``write`` turns a leaf into text."""
    leaves = list(_leaves(tree, ()))
    names = _names([path for path, _ in leaves])
    return [(names[path], write(leaf)) for path, leaf in leaves]


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)))
    elif path:
        yield path, ("" if isinstance(value, (Mapping, list, tuple)) else value)


def _names(paths: list[Path]) -> dict[Path, str]:
    """Give each path its name; paths are distinct."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for path in sorted(paths, key=lambda path: PII in path):
        name = _free_name(path, taken, numbers)
        taken.add(name)
        names[path] = name
    return names


def _free_name(path: Path, taken: Collection[str], numbers: dict[str, int]) -> str:
    short = "_".join(level for level in path if level != PII) or PII
    whole = name = "_".join(path)
    if short not in taken:
        return short
    while name in taken:
        numbers[whole] = numbers.get(whole, 1) + 1
        name = f"{whole}_{numbers[whole]}"
    return name


def flatten_legacy(tree: Mapping[str, Any], write: Callable[[Any], str]) -> list[tuple[str, str]]:
    """Return the fields as the published package wrote them: ``pii`` stays, a list is one field."""
    return list(_legacy_leaves(tree, (), write))


def _legacy_leaves(value: Any, path: Path, write: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _legacy_leaves(item, (*path, key), write)
    else:
        yield "_".join(path), write(value)
