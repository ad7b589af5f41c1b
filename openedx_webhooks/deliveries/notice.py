"""Tell the site's administrators by e-mail which webhooks were paused or switched off, why, and what mends it.

Sent once per drain, when its slot is free again and nothing is under way: a mail server that hangs delays nobody,
and a hundred receivers that die together make one e-mail.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core import mail
from django.db.backends.base.base import BaseDatabaseWrapper

from openedx_webhooks import app_settings
from openedx_webhooks.deliveries.sql import again
from openedx_webhooks.models import Webhook

log = logging.getLogger(__name__)

PATIENCE = 10
"""Seconds for each step of talking to the mail server."""


def send(connection: BaseDatabaseWrapper, paused: Mapping[int, str]) -> None:
    """E-mail ``ADMINS`` about webhooks, by id and with the reason. Never raises: a failure is logged.

    Sends nothing where ``OPENEDX_WEBHOOKS_NOTIFY_ADMINS`` is off, or nobody is named.
    """
    if not paused or not app_settings.NOTIFY_ADMINS():
        return
    try:
        rows = Webhook.objects.using(connection.alias).filter(pk__in=list(paused)).order_by("pk")
        webhooks = again(lambda: list(rows.all()), connection=connection)
        mail.mail_admins(_subject(webhooks), _text(webhooks, paused), connection=_mail_connection())
    except Exception as error:  # noqa: BLE001  whatever a site's mail backend raises
        log.warning("openedx_webhooks: the administrators were not told: %s", type(error).__name__)


def _mail_connection() -> Any:
    """Return a connection that waits for the server only so long; a backend that knows no timeout gets none."""
    try:
        return mail.get_connection(timeout=PATIENCE)
    except TypeError:
        return mail.get_connection()


def _subject(webhooks: list[Webhook]) -> str:
    if len(webhooks) == 1:
        return f"Webhook {webhooks[0].pk} to {_host(webhooks[0])} delivers nothing any more"
    return f"{len(webhooks)} webhooks deliver nothing any more"


def _text(webhooks: list[Webhook], paused: Mapping[int, str]) -> str:
    blocks = [f"Webhook {w.pk}: {w.event} to {_host(w)}\n{paused[w.pk]}\n{_mend(w)}" for w in webhooks]
    return "\n\n".join(["These webhooks deliver nothing until somebody acts.", *blocks]) + "\n"


def _mend(webhook: Webhook) -> str:
    if webhook.enabled:
        return (
            "Its events go on being recorded and wait. Once the receiver answers again, resume the webhook in the"
            f" Django admin; what has waited for {app_settings.RETENTION_DAYS()} days by then expires."
        )
    return (
        "No events are recorded for it. If the receiver is to have them again, enable the webhook in the Django admin."
    )


def _host(webhook: Webhook) -> str:
    # Not the whole URL: its path and query are secrets more often than not.
    try:
        return urlsplit(webhook.webhook_url).hostname or "(no host)"
    except ValueError:
        return "(no host)"
