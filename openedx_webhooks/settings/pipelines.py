"""Merging our pipeline step into ``OPEN_EDX_FILTERS_CONFIG``, whatever shape the site gave it.

It is merged wherever the setting may have been replaced: by the plugin's settings before and after the
site's YAML, and again when the apps are ready, because a site's last patch may assign it whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from openedx_webhooks.catalog import filters
from openedx_webhooks.webfilters.step import STEP

log = logging.getLogger(__name__)

HAND_WIRED = "openedx_webhooks.filters."
"""Where the steps of openedx-webhooks before 23 were, which sites listed themselves."""


def merge_into(settings: Any) -> None:
    """Give every known filter our step in a settings module or in ``django.conf.settings``; idempotent."""
    present = getattr(settings, "OPEN_EDX_FILTERS_CONFIG", None)
    if present is not None and not isinstance(present, Mapping):
        log.warning("openedx_webhooks: OPEN_EDX_FILTERS_CONFIG is not a dict; no webfilter is called.")
        return
    settings.OPEN_EDX_FILTERS_CONFIG = merged(present or {}, filters.all_filters())


def merged(config: Mapping[str, Any], filter_types: Iterable[str]) -> dict[str, Any]:
    """Return a configuration with our step in the pipeline of each filter type; the given one stays as it is.

    Other plugins' steps, flags and extra configuration are kept, and so is the place of a hand-wired step.
    """
    new = dict(config)
    for filter_type in dict.fromkeys([*config, *filter_types]):
        new[filter_type] = _with_step(config.get(filter_type))
    return new


def _with_step(entry: Any) -> Any:
    """Return one filter's entry with our step in it, once.

    The tooling takes a path, a list of paths, or a dict of ``pipeline``, ``fail_silently`` and more. Without
    the flag it is True, and we leave it so: a mistake of ours must not break a login.
    """
    if not entry:
        entry = {}
    elif isinstance(entry, (str, list, tuple)):
        entry = {"pipeline": entry}
    elif not isinstance(entry, Mapping):
        return entry
    steps = entry.get("pipeline") or []
    steps = [steps] if isinstance(steps, str) else list(steps)
    hand_wired = any(_is_hand_wired(step) for step in steps)
    silently = True if hand_wired else entry.get("fail_silently", True)
    return {**entry, "pipeline": _replaced(steps), "fail_silently": silently}


def _replaced(steps: list[Any]) -> list[Any]:
    ours = [n for n, step in enumerate(steps) if step == STEP or _is_hand_wired(step)]
    if not ours:
        return [*steps, STEP]
    return [STEP if n == ours[0] else step for n, step in enumerate(steps) if n == ours[0] or n not in ours]


def _is_hand_wired(step: Any) -> bool:
    return isinstance(step, str) and step.startswith(HAND_WIRED)
