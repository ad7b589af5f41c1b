"""The LMS's Celery app: ``celery --app=lms.celery worker``."""

from typing import Any

from celery import Celery
from django.conf import settings

APP = Celery("proj")
APP.config_from_object("django.conf:settings")
APP.autodiscover_tasks()


def route_task(name: str, *_args: Any, **_options: Any) -> dict[str, str] | None:
    """Send a task to the queue that ``EXPLICIT_QUEUES`` names for it, else to the default one."""
    return settings.EXPLICIT_QUEUES.get(name)
