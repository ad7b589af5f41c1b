"""Fixtures that every room's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openedx_webhooks import subscriptions
from openedx_webhooks.testing import Receiver


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    """The thread that renews the configuration reads the database; it must not read the next test's."""
    subscriptions.stop()
    yield
    subscriptions.stop()


@pytest.fixture()
def receiver() -> Iterator[Receiver]:
    with Receiver() as live:
        yield live
