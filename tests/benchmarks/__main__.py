"""``make bench``: measure everything in one run, print the table, and write docs/references/benchmarks.rst."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from tests.benchmarks import host
from tests.benchmarks.peers.driver import python_of
from tests.benchmarks.receiver import Receiver
from tests.benchmarks.rounds import ROUNDS, Line

PARTS = ("request", "enrolling", "throughput", "isolation", "growth", "curves", "more")
WITH_PEERS = {"request": "published", "throughput": "django-webhook", "more": "published"}
"""Part -> the peer that it is measured beside."""


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts, write no page")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--deliveries", type=int, default=12_000, help="in a round of the throughput")
    parser.add_argument("--finished", type=int, default=1_000_000, help="deliveries in the full log")
    parser.add_argument("--passed", type=int, default=100_000, help="deliveries that pass beside a snapshot")
    parser.add_argument("--emitted", type=int, default=10_000, help="events in one transaction")
    return parser.parse_args(arguments)


def _measure(options: argparse.Namespace, receiver: Receiver) -> list[Line]:
    from tests.benchmarks import enrolling, growth, in_request, isolation, report, throughput

    parts: dict[str, Callable[[], list[Line]]] = {
        "request": lambda: in_request.run(receiver, options.rounds),
        "enrolling": lambda: enrolling.run(receiver, options.rounds),
        "throughput": lambda: throughput.run(receiver, options.rounds, options.deliveries),
        "isolation": lambda: isolation.run(receiver, options.rounds),
        "growth": lambda: growth.run(options.rounds, options.finished, options.passed, options.emitted),
    }
    lines: list[Line] = []
    for name in [part for part in parts if part in options.only]:
        say(f"... {name}")
        measured = parts[name]()
        say(report.table(measured))
        lines += measured
    return lines


def _beside() -> dict[str, str]:
    """Return what the other benchmarks of this folder print."""
    commands = {
        "Reading and writing one event": ["-m", "tests.benchmarks.bench_payloads"],
        "The concurrent client alone": ["-m", "tests.benchmarks.bench_egress"],
        "Webfilters": ["tests/benchmarks/bench_webfilters.py", python_of("published")],
    }
    printed = {}
    for name, command in commands.items():
        say(f"... {name.lower()}")
        run = subprocess.run(
            [sys.executable, *command],
            cwd=host.ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith(("WEBHOOKS_", "DJANGO_", "PYTHONPATH"))},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if run.returncode:
            say(run.stderr)
        printed[name] = run.stdout if run.returncode == 0 else "(failed)"
    return printed


def _database_version() -> dict[str, str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        return {"MariaDB": str(cursor.fetchone()[0]).split("-")[0]}


def say(text: str) -> None:
    """Print at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do it; end with 1 where a required ratio is missed."""
    options = _options()
    if missing := host.missing_services():
        raise SystemExit(f"The benchmarks need MariaDB and Redis on loopback; not listening: {', '.join(missing)}.")
    try:
        for part, peer in WITH_PEERS.items():
            if part in options.only:
                python_of(peer)
    except LookupError as error:
        raise SystemExit(str(error)) from error
    host.enter()
    from tests.benchmarks import curves, report

    with Receiver() as receiver:
        lines = _measure(options, receiver)
    drawn = curves.run(options.passed) if "curves" in options.only else []
    more = _beside() if "more" in options.only else {}
    versions = _database_version()
    host.drop(host.DATABASE)
    say(report.table(lines))
    for name, text in more.items():
        say(f"\n{name}\n{text}")
    if set(options.only) == set(PARTS):
        report.write(lines, drawn, more, rounds=options.rounds, versions=versions)
        say(f"Written: {report.PAGE.relative_to(host.ROOT)}")
    raise SystemExit(any(line.verdict == "MISSED" for line in lines))


if __name__ == "__main__":
    main()
