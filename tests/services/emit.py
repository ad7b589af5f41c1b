"""A process that emits: ``python -m tests.services.emit <count>``, each event in a transaction of its own.

It says, as a JSON list on one line, how many seconds each took.
"""

from __future__ import annotations

import json
import sys
import time

import django


def main(count: int) -> None:
    from django.db import transaction

    from openedx_webhooks import wakeup
    from tests.deliveries.events import log_in

    seconds = []
    for number in range(count):
        began = time.monotonic()
        with transaction.atomic():
            log_in(number)
        seconds.append(round(time.monotonic() - began, 3))
    # A web process lives on; this one leaves its thread the time to publish.
    deadline = time.monotonic() + 5
    while wakeup.pending() and time.monotonic() < deadline:
        time.sleep(0.01)
    sys.stdout.write(f"{json.dumps(seconds)}\n")


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]))
