"""A MariaDB that is restarted under load: what it acknowledged arrives, whoever was talking to it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from openedx_webhooks.testing import Answer, Receiver
from tests.faults.conftest import SITE_SETTINGS
from tests.faults.ledger import Database, settle
from tests.faults.mariadb import MariaDB
from tests.faults.test_workers import RECOVERY, all_done, emitting
from tests.services.processes import Redis, Site, wait_until

PREPARE = """
import sys, django; django.setup()
from openedx_webhooks.models import Webhook
for url in sys.argv[1:]:
    Webhook.objects.create(event="*", webhook_url=url, timeout=1)
"""


@pytest.fixture
def mariadb() -> Iterator[MariaDB]:
    # Not pytest's folder: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="webhooks-mariadb-"))
    server = MariaDB(folder)
    try:
        server.install()
        yield server
    finally:
        server.stop(kill=True)
        shutil.rmtree(folder)


def finished(process: subprocess.Popen[bytes], site: Site, name: str) -> None:
    assert process.wait(timeout=120) == 0, site.log(name)


def test_restarts_under_load(mariadb: MariaDB, redis: Redis, tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer(lambda request: Answer(delay=0.1))
    paths = ["/a", "/b", "/c"]
    database = Database(mariadb.settings)
    site = Site(tmp_path, redis.url, database=mariadb.settings, OPENEDX_WEBHOOKS_MAX_DRAINS=2, **SITE_SETTINGS)
    try:
        finished(site.start("migrate", ["manage.py", "migrate", "-v0"]), site, "migrate")
        urls = [receiver.url(path) for path in paths]
        finished(site.start("prepare", ["-c", PREPARE, *urls]), site, "prepare")
        site.worker()
        site.deliver_for_ever()
        emitter = emitting(site, "0", "1000000", "0.002")
        for kill in (False, True):
            seen = len(receiver.requests)
            receiver.wait_until(lambda requests, n=seen: len(requests) > n + 300, RECOVERY)  # type: ignore[misc]
            mariadb.stop(kill=kill)
            wait_until(lambda k=kill: site.log("emit").count("a request failed") > k, 60, "a failed request")  # type: ignore[misc]
            mariadb.start()
        seen = len(receiver.requests)
        receiver.wait_until(lambda requests: len(requests) > seen + 300, RECOVERY)
        emitter.terminate()
        all_done(database, [emitter])
        settle(database, receiver, paths)
    finally:
        site.stop()
