"""The plugin: what it adds to the LMS and the CMS, and what it does once the apps are loaded.

Imported while the platform's settings load, so nothing here imports a model at the top.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.apps import AppConfig
from django.conf import settings
from edx_django_utils.plugins.constants import PluginSettings, PluginURLs


class WebhooksConfig(AppConfig):
    """The app ``openedx_webhooks``, loaded by the entry points ``lms.djangoapp`` and ``cms.djangoapp``."""

    name = "openedx_webhooks"
    label = "openedx_webhooks"
    verbose_name = "OPENEDX_WEBHOOKS"
    default_auto_field = "django.db.models.BigAutoField"

    _settings: ClassVar[dict[str, Any]] = {
        kind: {PluginSettings.RELATIVE_PATH: f"settings.{kind}"}
        for kind in ("common", "production", "devstack", "test")
    }
    plugin_app: ClassVar[dict[str, Any]] = {
        PluginSettings.CONFIG: {"lms.djangoapp": _settings, "cms.djangoapp": _settings},
        PluginURLs.CONFIG: {
            "lms.djangoapp": {
                PluginURLs.NAMESPACE: "lernito",
                PluginURLs.REGEX: r"^api/lernito/",
                PluginURLs.RELATIVE_PATH: "lernito.urls",
            },
        },
    }

    def ready(self) -> None:
        """Register the checks, merge the filters' step, connect the receiver to every event, give wake-ups a runner."""
        from openedx_webhooks import checks, handlers, wakeup  # noqa: F401, PLC0415
        from openedx_webhooks.catalog import filters  # noqa: PLC0415
        from openedx_webhooks.deliveries import engine  # noqa: PLC0415
        from openedx_webhooks.models import incident  # noqa: PLC0415
        from openedx_webhooks.settings import pipelines  # noqa: PLC0415

        filters.load_from_apps()
        pipelines.merge_into(settings)
        handlers.connect()
        wakeup.register(runner=engine.run_for_ever, report=incident.record)
