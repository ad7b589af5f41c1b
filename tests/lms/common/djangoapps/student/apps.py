"""The app ``student``."""

from django.apps import AppConfig


class StudentConfig(AppConfig):
    """Connects what happens when a user becomes active."""

    name = "common.djangoapps.student"

    def ready(self) -> None:
        from common.djangoapps.student import handlers  # noqa: F401
