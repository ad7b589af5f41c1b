"""A site of real processes under faults, and a receiver that records everything.

``WEBHOOKS_KILL_ROUNDS`` (50) is how often the workers are killed, ``WEBHOOKS_FAULT_SEED`` makes chance repeatable.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from openedx_webhooks.models import Webhook
from openedx_webhooks.testing import Receiver
from tests.faults.ledger import Database
from tests.services.processes import Redis, Site, say

SITE_SETTINGS: dict[str, Any] = {"OPENEDX_WEBHOOKS_CONFIG_TTL": 1}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(autouse=True)
def _on_mariadb(db: None) -> None:
    if connection.vendor != "mysql":
        pytest.skip("These tests are for MariaDB: make test-services")


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("WEBHOOKS_FAULT_SEED") or random.SystemRandom().randrange(10**6))
    say(f"WEBHOOKS_FAULT_SEED={seed}")
    return seed


@pytest.fixture
def database() -> Database:
    return Database(django_settings.DATABASES["default"])


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(redis: Redis, tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path, redis.url, **SITE_SETTINGS)
    yield running
    running.stop()


@pytest.fixture
def paths(receiver: Receiver) -> list[str]:
    """Three webhooks of every event, with a timeout so short that the leases of the dead end soon."""
    paths = ["/a", "/b", "/c"]
    for path in paths:
        Webhook.objects.create(event="*", webhook_url=receiver.url(path), timeout=1)
    return paths
