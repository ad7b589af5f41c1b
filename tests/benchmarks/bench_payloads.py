"""What reading and writing one event costs, as a ratio to the plainest way: ``json.dumps(attr.asdict(...))``.

Run: ``python -m tests.benchmarks.bench_payloads``. Each number is the best of several rounds that alternate, so
that a busy machine slows both sides alike.
"""

from __future__ import annotations

import json
import sys
import timeit
from collections.abc import Callable

import attr
from django.conf import settings

NUMBER = 2000
ROUNDS = 9


def best(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return microseconds per call of each candidate."""
    timers = {name: timeit.Timer(call) for name, call in candidates.items()}
    times = dict.fromkeys(candidates, float("inf"))
    for _ in range(ROUNDS):
        for name, timer in timers.items():
            times[name] = min(times[name], timer.timeit(NUMBER) / NUMBER * 1e6)
    return times


def main() -> None:
    """Print the cost of one COURSE_ENROLLMENT_CREATED, and of looking up what 10,000 webhooks ask for."""
    settings.configure(USE_TZ=True)
    from openedx_webhooks.catalog import events
    from openedx_webhooks.data import Encoding
    from openedx_webhooks.payloads.events import serialize
    from openedx_webhooks.payloads.formats import render
    from tests.payloads.golden_events import EVENTS, metadata

    name = "COURSE_ENROLLMENT_CREATED"
    event_type, factory = EVENTS[name]
    arguments, described = factory(), metadata(event_type)
    payload = serialize(name, event_type, arguments, described)
    plain = {**arguments, "event_metadata": described}
    candidates: dict[str, Callable[[], object]] = {
        "plain": lambda: json.dumps({key: attr.asdict(value) for key, value in plain.items()}, default=str),
        "serialize": lambda: serialize(name, event_type, arguments, described),
    }
    for encoding in Encoding:
        candidates[f"render {encoding}"] = lambda encoding=encoding: render(payload, encoding, max_body=262_144)
    times = best(candidates)
    for label, micros in times.items():
        sys.stdout.write(f"{label:22} {micros:7.1f} us\n")
    whole = times["serialize"] + times["render default"]
    sys.stdout.write(f"serialize + render default = {whole / times['plain']:.2f} x plain\n")

    events.all_events()
    patterns = [f"COURSE_ENROLLMENT_*[!{n}]" for n in range(10_000)]
    took = timeit.timeit(lambda: [events.find(pattern) for pattern in patterns], number=1)
    again = timeit.timeit(lambda: [events.find(pattern) for pattern in patterns], number=1)
    sys.stdout.write(f"10,000 distinct globs: {took * 1e3:.0f} ms, again {again * 1e3:.1f} ms\n")


if __name__ == "__main__":
    main()
