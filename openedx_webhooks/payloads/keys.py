"""Opaque keys in an event: which course or library they point into."""

from __future__ import annotations

from typing import Any

from opaque_keys import InvalidKeyError, OpaqueKey
from opaque_keys.edx.keys import AssetKey, CourseKey, LearningContextKey, UsageKey
from opaque_keys.edx.locator import LibraryCollectionLocator, LibraryContainerLocator

_FAMILIES: dict[str, type[OpaqueKey]] = {
    "course-v1:": CourseKey,
    "ccx-v1:": CourseKey,
    "library-v1:": CourseKey,
    "block-v1:": UsageKey,
    "ccb-v1:": UsageKey,
    "asset-v1:": AssetKey,
    "lib:": LearningContextKey,
    "lb:": UsageKey,
    "lct:": LibraryContainerLocator,
    "lib-collection:": LibraryCollectionLocator,
}
TEXT_STARTS = tuple(_FAMILIES)
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
        return _FAMILIES[text[: text.index(":") + 1]].from_string(text)
    except InvalidKeyError:
        return None
