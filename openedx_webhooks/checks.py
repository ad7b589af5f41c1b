"""Django system checks; all Warnings, because an Error would stop ``migrate``.

None of them asks the database: rows whose address is refused are marked in the admin's list.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Warning, register  # noqa: A004
from django.db import connections, router

from openedx_webhooks import app_settings
from openedx_webhooks.egress.policy import AllowedNetworks
from openedx_webhooks.exceptions import SettingError
from openedx_webhooks.models import Delivery
from openedx_webhooks.models.clock import SUPPORTED

W001_SETTING = "openedx_webhooks.W001"
W002_NETWORK = "openedx_webhooks.W002"
W003_DATABASE = "openedx_webhooks.W003"


@register
def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """Warn of every value of ``OPENEDX_WEBHOOKS_*`` that cannot be used, and say what is used in its place."""
    return [*_unusable_settings(), *_unreadable_networks()]


@register
def check_database(**_kwargs: Any) -> list[CheckMessage]:
    """Warn where the outbox lies in a database whose clock and locks this package does not know."""
    alias = router.db_for_write(Delivery)
    vendor = connections[alias].vendor
    if vendor in SUPPORTED:
        return []
    return [
        Warning(
            f"The database {alias!r} is {vendor}; openedx_webhooks delivers from MySQL, MariaDB and SQLite.",
            hint="Route the app openedx_webhooks to a database of one of these.",
            id=W003_DATABASE,
        )
    ]


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
