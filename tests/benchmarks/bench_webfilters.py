"""What a webfilter costs a learner's request, in ratio to the published openedx-webhooks 22.0.0.

    python3.12 -m venv published
    published/bin/pip install -r requirements/peers-published.txt
    python tests/benchmarks/bench_webfilters.py published/bin/python [rounds]

Both packages run the same script in processes of their own, in alternating rounds, against one receiver in a
third process, in the stand-in LMS: ``CourseEnrollmentStarted.run_filter`` with no webfilter, one that answers at
once, five that take 100 ms each, and one that drips its answer over 20 s. Without a first argument, ours alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ANSWER = b'{"data": {}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
IDLE_RUNS, ASKING_RUNS, SLOW_RUNS = 2000, 60, 5


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection, by its path: /fast, /slow (100 ms), /drip (a byte a second and a bit)."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(length)
            if b" /slow" in head:
                await asyncio.sleep(0.1)
            if b" /drip" in head:
                await _drip(writer)
            else:
                writer.write(HEAD + ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    for byte in ANSWER:
        await asyncio.sleep(20 / len(ANSWER))
        if writer.is_closing():
            return
        writer.write(bytes([byte]))


async def _serve() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def _measure(port: int) -> dict[str, float]:
    """Be one of the two packages: set up a site of its own, and return seconds per run of the filter."""
    import logging

    import django
    from django.core.management import call_command

    django.setup()
    logging.disable(logging.CRITICAL)
    call_command("migrate", verbosity=0)
    from common.djangoapps.student.models import UserProfile
    from django.contrib.auth.models import User
    from opaque_keys.edx.keys import CourseKey
    from openedx_filters.learning.filters import CourseEnrollmentStarted

    from openedx_webhooks.models import Webfilter

    user = User.objects.create(username="learner", email="learner@example.com")
    UserProfile.objects.create(user=user, name="A Learner")
    key = CourseKey.from_string("course-v1:edX+DemoX+2026")

    def run() -> None:
        CourseEnrollmentStarted.run_filter(user=user, course_key=key, mode="audit")

    def ask(path: str, count: int, runs: int) -> float:
        Webfilter.objects.all().delete()
        for _ in range(count):
            Webfilter(event="CourseEnrollmentStarted", webhook_url=f"http://127.0.0.1:{port}{path}").save()
        run() if path != "/drip" else None
        return _median(run, runs)

    return {
        "idle": _mean(run, IDLE_RUNS),
        "one that answers at once": ask("/fast", 1, ASKING_RUNS),
        "five at 100 ms": ask("/slow", 5, SLOW_RUNS),
        "one that drips for 20 s": ask("/drip", 1, 1),
    }


def _mean(run: Callable[[], None], runs: int) -> float:
    run()
    began = time.perf_counter()
    for _ in range(runs):
        run()
    return (time.perf_counter() - began) / runs


def _median(run: Callable[[], None], runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _round(python: str, port: int, *, ours: bool) -> dict[str, float]:
    """Run the script in a process; the other package must not find ours on its path."""
    with tempfile.TemporaryDirectory() as directory:
        site = Path(directory)
        (site / "tests").symlink_to(REPOSITORY / "tests")
        paths = [str(site), str(REPOSITORY / "tests" / "lms"), *([str(REPOSITORY)] if ours else [])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DJANGO_SETTINGS_MODULE": "tests.lms.settings",
            "WEBHOOKS_SQLITE": str(site / "db.sqlite3"),
        }
        command = [python, str(Path(__file__).resolve()), "--measure", str(port)]
        done = subprocess.run(command, cwd=site, env=environment, stdout=subprocess.PIPE, check=True)
        return dict(json.loads(done.stdout.splitlines()[-1]))


def _report(ours: list[dict[str, float]], others: list[dict[str, float]]) -> None:
    """Print medians. A ratio is the median of the rounds' own ratios: what slows the machine slows both of a round."""
    for name in ours[0]:
        own = statistics.median(one[name] for one in ours)
        line = f"{name:28} {own * 1000:10.3f} ms"
        if others:
            other = statistics.median(one[name] for one in others)
            ratio = statistics.median(mine[name] / theirs[name] for mine, theirs in zip(ours, others, strict=True))
            line += f"   published {other * 1000:10.3f} ms   ratio {ratio:6.2f}"
        sys.stdout.write(line + "\n")


def main(arguments: list[str]) -> None:
    """Run the rounds and print medians."""
    other, rounds = (arguments[0] if arguments else ""), int(arguments[1]) if len(arguments) > 1 else 3
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE)
    results: dict[bool, list[dict[str, float]]] = {True: [], False: []}
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        for _ in range(rounds):
            results[True].append(_round(sys.executable, port, ours=True))
            if other:
                results[False].append(_round(other, port, ours=False))
    finally:
        server.kill()
    _report(results[True], results[False])


def _entry(arguments: list[str]) -> Any:
    if arguments[:1] == ["--serve"]:
        return asyncio.run(_serve())
    if arguments[:1] == ["--measure"]:
        return sys.stdout.write(json.dumps(_measure(int(arguments[1]))) + "\n")
    return main(arguments)


if __name__ == "__main__":
    _entry(sys.argv[1:])
