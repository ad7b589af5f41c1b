"""django-webhook 0.0.15 in its own environment, with a real Celery worker of one process, as its documentation says.

A script, and the module of the Celery app: ``python celery_peer.py <database> <broker URL>`` makes the tables and
takes ``["webhooks", [url, ...]]``, ``["work"]`` and ``["create", count, name]`` on stdin, one JSON list on each line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

if len(sys.argv) == 3:  # the command, not the worker that it starts
    os.environ["BENCH_DATABASE"], os.environ["BENCH_BROKER_URL"] = sys.argv[1:]

import django
from celery import Celery
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "NAME": os.environ["BENCH_DATABASE"],
            "USER": "root",
            "HOST": "127.0.0.1",
            "OPTIONS": {"charset": "utf8mb4"},
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_webhook"],
    DJANGO_WEBHOOK={"MODELS": ["auth.Group"]},
    USE_TZ=True,
    SECRET_KEY="for the benchmark alone",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    CELERY_BROKER_URL=os.environ["BENCH_BROKER_URL"],
    CELERY_TASK_IGNORE_RESULT=True,
)
app = Celery("peer")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def set_up() -> None:
    """Make the tables before the app's ``ready()`` runs: on MySQL it cannot bear that they are missing."""
    from django.apps import apps
    from django.core.management import call_command
    from django_webhook.apps import WebhooksConfig

    with mock.patch.object(WebhooksConfig, "ready"):
        django.setup()
    call_command("migrate", verbosity=0)
    apps.get_app_config("django_webhook").ready()


set_up()


def configure(urls: list[str]) -> int:
    """Have these URLs called when a group is created."""
    from django_webhook.models import Webhook, WebhookTopic

    Webhook.objects.all().delete()
    for url in urls:
        webhook = Webhook(url=url)
        webhook.save()
        webhook.topics.set([WebhookTopic.objects.get(name="auth.Group/create")])
    return len(urls)


def create(count: int, name: str) -> int:
    """Create groups; each goes to every webhook."""
    from django.contrib.auth.models import Group

    for number in range(count):
        Group.objects.create(name=f"{name}{time.time_ns()}.{number}"[-150:])
    return count


def work() -> int:
    """Start the worker; return the id of the one process that sends."""
    command = [sys.executable, "-W", "ignore", "-m", "celery", "--quiet", "-A", "celery_peer", "worker"]
    command += ["--queues=celery", "--loglevel=ERROR"]
    command += ["--concurrency=1", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)}, stdout=subprocess.DEVNULL
    )
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
    while not children.read_text().split():
        if worker.poll() is not None:
            raise SystemExit("The Celery worker of django-webhook ended.")
        time.sleep(0.1)
    return int(children.read_text().split()[0])


COMMANDS: dict[str, Any] = {"webhooks": configure, "create": create, "work": work}

if __name__ == "__main__":
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[name](*arguments)), flush=True)  # noqa: T201
