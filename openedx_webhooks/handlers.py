"""What this package hears from the platform: every event, a login, and an account's retirement.

The receiver of events returns None, never raises, and never talks to the outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.signals import user_logged_in
from openedx_events.tooling import OpenEdxPublicSignal

from openedx_webhooks import app_settings, edx_platform, subscriptions
from openedx_webhooks.catalog import events as catalog
from openedx_webhooks.catalog.events import EventEntry
from openedx_webhooks.deliveries import outbox
from openedx_webhooks.lernito import records as lernito_records
from openedx_webhooks.models import FilterCall, LernitoOrder, incident, tables
from openedx_webhooks.webfilters import record as webfilter_records
from openedx_webhooks.webfilters.accounts import apply_deferred


def connect() -> None:
    """Connect what hears events, logins and retirements, watch the configuration, and guard enrollments of orders."""
    catalog.register(hear)
    subscriptions.connect()
    edx_platform.connect()
    user_logged_in.connect(apply_deferred, weak=False, dispatch_uid="openedx_webhooks.webfilters.login")
    if (retirement := edx_platform.retirement_signal()) is not None:
        retirement.connect(retire, weak=False, dispatch_uid="openedx_webhooks.handlers.retire")


def hear(entries: Iterable[EventEntry]) -> None:
    """Connect the receiver to these events; to those that it is connected to already, once all the same.

    Called at every discovery, because a module that is imported late may register signals of its own. Reading the
    configuration looks for them, so they are heard within ``CONFIG_TTL``.
    """
    for entry in entries:
        entry.signal.connect(receive, weak=False, dispatch_uid="openedx_webhooks.handlers.receive")


def receive(
    signal: OpenEdxPublicSignal, *, metadata: Any = None, from_event_bus: bool = False, **arguments: Any
) -> None:
    """Write an event into the outbox for the webhooks that want it.

    Nothing leaves this function: what ``send_event`` is given back it logs, and under DEBUG an exception of a
    receiver breaks the learner's request.
    """
    try:
        matching = subscriptions.webhooks(signal.event_type)
        if not matching or (from_event_bus and not app_settings.FROM_EVENT_BUS()):
            return
        arguments.pop("sender", None)
        outbox.record(signal.event_type, arguments, metadata, matching)
    except Exception as error:  # noqa: BLE001  the platform goes on whatever we do
        incident.note("outbox", f"{signal.event_type} was not recorded: {type(error).__name__}: {_safe(error)}")


def retire(user: Any, **_signal: Any) -> None:
    """Forget what is kept by account: webfilter calls and Lernito orders. Events go with ``RETENTION_DAYS``.

    Before the migration there is nothing to forget. Raises what else the database raises: a retirement that did
    not happen must be tried again.
    """
    if tables.has_table(FilterCall):
        webfilter_records.forget(user.pk)
    if tables.has_table(LernitoOrder):
        lernito_records.forget(edx_platform.retired_email(user), user.pk)


def _safe(error: Exception) -> str:
    """Return an error's number and not its text: a database error may quote the row, and so the learner."""
    return str(error.args[0]) if error.args and isinstance(error.args[0], int) else ""
