"""One worker process: drains the outbox as the Celery task does, or posts the same bytes by a bare aiohttp loop."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from tests.benchmarks import host

AT_ONCE = 32
"""Requests that the bare loop has under way."""
PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a run took."""

    deliveries: int
    seconds: float
    cpu: float
    """Seconds of this process alone."""

    @property
    def rate(self) -> float:
        """Deliveries per second."""
        return self.deliveries / self.seconds

    @property
    def cpu_each(self) -> float:
        """CPU seconds per delivery."""
        return self.cpu / self.deliveries


def _be_the_worker(pipe: Connection, database: str, settings: dict[str, Any]) -> None:
    host.enter(database, **settings)
    # A Celery worker has imported its tasks before the first one comes.
    import openedx_webhooks.egress.concurrent
    import openedx_webhooks.tasks  # noqa: F401

    commands = {"drain": drain, "bare": bare}
    pipe.send("ready")
    while True:
        name, arguments = pipe.recv()
        pipe.send(_measured(commands[name], arguments))


def _measured(call: Callable[..., int], arguments: list[Any]) -> Work:
    began, cpu = time.perf_counter(), time.process_time()
    deliveries = call(*arguments)
    return Work(deliveries, time.perf_counter() - began, time.process_time() - cpu)


def drain() -> int:
    """Deliver what is due; return how many."""
    from openedx_webhooks.deliveries import engine

    tally = engine.drain(seconds=PATIENCE)
    if tally is None or tally.failed or tally.postponed:
        raise RuntimeError(f"Not everything was delivered: {tally}.")
    return tally.delivered


def bare(posts: list[tuple[str, bytes, str, bytes]]) -> int:
    """Sign and post: (URL, key, message id, body) each."""
    return asyncio.run(_bare(posts))


async def _bare(posts: list[tuple[str, bytes, str, bytes]]) -> int:
    import aiohttp

    from openedx_webhooks import egress, signing

    fixed = {"Content-Type": "application/json", "User-Agent": egress.user_agent()}
    todo = iter(posts)

    async def work(session: aiohttp.ClientSession) -> None:
        for url, key, message_id, body in todo:
            headers = fixed | signing.headers([key], message_id, int(time.time()), body)
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                await response.read()
                if response.status != 200:
                    raise RuntimeError(f"The receiver answered {response.status}.")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(work(session) for _ in range(AT_ONCE)))
    return len(posts)


class Worker:
    """The handle on the process; a context manager."""

    def __init__(self, database: str, **settings: Any) -> None:
        self._arguments = (database, settings)

    def __enter__(self) -> Worker:
        self._pipe, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_be_the_worker, args=(there, *self._arguments), daemon=True)
        self._process.start()
        there.close()
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        """Its process id, for a profiler."""
        return int(self._process.pid or 0)

    def start(self, command: str, *arguments: Any) -> None:
        """Have it begin, without waiting."""
        self._pipe.send((command, list(arguments)))

    def result(self) -> Work:
        """Wait for what was begun."""
        work: Work = self._pipe.recv()
        return work

    def do(self, command: str, *arguments: Any) -> Work:
        """Have it done."""
        self.start(command, *arguments)
        return self.result()
