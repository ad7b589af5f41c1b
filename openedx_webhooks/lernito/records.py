"""The record of accepted orders: kept in the order's own transaction, found and forgotten by address."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.crypto import salted_hmac

from openedx_webhooks.lernito.authentication import Scheme
from openedx_webhooks.models import LernitoOrder

_SALT = "openedx_webhooks.lernito.email"


def email_hmac(email: str) -> str:
    """Return the hex HMAC-SHA256 of an email address, in lower case, under a key made from ``SECRET_KEY``."""
    return salted_hmac(_SALT, email.strip().lower(), algorithm="sha256").hexdigest()


def keep(email: str, *, source: str, scheme: Scheme, message: str, results: Iterable[tuple[str, str]]) -> None:
    """Write one accepted order down. ``results`` are pairs of course id and result."""
    LernitoOrder.objects.create(
        source=source[:64],
        scheme=scheme.value,
        email_hmac=email_hmac(email),
        message=message,
        results="\n".join(f"{course_id} {result}" for course_id, result in results),
    )


def forget(email: str) -> int:
    """Delete the orders of one email address, for somebody's retirement; return how many."""
    deleted, _ = LernitoOrder.objects.filter(email_hmac=email_hmac(email)).delete()
    return deleted
