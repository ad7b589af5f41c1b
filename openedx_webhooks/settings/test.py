"""What is merged again after the site's YAML; no default is assigned here, it would overwrite the site's."""

from __future__ import annotations

from typing import Any

from openedx_webhooks.settings import pipelines


def plugin_settings(settings: Any) -> None:
    """Merge the pipeline step into the configuration of filters, which the YAML may have replaced whole."""
    pipelines.merge_into(settings)
