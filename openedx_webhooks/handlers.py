"""The one receiver of every event."""


def connect() -> None:
    """Connect the receiver to every discovered event."""
