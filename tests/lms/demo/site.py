"""Sets the demo's site up: settings, database, people, courses, the webhook, and the servers.

Django is imported inside functions: the settings are chosen here.
"""

import json
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COURSES = {
    "course-v1:edX+DemoX+2026": "Demonstration Course",
    "course-v1:OpenCraft+WH101+2026": "Webhooks in Practice",
}
DESCRIPTION = "The demo's inbox"
RETRY_SCHEDULE = [0, 2, 5, 10, 20, 40, 60, 120, 300, 600]
"""Seconds: short, so that a person sees the retries."""


class DemoError(Exception):
    """Why the demo cannot go on, for a person."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A demo that runs."""

    url: str
    password: str
    directory: Path
    thread: threading.Thread

    def welcome(self) -> str:
        """Return what to print: the addresses and the admin's password."""
        return f"""
  openedx-webhooks demo

    LMS      {self.url}/          register, log in, enroll, and watch the inbox beside it
    Inbox    {self.url}/inbox     every delivery as it arrives; make it slow, failing or dead
    Admin    {self.url}/admin/    user: admin   password: {self.password}

    The database is in {self.directory.name}/; delete it to begin anew. Ctrl-C ends.
"""

    def wait(self) -> None:
        """Serve until the process is interrupted."""
        self.thread.join()


@contextmanager
def running(*, once: bool, port: str, directory: Path) -> Iterator[Demo]:
    """Run the LMS, the inbox and the embedded delivery worker while the block runs.

    ``once`` begins with an empty database. Raises DemoError where the port cannot be had.
    """
    directory.mkdir(exist_ok=True)
    _configure(_database(directory, fresh=once))
    server = _bind(_port(port, default=0 if once else 8000))
    password = _prepare()
    with _inbox(), _serving(server) as thread:
        yield Demo(
            url=f"http://127.0.0.1:{server.server_port}",
            password=password,
            directory=directory,
            thread=thread,
        )


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise DemoError(f"PORT must be a number below 65536; it is {text!r}.")
    return int(text)


def _database(directory: Path, *, fresh: bool) -> Path:
    """Return the database's file; a fresh one has another name, so that the demo's own is kept."""
    path = directory / ("once.sqlite3" if fresh else "demo.sqlite3")
    if fresh:
        for file in directory.glob("once.sqlite3*"):
            file.unlink()
    return path


def _configure(database: Path) -> None:
    """Choose the settings by the environment, as the stand-in reads it, and load Django."""
    os.environ.pop("WEBHOOKS_TEST_DATABASE", None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.lms.settings"
    os.environ["WEBHOOKS_SQLITE"] = str(database)
    os.environ["WEBHOOKS_SITE_SETTINGS"] = json.dumps(
        {
            "ROOT_URLCONF": "tests.lms.demo.urls",
            "OPENEDX_WEBHOOKS_DISPATCH": "thread",
            "OPENEDX_WEBHOOKS_CONFIG_TTL": 1,
            "OPENEDX_WEBHOOKS_RETRY_SCHEDULE": RETRY_SCHEDULE,
            "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS": ["127.0.0.1"],
        }
    )
    logging.basicConfig(level=logging.WARNING, format="  %(levelname)s %(name)s: %(message)s")
    # Every answer above 399 would be logged, and the pages show them.
    logging.getLogger("django.request").setLevel(logging.ERROR)

    import django

    django.setup()


def _bind(port: int) -> Any:
    """Return a threaded server on a loopback port, which does not serve yet."""
    from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

    class Handler(WSGIRequestHandler):
        """Serves without a line for each request: the inbox's page asks every second."""

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    try:
        server = ThreadedWSGIServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise DemoError(
            f"Port {port} cannot be used ({error.strerror}). Choose another: make demo PORT=8001"
        ) from error
    server.daemon_threads = True
    return server


def _prepare() -> str:
    """Bring the database to the present, with an admin, two courses and a webhook; return the admin's password."""
    from common.djangoapps.student.models import UserProfile
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from opaque_keys.edx.keys import CourseKey
    from openedx.core.djangoapps.content.course_overviews.models import CourseOverview

    call_command("migrate", verbosity=0)
    password = secrets.token_urlsafe(9)
    admin, _created = User.objects.get_or_create(username="admin", defaults={"email": "admin@example.com"})
    admin.is_staff = admin.is_superuser = admin.is_active = True
    admin.set_password(password)
    admin.save()
    UserProfile.objects.get_or_create(user=admin, defaults={"name": "Ada Admin"})
    for key, name in COURSES.items():
        CourseOverview.objects.get_or_create(id=CourseKey.from_string(key), defaults={"display_name": name})
    return password


@contextmanager
def _inbox() -> Iterator[None]:
    """Run the inbox, and point the demo's webhook at it."""
    from openedx_webhooks.models import Webhook
    from tests.lms.demo import inbox

    webhook = Webhook.objects.filter(description=DESCRIPTION).first() or Webhook(description=DESCRIPTION, event="*")
    with inbox.opened(str(webhook.secret)) as url:
        webhook.webhook_url = url
        webhook.save()
        yield


@contextmanager
def _serving(server: Any) -> Iterator[threading.Thread]:
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.wsgi import get_wsgi_application

    server.set_app(StaticFilesHandler(get_wsgi_application()))
    thread = threading.Thread(target=server.serve_forever, name="demo-lms", daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        server.shutdown()
        server.server_close()
