"""A process that sends three wake-ups, one after the other: ``python -m tests.services.burst <seconds>``.

Those that are brief last for so many seconds.
"""

from __future__ import annotations

import sys
import time

import django

EVENTS = 3


def main(seconds: float) -> None:
    from openedx_webhooks import wakeup
    from tests.deliveries.events import log_in

    wakeup.BRIEF = seconds
    for number in range(EVENTS):
        log_in(number)
        while wakeup.pending():
            time.sleep(0.01)


if __name__ == "__main__":
    django.setup()
    main(float(sys.argv[1]))
