"""Opaque keys in an event: which course or library they point into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opaque_keys import InvalidKeyError, OpaqueKey
from opaque_keys.edx.keys import AssetKey, CourseKey, LearningContextKey, UsageKey
from opaque_keys.edx.locator import LibraryCollectionLocator, LibraryContainerLocator

_READERS: Mapping[str, Callable[[str], OpaqueKey]] = {
    "course-v1:": CourseKey.from_string,
    "ccx-v1:": CourseKey.from_string,
    "library-v1:": CourseKey.from_string,
    "block-v1:": UsageKey.from_string,
    "ccb-v1:": UsageKey.from_string,
    "asset-v1:": AssetKey.from_string,
    "lib:": LearningContextKey.from_string,
    "lb:": UsageKey.from_string,
    "lct:": LibraryContainerLocator.from_string,
    "lib-collection:": LibraryCollectionLocator.from_string,
}
TEXT_STARTS = tuple(_READERS)
"""How the text of a key begins: some events carry keys as text (``object_id``, ``location``)."""
_LONGEST = 255


def context_of(key: OpaqueKey) -> Any:
    """Return the course or library that a key is, or points into; None where there is none."""
    if isinstance(key, LearningContextKey):
        return key
    if isinstance(key, UsageKey):
        return key.context_key
    for name in ("course_key", "context_key", "lib_key"):
        context = getattr(key, name, None)
        if isinstance(context, LearningContextKey):
            return context
    return None


def key_in(text: str) -> OpaqueKey | None:
    """Return the key that a text is, which begins as ``TEXT_STARTS`` says; None for any other text."""
    if len(text) > _LONGEST:
        return None
    try:
        return _READERS[text[: text.index(":") + 1]](text)
    except InvalidKeyError:
        return None
