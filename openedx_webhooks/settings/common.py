"""Defaults, assigned before the site's YAML, so that the YAML wins."""

from __future__ import annotations

from typing import Any

from openedx_webhooks import app_settings
from openedx_webhooks.settings import pipelines


def plugin_settings(settings: Any) -> None:
    """Give every setting of ours its default, and every filter our pipeline step."""
    for setting in app_settings.all_settings():
        setattr(settings, setting.name, setting.default)
    pipelines.merge_into(settings)
