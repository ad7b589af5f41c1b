"""The record of accepted orders: kept in the order's own transaction, found and forgotten by address."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q
from django.utils.crypto import salted_hmac

from openedx_webhooks import app_settings
from openedx_webhooks.lernito.authentication import Scheme
from openedx_webhooks.models import LernitoOrder

_SALT = "openedx_webhooks.lernito.email"


def email_hmac(email: str, key: str | bytes | None = None) -> str:
    """Return the hex HMAC-SHA256 of an email address, in lower case, under a key made from the site's.

    ``key`` is another ``SECRET_KEY`` than the present one.
    """
    return salted_hmac(_SALT, email.strip().lower(), secret=key, algorithm="sha256").hexdigest()


def email_hmacs(email: str) -> list[str]:
    """Return the HMACs under which orders of an email address may be kept: while ``SECRET_KEY`` rotates, several."""
    return [email_hmac(email, key) for key in app_settings.secret_keys()]


def keep(
    email: str, *, user_id: int | None, source: str, scheme: Scheme, message: str, results: Iterable[tuple[str, str]]
) -> None:
    """Write one accepted order down. ``results`` are pairs of course id and result."""
    LernitoOrder.objects.create(
        source=source[:64],
        scheme=scheme.value,
        email_hmac=email_hmac(email),
        user_id=user_id,
        message=message,
        results="\n".join(f"{course_id} {result}" for course_id, result in results),
    )


def forget(email: str, user_id: int) -> int:
    """Delete the orders of one account, for its retirement; return how many.

    By its id, too: its address may have been another when they came. Those for a former address that came before
    the account did are found by neither, and go with their age.
    """
    conditions = (Q(email_hmac__in=email_hmacs(email)), Q(user_id=user_id))
    return sum(LernitoOrder.objects.filter(condition).delete()[0] for condition in conditions)
