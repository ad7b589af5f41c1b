"""Real processes: a Redis of the tests' own, Celery workers, ``webhooks_deliver``, and a process that emits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.services)
            item.add_marker(pytest.mark.django_db(transaction=True))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(autouse=True)
def _on_mariadb(db: None) -> None:
    assert connection.vendor == "mysql", "These tests are for MariaDB: set WEBHOOKS_TEST_DATABASE=mysql."


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(happened: Callable[[], object], seconds: float = 30, what: str = "that") -> None:
    """Poll until ``happened()`` is true; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:g} s for {what}.")
        time.sleep(0.05)


class Redis:
    """A Redis server of the tests' own, that may be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=log, stderr=log)
        wait_until(self._answers, 10, "Redis")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    server.start()
    yield server
    server.stop()


class Site:
    """Starts processes of one site: the same database and broker, settings as its YAML would hold them."""

    def __init__(self, folder: Path, broker_url: str, **site_settings: Any) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'lms'}",
            "WEBHOOKS_TEST_DATABASE": "mysql",
            "WEBHOOKS_DATABASE_NAME": str(django_settings.DATABASES["default"]["NAME"]),
            "WEBHOOKS_BROKER_URL": broker_url,
            "WEBHOOKS_SITE_SETTINGS": json.dumps(site_settings),
        }

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def worker(self, name: str = "worker") -> subprocess.Popen[bytes]:
        """Start a Celery prefork worker as Tutor does, and wait until it takes tasks."""
        command = ["-m", "celery", "--app=lms.celery", "worker", "--loglevel=INFO", "--concurrency=2"]
        command += ["--prefetch-multiplier=1", "--max-tasks-per-child=100", f"--hostname={name}@%h"]
        command += ["--queues=edx.lms.core.default,edx.lms.core.high,edx.lms.core.high_mem"]
        process = self._start(name, command)
        wait_until(lambda: " ready." in self.log(name), 60, f"{name} to be ready:\n{self.log(name)}")
        return process

    def deliver_for_ever(self, name: str = "forever") -> subprocess.Popen[bytes]:
        return self._start(name, ["manage.py", "webhooks_deliver", "--forever"])

    def emit(self, count: int, name: str = "emit") -> None:
        """Send real events from a process of their own, and wait until it has ended."""
        process = self.start_emitting(count, name)
        assert process.wait(timeout=120) == 0, self.log(name)

    def start_emitting(self, count: int, name: str = "emit") -> subprocess.Popen[bytes]:
        return self._start(name, ["-m", "tests.services.emit", str(count)])

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and its children at once, as an operating system out of memory does."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)


@pytest.fixture
def site(redis: Redis, tmp_path: Path) -> Iterator[Site]:
    running = Site(
        tmp_path, redis.url, OPENEDX_WEBHOOKS_RETRY_SCHEDULE=[0, 3, 6, 6, 6, 6], OPENEDX_WEBHOOKS_CONFIG_TTL=1
    )
    yield running
    running.stop()
