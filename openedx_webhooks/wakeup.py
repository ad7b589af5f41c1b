"""The nudge that tells a worker to look at the outbox."""
from collections.abc import Callable


def register_runner(run: Callable[..., object]) -> None:
    """Name what an embedded thread runs."""
