"""Carry out an order: every course is checked before the first enrollment, and all of it is one transaction.

Two equal orders at the same instant end in one enrollment and two answers of success: orders for the same
person wait on a row of our own table, and what still collides (with the learner's own click, say) is tried
once more as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Any

from django.db import DatabaseError
from edx_django_utils.cache import RequestCache
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import CourseKey

from openedx_webhooks import app_settings, edx_platform
from openedx_webhooks.exceptions import EnrollmentRefused
from openedx_webhooks.lernito import locks, records
from openedx_webhooks.lernito.authentication import Scheme

PATIENCE = 30.0
"""Seconds after which no try and no further course is begun: webfilters take their time over each, and others wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What was asked for, and by whom."""

    email: str
    course_ids: Sequence[str]
    mode: str | None = None
    source: str
    """The network address that it came from."""
    scheme: Scheme


class Result(StrEnum):
    """What became of one course."""

    ENROLLED = "enrolled"
    ALREADY_ENROLLED = "already_enrolled"
    ALLOWED = "allowed"
    ALREADY_ALLOWED = "already_allowed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What was done: the documented sentence, and each course's id and result, in the order's order."""

    user_id: int | None
    """The account that was found; None where there is none yet."""
    message: str
    results: tuple[tuple[str, Result], ...]


def place(order: Order) -> Receipt:
    """Carry out an order, whole or not at all. Raises EnrollmentRefused with the sentence for the client.

    TimeoutError where it took too long: what was not committed by then is undone.
    """
    until = monotonic() + PATIENCE
    keys = _course_keys(order.course_ids)
    receipt = _place_twice(order, keys, until)
    is_new = any(result is Result.ALLOWED for _course_id, result in receipt.results)
    if is_new and edx_platform.find_user(order.email) is not None:
        # The account was made meanwhile, and became active before there was an allowance for it to find.
        receipt = _place_twice(order, keys, until)
    return receipt


def _place_twice(order: Order, keys: Sequence[CourseKey], until: float) -> Receipt:
    """Place an order; once more where the database refused, as after a deadlock or beside the learner's own click."""
    try:
        return _place_once(order, keys, until)
    except DatabaseError:
        # The platform remembers within a request who is enrolled where: as of the transaction that died.
        RequestCache.clear_all_namespaces()
    return _place_once(order, keys, until)


def _place_once(order: Order, keys: Sequence[CourseKey], until: float) -> Receipt:
    with locks.one_at_a_time(order.email, patience=_time_left(until)):
        receipt = _carry_out(order, keys, until)
        records.keep(
            order.email,
            user_id=receipt.user_id,
            source=order.source,
            scheme=order.scheme,
            message=receipt.message,
            results=receipt.results,
        )
    return receipt


def _time_left(until: float) -> float:
    """Return the seconds until then; raise TimeoutError where there are none."""
    left = until - monotonic()
    if left <= 0:
        raise TimeoutError(f"The order took longer than {PATIENCE:g} s.")
    return left


def _carry_out(order: Order, keys: Sequence[CourseKey], until: float) -> Receipt:
    _require_existing(keys)
    user = edx_platform.find_user(order.email)
    if edx_platform.is_retired(order.email, user):
        raise EnrollmentRefused("The account of this email address is retired")
    if order.mode:
        _require_mode(order.mode, keys, has_account=user is not None)
    if user is None:
        results = _each(keys, lambda key: _allow(order, key), until)
        message = f"Enrollment allowance verified for {len(keys)} course(s)"
        return Receipt(user_id=None, message=message, results=results)
    results = _each(keys, lambda key: _enroll(user, order, key), until)
    message = f"User enrollment status verified for {len(keys)} course(s)"
    return Receipt(user_id=user.pk, message=message, results=results)


def _each(
    keys: Sequence[CourseKey], act: Callable[[CourseKey], Result], until: float
) -> tuple[tuple[str, Result], ...]:
    """Act on each course; raise TimeoutError, which undoes the order, before one that would begin too late."""
    results = []
    for key in keys:
        _time_left(until)
        results.append((str(key), act(key)))
    return tuple(results)


def _course_keys(course_ids: Sequence[str]) -> list[CourseKey]:
    """Return the keys, each once, in the order in which they first come."""
    keys: dict[str, CourseKey] = {}
    for course_id in course_ids:
        try:
            key = CourseKey.from_string(course_id)
        except InvalidKeyError as error:
            raise EnrollmentRefused(f"Invalid course key format: {course_id}") from error
        keys.setdefault(str(key), key)
    return list(keys.values())


def _require_existing(keys: Sequence[CourseKey]) -> None:
    existing = edx_platform.existing_courses(keys)
    for key in keys:
        if str(key) not in existing:
            raise EnrollmentRefused(f"Course {key} does not exist")


def _require_mode(mode: str, keys: Sequence[CourseKey], *, has_account: bool) -> None:
    """Refuse a mode that a course has not, or that an allowance cannot carry.

    The platform enrolls by allowance into the default mode; to say success to another one would be a lie.
    """
    for key in keys:
        modes = edx_platform.course_modes(key)
        if mode not in modes:
            raise EnrollmentRefused(f"Mode {mode} is not available in course {key}")
        if not has_account and mode != edx_platform.default_mode(modes):
            raise EnrollmentRefused(f"Mode {mode} in course {key} needs an account; there is none with this email")


def _enroll(user: Any, order: Order, key: CourseKey) -> Result:
    done = edx_platform.enroll(user, key, mode=order.mode or None, check_access=app_settings.LERNITO_CHECK_ACCESS())
    return Result.ENROLLED if done else Result.ALREADY_ENROLLED


def _allow(order: Order, key: CourseKey) -> Result:
    done = edx_platform.allow(order.email, key, check_access=app_settings.LERNITO_CHECK_ACCESS())
    return Result.ALLOWED if done else Result.ALREADY_ALLOWED
