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
from tempfile import TemporaryDirectory
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
    with _database(directory, fresh=once) as database:
        _configure(database)
        server = _bind(_port(port, default=0 if once else 8000))
        password = _prepare()
        with _inbox(server.server_port + 1), _serving(server) as thread:
            yield Demo(
                url=f"http://127.0.0.1:{server.server_port}", password=password, directory=directory, thread=thread
            )


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise DemoError(f"PORT must be a number below 65536; it is {text!r}.")
    return int(text)


@contextmanager
def _database(directory: Path, *, fresh: bool) -> Iterator[Path]:
    """Keep the database's file while the block runs; a fresh one is gone afterwards, the demo's own stays."""
    if not fresh:
        yield directory / "demo.sqlite3"
        return
    with TemporaryDirectory(prefix="once-", dir=directory, ignore_cleanup_errors=True) as temporary:
        yield Path(temporary) / "demo.sqlite3"
        # The worker's thread lives as long as the process, and would complain of its missing file.
        logging.disable()


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

    import django

    django.setup()
    # Every answer above 399 would be logged, and the pages show them.
    logging.getLogger("django.request").setLevel(logging.ERROR)


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
def _inbox(port: int) -> Iterator[None]:
    """Run the inbox, and point the demo's webhook at it; it verifies by the secrets of every webhook there is."""
    from django.db.models.signals import post_delete, post_save

    from openedx_webhooks.models import Webhook
    from tests.lms.demo import inbox

    def trust_all(**_signal: Any) -> None:
        rows = Webhook.objects.values_list("secret", "previous_secret")
        box.receiver.trust([secret for row in rows for secret in row if secret])

    with inbox.opened(port) as box:
        for signal in (post_save, post_delete):
            signal.connect(trust_all, sender=Webhook, weak=False)
        webhook = Webhook.objects.filter(description=DESCRIPTION).first()
        webhook = webhook or Webhook(description=DESCRIPTION, event="*")
        webhook.webhook_url = box.url
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
