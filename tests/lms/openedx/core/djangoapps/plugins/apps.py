"""Connects the signal receivers that plugins declare, once every app is loaded."""

from django.apps import AppConfig
from edx_django_utils.plugins import connect_plugin_receivers


class PluginsConfig(AppConfig):
    """The platform's plugin app; it also stands for the import of ``lms``, which makes the Celery app current."""

    name = "openedx.core.djangoapps.plugins"

    def ready(self) -> None:
        import lms.celery  # noqa: F401

        connect_plugin_receivers("lms.djangoapp")
