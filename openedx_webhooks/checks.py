"""Django system checks; all Warnings, because an Error would stop ``migrate``.

None of them asks the database: rows whose address is refused are marked in the admin's list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning, register  # noqa: A004
from django.db import DEFAULT_DB_ALIAS, connections, router

from openedx_webhooks import app_settings
from openedx_webhooks.egress.policy import AllowedNetworks
from openedx_webhooks.exceptions import SettingError
from openedx_webhooks.models import Delivery
from openedx_webhooks.models.clock import SUPPORTED

W001_SETTING = "openedx_webhooks.W001"
W002_NETWORK = "openedx_webhooks.W002"
W003_DATABASE = "openedx_webhooks.W003"
W004_ELSEWHERE = "openedx_webhooks.W004"


@register
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of every value of ``OPENEDX_WEBHOOKS_*`` that cannot be used, and say what is used in its place."""
    return [*_unusable_settings(), *_unreadable_networks()]


@register
def check_database(**_kwargs: Any) -> list[CheckMessage]:
    """Warn where the outbox lies in a database that is not known to us, or not the one in which the platform works."""
    alias = router.db_for_write(Delivery)
    return [*_unknown_database(alias), *_outbox_elsewhere(alias)]


def _unknown_database(alias: str) -> Iterator[CheckMessage]:
    """Warn of a database whose clock and locks this package does not know."""
    vendor = connections[alias].vendor
    if vendor not in SUPPORTED:
        yield Warning(
            f"The database {alias!r} is {vendor}; openedx_webhooks delivers from MySQL, MariaDB and SQLite.",
            hint="Nothing can be recorded or delivered here: Open edX itself is made for MySQL.",
            id=W003_DATABASE,
        )


def _outbox_elsewhere(alias: str) -> Iterator[CheckMessage]:
    """Warn of an outbox that the platform's transactions do not reach."""
    if alias != DEFAULT_DB_ALIAS:
        yield Warning(
            f"The outbox of openedx_webhooks is in the database {alias!r}, and the platform works in"
            f" {DEFAULT_DB_ALIAS!r}: events of work that is rolled back are sent all the same.",
            hint="Take the app openedx_webhooks out of DATABASE_ROUTERS.",
            id=W004_ELSEWHERE,
        )


def _unusable_settings() -> Iterator[CheckMessage]:
    for setting in app_settings.all_settings():
        try:
            setting.parse()
        except SettingError as error:
            hint = f"Mend or remove {setting.name}; until then its default is used: {setting.default!r}."
            yield Warning(str(error), hint=hint, id=W001_SETTING)


def _unreadable_networks() -> Iterator[CheckMessage]:
    for problem in AllowedNetworks.usable(app_settings.ALLOWED_NETWORKS())[1]:
        name = app_settings.ALLOWED_NETWORKS.name
        yield Warning(f"{name}: {problem}", hint=f"Mend this entry of {name}; it opens nothing.", id=W002_NETWORK)
