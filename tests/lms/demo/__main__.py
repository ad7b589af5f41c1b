"""``python -m tests.lms.demo``: serve the demo, or with ``ONCE=1`` do one pass through it and exit 0 or 1.

``PORT`` chooses the port (8000, with ``ONCE=1`` a free one), ``DEMO_DIRECTORY`` the folder of the database (``.demo``).
"""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lms.demo.site import Demo

REPOSITORY = Path(__file__).parents[3]


def main() -> int:
    """Return the exit code."""
    sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "lms")]
    # What follows imports Django's models, which need the path and the settings.
    from tests.lms.demo import site

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    directory = Path(os.environ.get("DEMO_DIRECTORY") or REPOSITORY / ".demo")
    once = os.environ.get("ONCE", "") not in ("", "0")
    try:
        with site.running(once=once, port=os.environ.get("PORT", ""), directory=directory) as demo:
            return _once(demo.url) if once else _serve(demo)
    except site.DemoError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("\nStopped.")  # noqa: T201
        return 0


def _once(url: str) -> int:
    from tests.lms.demo import once

    for line in once.run(url):
        print(line, flush=True)  # noqa: T201
    return 0


def _serve(demo: "Demo") -> int:
    print(demo.welcome(), flush=True)  # noqa: T201
    demo.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
