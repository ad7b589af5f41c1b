"""What a reply may change of the learner's account: allowed fields of the user and the profile, and no others.

Before a login the password is not checked yet, so what is wanted then is kept for the request, and saved when
Django says that the user has logged in.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models, router, transaction
from edx_django_utils.cache import RequestCache

from openedx_webhooks import app_settings, subscriptions
from openedx_webhooks.catalog.contracts import Account
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.models import incident
from openedx_webhooks.payloads.filters import PROFILE_FIELDS, profile_of
from openedx_webhooks.webfilters import record, texts
from openedx_webhooks.webfilters.objects import OPENED_BY_NAME
from openedx_webhooks.webfilters.replies import kind
from openedx_webhooks.webfilters.spots import Spot

PEOPLE = ("user", "profile")
"""The keys of ``data`` that speak of the learner."""

LOGIN = "org.openedx.learning.student.login.requested.v1"
KEPT = 60.0
"""Seconds from the filter to the login; an older attempt is void, also where no middleware clears the cache."""

_USER_WRITABLE = frozenset({"first_name", "last_name"})
_PROFILE_WRITABLE = frozenset(PROFILE_FIELDS) - {"id", "user_id", "profile_image_uploaded_at"}
_PROBLEMS = {
    "invalid_choice": "It is none of this field's choices.",
    "max_length": "It is longer than this field takes.",
    "blank": "It may not be empty.",
}
"""By the code of Django's error, whose own text may quote the value."""
_DEFERRED = RequestCache("openedx_webhooks.webfilters.login")

Fields = Mapping[str, Mapping[str, Any]]
"""New values by key of ``PEOPLE`` and name of a field, cleaned by the field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What is to be written to one learner's account."""

    user: models.Model
    fields: Fields = field(default_factory=dict)


def planned(spot: Spot, user: models.Model | None, wanted: Mapping[str, Any]) -> Update | None:
    """Check what a reply wants of the learner, and return the new values; None where nothing changes.

    ``wanted`` holds ``user``, ``profile`` or both; ``spot`` the contract. Raises ReplyError for every field that
    is not allowed, and for values that its column does not take.
    """
    wanted = {key: value for key, value in wanted.items() if value is not None}
    if user is None:
        if wanted:
            raise ReplyError(next(iter(wanted)), "There is no such user.")
        return None
    rows = {"user": user, "profile": profile_of(user)}
    fields = {
        key: _changed_fields(Spot(key, spot.contract, spot.allow_html, spot.changes), rows[key], value)
        for key, value in wanted.items()
    }
    fields = {key: values for key, values in fields.items() if values}
    return Update(user=user, fields=fields) if fields else None


def save(update: Update) -> None:
    """Write the new values, in the caller's transaction, both rows or none.

    Where the database refuses, it raises, and the objects are as they were before.
    """
    rows = [(row, update.fields[key]) for key, row in _rows(update.user).items() if key in update.fields]
    before = [{name: getattr(row, name) for name in values} for row, values in rows]
    try:
        with transaction.atomic(using=router.db_for_write(type(update.user), instance=update.user)):
            for row, values in rows:
                _set(row, values)
                row.save(update_fields=list(values))
    except Exception:
        for (row, _), values in zip(rows, before, strict=True):
            _set(row, values)
        raise


def forget_deferred() -> None:
    """Forget what earlier attempts to log in would have changed; the latest one counts."""
    _DEFERRED.clear()


def defer(update: Update, webfilter_ids: Sequence[int]) -> None:
    """Keep what a login may change, and which webfilters want it, until the login has succeeded."""
    _DEFERRED.set(str(update.user.pk), (time.monotonic(), update.fields, tuple(webfilter_ids)))


def apply_deferred(user: Any = None, **_signal: Any) -> None:
    """Write what a webfilter wanted for the user who has just logged in. Receives ``user_logged_in``.

    Never raises: Django sends it unrobustly. The login's event, sent next, already has the new name.
    """
    try:
        kept = _DEFERRED.get_cached_response(str(user.pk))
        began, fields, webfilter_ids = kept.value if kept.is_found else (0.0, {}, ())
        _DEFERRED.delete(str(user.pk))
        if fields and time.monotonic() - began < KEPT and subscriptions.webfilters(LOGIN):
            save(Update(user=user, fields=fields))
            record.saved(webfilter_ids)
    except Exception as error:  # noqa: BLE001  a login goes on whatever we do
        incident.note("webfilter", f"A change at login could not be saved: {type(error).__name__}.")


def _rows(user: models.Model) -> dict[str, models.Model]:
    profile = profile_of(user)
    return {"user": user, **({"profile": profile} if profile is not None else {})}


def _set(row: models.Model, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, value)


def _changed_fields(spot: Spot, row: models.Model | None, wanted: Any) -> dict[str, Any]:
    if not isinstance(wanted, dict):
        raise spot.refused(f"It is {kind(wanted)}; an object is expected.")
    if row is None:
        raise spot.refused("There is none.")
    new = {}
    for name, value in wanted.items():
        at = spot.below(name)
        _check_writable(at, spot.path, name)
        new[name] = _cleaned(at, row, name, value)
        at.changed(row.__dict__.get(name), value)
    return new


def _check_writable(spot: Spot, key: str, name: str) -> None:
    opened = app_settings.WRITABLE_FIELDS() & OPENED_BY_NAME
    allowed = _PROFILE_WRITABLE if key == "profile" else _USER_WRITABLE | opened
    if name not in allowed:
        raise spot.refused("A webfilter may not change it.")
    if spot.contract.account == Account.NEVER:
        raise spot.refused("At this filter a webfilter may not change the account.")


def _cleaned(spot: Spot, row: models.Model, name: str, value: Any) -> Any:
    """Return the value as the column takes it; strict where Django would convert."""
    try:
        column = type(row)._meta.get_field(name)
    except FieldDoesNotExist:
        raise spot.refused("There is no such field.") from None
    if not isinstance(column, models.Field):
        raise spot.refused("A webfilter may not change it.")
    _check_kind(spot, column, value)
    if isinstance(value, str) and (reason := texts.problem(name, value, allow_html=spot.allow_html)):
        raise spot.refused(reason)
    try:
        cleaned = column.clean(value, copy.copy(row))
    except ValidationError as error:
        raise spot.refused(_PROBLEMS.get(str(error.error_list[0].code), "This field does not take it.")) from None
    if name in OPENED_BY_NAME and not cleaned.strip():
        raise spot.refused("It may not be empty.")
    if name in OPENED_BY_NAME and _is_taken(row, name, value):
        raise spot.refused("Another account has it.")
    return cleaned


def _is_taken(row: models.Model, name: str, value: str) -> bool:
    others = type(row)._default_manager.exclude(pk=row.pk)  # noqa: SLF001  Django's documented API
    return bool(others.filter(**{f"{name}__iexact": value}).exists())


def _check_kind(spot: Spot, column: models.Field[Any, Any], value: Any) -> None:
    if value is None and column.null:
        return
    kinds: tuple[tuple[type, type | tuple[type, ...]], ...] = (
        (models.BooleanField, bool),
        (models.IntegerField, int),
        (models.FloatField, (int, float)),
    )
    expected = next((types for family, types in kinds if isinstance(column, family)), str)
    is_number_as_boolean = isinstance(value, bool) and expected is not bool
    if not isinstance(value, expected) or is_number_as_boolean or isinstance(value, date):
        raise spot.refused(f"It is {kind(value)}, which this field does not take.")
