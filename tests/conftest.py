"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import hypothesis
import pytest
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model
from openedx_events.learning.data import UserData
from openedx_events.tooling import OpenEdxPublicSignal

from openedx_webhooks import subscriptions, wakeup
from openedx_webhooks.testing import Receiver

# A slow machine is no reason to fail; pytest-timeout ends what hangs.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

SERVICES = {"MariaDB": 3306, "Redis": 6379, "RabbitMQ": 5672}
"""What the tests marked ``services`` need on loopback."""


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_test() -> Iterator[None]:
    """The thread that renews the configuration reads the database; it must not read the next test's."""
    subscriptions.stop()
    yield
    subscriptions.stop()
    wakeup.stop()


@pytest.fixture(autouse=True)
def _nobody_drains_unasked(settings: Any) -> None:
    """A test that wants deliveries drains; one about wake-ups says who is to be woken."""
    settings.OPENEDX_WEBHOOKS_DISPATCH = "none"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as live:
        yield live


@pytest.fixture
def make_signal() -> Iterator[Callable[..., OpenEdxPublicSignal]]:
    """Register signals as a package outside openedx-events would, and take them away again."""
    instances, mapping = OpenEdxPublicSignal.instances[:], dict(OpenEdxPublicSignal._mapping)
    modules: list[str] = []

    def make(event_type: str, name: str | None, module: str = "acme_plugin.signals") -> OpenEdxPublicSignal:
        signal = OpenEdxPublicSignal(event_type=event_type, data={"user": UserData})
        if name:
            holder = sys.modules.setdefault(module, ModuleType(module))
            setattr(holder, name, signal)
            modules.append(module)
        return signal

    yield make
    for module in modules:
        sys.modules.pop(module, None)
    OpenEdxPublicSignal.instances[:] = instances
    OpenEdxPublicSignal._mapping.clear()
    OpenEdxPublicSignal._mapping.update(mapping)


@pytest.fixture
def outbox_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Route our tables over a second connection, as if they were in another database; return its alias."""
    alias = "outbox"

    class Router:
        def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
            return alias if model._meta.app_label == "openedx_webhooks" else None

        db_for_read = db_for_write

    monkeypatch.setattr(router, "routers", [Router()])
    monkeypatch.setitem(connections.databases, alias, connections[DEFAULT_DB_ALIAS].settings_dict)
    yield alias
    connections[alias].close()
    del connections[alias]


def missing_services() -> list[str]:
    """Return the names of the services that do not listen."""
    return [name for name, port in SERVICES.items() if not _listens(port)]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests that need services where they are missing; in CI they run, and fail, all the same."""
    marked = [item for item in items if item.get_closest_marker("services")]
    if not marked or os.environ.get("WEBHOOKS_REQUIRE_SERVICES"):
        return
    if missing := missing_services():
        skip = pytest.mark.skip(reason=f"not listening on loopback: {', '.join(missing)}")
        for item in marked:
            item.add_marker(skip)
