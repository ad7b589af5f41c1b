"""What is merged again after the site's YAML; no default is assigned here, it would overwrite the site's."""

from __future__ import annotations

from typing import Any


def plugin_settings(settings: Any) -> None:
    """Nothing to merge yet."""
