"""The engine."""


def run_embedded() -> None:
    """Drain in a thread."""
