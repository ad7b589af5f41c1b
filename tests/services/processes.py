"""Real processes of one site: a Redis of the tests' own, Celery workers, ``webhooks_deliver``, processes that emit."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(happened: Callable[[], object], seconds: float = 30, what: str | Callable[[], str] = "that") -> None:
    """Poll until ``happened()`` is true; AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise AssertionError(f"Waited {seconds:g} s for {what() if callable(what) else what}.")
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
        wait_until(lambda: listens(self.port), 10, "Redis")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def flush(self) -> None:
        """Forget everything, the messages that wait included."""
        subprocess.run(["redis-cli", "-p", str(self.port), "FLUSHALL"], check=True, capture_output=True, timeout=10)


class Site:
    """Starts processes of one site: the same database and broker, settings as its YAML would hold them.

    ``database`` is an entry of ``DATABASES``; None: the tests' own database.
    """

    def __init__(
        self, folder: Path, broker_url: str, *, database: Mapping[str, Any] | None = None, **site_settings: Any
    ) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._site_settings = site_settings | ({"DATABASES": {"default": database}} if database else {})
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'lms'}",
            "WEBHOOKS_TEST_DATABASE": "mysql",
            "WEBHOOKS_DATABASE_NAME": str(django_settings.DATABASES["default"]["NAME"]),
            "WEBHOOKS_BROKER_URL": broker_url,
        }

    def start(self, name: str, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a Python process of this site; what it says goes to ``log(name)``."""
        own = {"WEBHOOKS_SITE_SETTINGS": json.dumps(self._site_settings), **environment}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self._environment | own,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def start_worker(self, name: str = "worker", concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start a Celery prefork worker as Tutor does, without waiting for it."""
        command = ["-m", "celery", "--app=lms.celery", "worker", "--loglevel=INFO", f"--concurrency={concurrency}"]
        command += ["--prefetch-multiplier=1", "--max-tasks-per-child=100", f"--hostname={name}@%h"]
        command += ["--queues=edx.lms.core.default,edx.lms.core.high,edx.lms.core.high_mem"]
        return self.start(name, command)

    def worker(self, name: str = "worker", concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start a Celery worker, and wait until it takes tasks."""
        process = self.start_worker(name, concurrency)
        wait_until(lambda: " ready." in self.log(name), 90, lambda: f"{name} to be ready:\n{self.log(name)}")
        return process

    def deliver_for_ever(self, name: str = "forever") -> subprocess.Popen[bytes]:
        return self.start(name, ["manage.py", "webhooks_deliver", "--forever"])

    def emit(self, count: int, name: str = "emit") -> None:
        """Send real events from a process of their own, and wait until it has ended."""
        process = self.start_emitting(count, name)
        assert process.wait(timeout=120) == 0, self.log(name)

    def start_emitting(self, count: int, name: str = "emit") -> subprocess.Popen[bytes]:
        return self.start(name, ["-m", "tests.services.emit", str(count)])

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
            if process.stdin is not None:
                process.stdin.close()


def say(text: str) -> None:
    """Print a line of figures, for whoever reads the log of a run (``pytest -s``, or ``-rP``)."""
    sys.stdout.write(f"\n    {text}\n")


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the ids of the processes that a process has started and that live."""
    try:
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(pid) for pid in listed.split()]
