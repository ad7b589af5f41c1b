"""Memory of one worker process that drains a large backlog: ``python tests/benchmarks/bench_memory.py [deliveries]``.

Bodies of 20 kB, ten webhooks, MariaDB on loopback. Prints the resident memory of the draining process as the backlog
shrinks. Needs ``WEBHOOKS_TEST_DATABASE=mysql`` and the requirements of the tests with services.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).parents[2]
DATABASE = os.environ.get("WEBHOOKS_BENCH_DATABASE", "bench_webhooks_memory")
WEBHOOKS, SIZE = 10, 20_000
SAMPLES = 10


async def _serve(pipe: Connection) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


def _receive(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


def _enter() -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
        "WEBHOOKS_TEST_DATABASE": "mysql",
        "WEBHOOKS_DATABASE_NAME": DATABASE,
        "WEBHOOKS_SITE_SETTINGS": '{"OPENEDX_WEBHOOKS_DISPATCH": "none"}',
    }
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "lms")]
    import django

    django.setup()


def _recreate(statements: list[str]) -> None:
    import MySQLdb

    server = MySQLdb.connect(host="127.0.0.1", user="root")
    for statement in statements:
        server.cursor().execute(statement)
    server.close()


def _fill(port: int, deliveries: int) -> None:
    """Write as many deliveries, due for an hour, of a tenth as many events."""
    from django.core.management import call_command
    from django.db import connection

    from openedx_webhooks.models import Webhook

    call_command("migrate", verbosity=0)
    url = f"http://127.0.0.1:{port}/"
    ids = [Webhook.objects.create(event="*", webhook_url=url).pk for _ in range(WEBHOOKS)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO openedx_webhooks_event (message_id, name, event_type, created, course_keys, body, to_fan_out)"
            " SELECT CONCAT('m', seq), 'X', 'x', UTC_TIMESTAMP(6) - INTERVAL 1 HOUR, '',"
            f" CONCAT('{{\"n\": ', seq, ', \"x\": \"', REPEAT('x', {SIZE - 30}), '\"}}'), 0"
            f" FROM seq_1_to_{deliveries // WEBHOOKS}"
        )
        cursor.execute(
            "INSERT INTO openedx_webhooks_delivery (event_id, webhook_id, encoding, size, status, due_at, attempts,"
            f" created, last_error, reason) SELECT e.id, w.id, 'default', {SIZE}, 'pending', e.created, 0, e.created,"
            " '', '' FROM openedx_webhooks_event e JOIN openedx_webhooks_webhook w"
            f" WHERE w.id IN ({', '.join(map(str, ids))})"
        )


def _resident() -> float:
    """Return the resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _sample(stop: threading.Event, samples: list[float]) -> None:
    while not stop.wait(1):
        samples.append(_resident())


def main(deliveries: int) -> None:
    pipe, child = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=_receive, args=(child,), daemon=True).start()
    _recreate([f"DROP DATABASE IF EXISTS {DATABASE}", f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4"])
    _enter()
    _fill(pipe.recv(), deliveries)
    from openedx_webhooks.deliveries import engine

    samples: list[float] = []
    stop = threading.Event()
    before, begun = _resident(), time.monotonic()
    threading.Thread(target=_sample, args=(stop, samples), daemon=True).start()
    tally = engine.drain(seconds=86400)
    stop.set()
    seconds = time.monotonic() - begun
    assert tally is not None, "another drain holds the slot"
    sys.stdout.write(f"{tally.delivered} deliveries of {SIZE} bytes in {seconds:.0f} s: {before:.0f} MiB before\n")
    for number in range(SAMPLES):
        part = samples[number * len(samples) // SAMPLES : (number + 1) * len(samples) // SAMPLES]
        sys.stdout.write(f"  {10 * number:3d} to {10 * number + 10:3d} %: at most {max(part, default=0):.0f} MiB\n")
    _recreate([f"DROP DATABASE {DATABASE}"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
