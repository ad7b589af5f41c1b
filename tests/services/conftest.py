"""Real processes: a Redis of the tests' own, Celery workers, ``webhooks_deliver``, and a process that emits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.services.processes import Redis, Site, free_port, wait_until

__all__ = ["Redis", "Site", "free_port", "wait_until"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True)
def _on_mariadb(db: None) -> None:
    if connection.vendor != "mysql":
        pytest.skip("These tests are for MariaDB: make test-services")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(redis: Redis, tmp_path: Path) -> Iterator[Site]:
    running = Site(
        tmp_path, redis.url, OPENEDX_WEBHOOKS_RETRY_SCHEDULE=[0, 3, 6, 6, 6, 6], OPENEDX_WEBHOOKS_CONFIG_TTL=1
    )
    yield running
    running.stop()
