"""openedx-webhooks 22.0.0 in its own environment: sends events, and says how long each took in the request.

A script without imports from this repository, whose package has the same name. Takes commands on stdin and answers on
stdout, one JSON value on each line: ``["webhooks", [url, ...]]`` and ``["send", count, connected]``.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

DATABASE, EVENT, DISPLAY_NAME = sys.argv[1:4]


def set_up() -> None:
    """Configure a Django that loads the plugin as the platform does."""
    import django
    from django.conf import settings
    from edx_django_utils.plugins import connect_plugin_receivers, get_plugin_apps

    settings.configure(
        DATABASES={"default": _database()},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "openedx_events",
            *get_plugin_apps("lms.djangoapp"),
        ],
        USE_TZ=True,
        SECRET_KEY="for the benchmark alone",
        BROKER_POOL_LIMIT=0,
        LOGGING_CONFIG=None,
    )
    django.setup()
    connect_plugin_receivers("lms.djangoapp")
    import logging

    from django.core.management import call_command

    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)


def _database() -> dict[str, Any]:
    options = {"charset": "utf8mb4"}
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": DATABASE,
        "USER": "root",
        "HOST": "127.0.0.1",
        "OPTIONS": options,
    }


def configure(urls: list[str]) -> int:
    """Have these URLs called, and no others."""
    from openedx_webhooks.models import Webhook

    Webhook.objects.all().delete()
    for url in urls:
        Webhook.objects.create(event=EVENT, webhook_url=url, enabled=True)
    return len(urls)


def _nothing(**_arguments: object) -> None:
    """Be a receiver that does nothing."""


def send(count: int, connected: bool) -> list[float]:
    """Send events, each inside a transaction; return the seconds of each. Not ``connected``: to ``_nothing`` alone."""
    from django.db import transaction
    from openedx_events.learning.signals import COURSE_ENROLLMENT_CREATED as SIGNAL

    receivers = SIGNAL.receivers
    if not connected:
        SIGNAL.receivers = []
        SIGNAL.connect(_nothing, weak=False)
    SIGNAL.sender_receivers_cache.clear()
    data, seconds = _enrollment(), []
    for _ in range(count):
        with transaction.atomic():
            began = time.perf_counter()
            SIGNAL.send_event(enrollment=data)
            seconds.append(time.perf_counter() - began)
    SIGNAL.receivers = receivers
    SIGNAL.sender_receivers_cache.clear()
    return seconds


def _enrollment() -> Any:
    from opaque_keys.edx.keys import CourseKey
    from openedx_events.learning.data import CourseData, CourseEnrollmentData, UserData, UserPersonalData

    pii = UserPersonalData(username="learner1", email="learner1@example.com", name="Ada")
    course = CourseData(course_key=CourseKey.from_string("course-v1:edX+DemoX+2026"), display_name=DISPLAY_NAME)
    user = UserData(id=1, is_active=True, pii=pii)
    created = datetime(2026, 11, 22, tzinfo=UTC)
    return CourseEnrollmentData(user=user, course=course, mode="audit", is_active=True, creation_date=created)


COMMANDS = {"webhooks": configure, "send": send}

if __name__ == "__main__":
    set_up()
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[name](*arguments)), flush=True)  # noqa: T201
