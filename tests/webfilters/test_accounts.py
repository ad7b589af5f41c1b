"""What a reply may change of an account, and what it never may."""

from __future__ import annotations

from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.db.models.signals import pre_save
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from openedx_filters.learning.filters import (
    CohortChangeRequested,
    CourseEnrollmentStarted,
)

from openedx_webhooks.models import FilterCall
from openedx_webhooks.testing import Receiver
from tests.webfilters.arguments import COURSE, Opaque
from tests.webfilters.conftest import MakeWebfilter, data


@pytest.fixture
def asked(webfilter: MakeWebfilter) -> None:
    webfilter("CourseEnrollmentStarted")


def enroll(user: Any) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


def account(user: User) -> tuple[Any, Any]:
    return User.objects.filter(pk=user.pk).values().get(), UserProfile.objects.filter(user_id=user.pk).values().first()


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("user", "is_superuser", True),
        ("user", "is_staff", True),
        ("user", "is_active", False),
        ("user", "id", 1000),
        ("user", "pk", 1000),
        ("user", "password", "pbkdf2"),
        ("user", "username", "other"),
        ("user", "email", "other@example.com"),
        ("user", "last_login", "2026-01-01T00:00:00Z"),
        ("user", "date_joined", "2026-01-01T00:00:00Z"),
        ("user", "groups", [1]),
        ("user", "user_permissions", [1]),
        ("user", "profile", {"name": "x"}),
        ("user", "set_password", "x"),
        ("user", "_state", {}),
        ("profile", "id", 1000),
        ("profile", "user_id", 1000),
        ("profile", "user", 1000),
        ("profile", "meta", "{}"),
        ("profile", "courseware", "x"),
        ("profile", "profile_image_uploaded_at", "2026-01-01T00:00:00Z"),
        ("profile", "__class__", "x"),
    ],
)
def test_never(key: str, field: str, value: Any, *, asked: None, receiver: Receiver, learner: User, calls: Any) -> None:
    before = account(learner)
    receiver.answer(data(**{key: {field: value}, "mode": "honor"}))
    assert enroll(learner)[2] == "audit"
    assert account(learner) == before
    (call,) = calls()
    assert (call.outcome, call.changes) == ("refused", "")
    assert call.detail.startswith(f"{key}.{field}: ")


@pytest.mark.parametrize("opened", [["username", "email"], ["is_superuser", "email"], "email", {"email": 1}])
def test_what_the_site_may_open_is_username_and_email_alone(
    opened: Any, asked: None, receiver: Receiver, learner: User, calls: Any
) -> None:
    receiver.answer(
        data(user={"email": "new@example.com", "is_superuser": True}), data(user={"email": "new@example.com"})
    )
    with override_settings(OPENEDX_WEBHOOKS_WRITABLE_FIELDS=opened):
        enroll(learner)
        enroll(learner)
    is_usable = opened == ["username", "email"]
    assert [call.outcome for call in calls()] == ["refused", "changed" if is_usable else "refused"]
    learner.refresh_from_db()
    assert learner.email == ("new@example.com" if is_usable else "learner@example.com")
    assert not learner.is_superuser


@pytest.mark.parametrize(
    ("field", "value"), [("email", "OTHER@example.com"), ("username", "Other"), ("email", "no mail")]
)
def test_another_accounts_address_stays_its_own(
    field: str, value: str, *, asked: None, receiver: Receiver, learner: User, calls: Any
) -> None:
    User.objects.create(username="other", email="other@example.com")
    before = account(learner)
    receiver.answer(data(user={field: value}))
    with override_settings(OPENEDX_WEBHOOKS_WRITABLE_FIELDS=["username", "email"]):
        enroll(learner)
    assert calls()[0].outcome == "refused"
    assert account(learner) == before


def test_allowed_fields_are_saved_and_no_others_with_them(asked: None, receiver: Receiver, learner: User) -> None:
    """``update_fields``: what another request has written meanwhile stays."""
    stale = User.objects.select_related("profile").get(pk=learner.pk)
    UserProfile.objects.update(bio="Written meanwhile")
    receiver.answer(data(user={"first_name": "Ada"}, profile={"name": "Ada L.", "year_of_birth": 1815, "city": None}))
    enroll(stale)
    profile = UserProfile.objects.get()
    assert (profile.name, profile.year_of_birth, profile.bio) == ("Ada L.", 1815, "Written meanwhile")
    assert User.objects.get().first_name == stale.first_name == "Ada"
    assert stale.profile.name == "Ada L."


def test_it_is_saved_in_the_callers_transaction(asked: None, receiver: Receiver, learner: User, calls: Any) -> None:
    receiver.answer(data(profile={"name": "New Name"}))
    with pytest.raises(RuntimeError), transaction.atomic():
        enroll(learner)
        raise RuntimeError
    assert UserProfile.objects.get().name == "Old Name"
    assert calls()[0].outcome == "changed"


def test_a_save_that_fails_leaves_everything_as_it_was(
    asked: None, receiver: Receiver, learner: User, calls: Any
) -> None:
    def refuse(**_kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    receiver.answer(data(user={"first_name": "Ada"}, profile={"name": "New Name"}, mode="honor"))
    pre_save.connect(refuse, sender=UserProfile)
    try:
        with transaction.atomic():
            assert enroll(learner)[2] == "audit"
            User.objects.count()  # The caller's transaction is still of use.
    finally:
        pre_save.disconnect(refuse, sender=UserProfile)
    assert (learner.first_name, learner.profile.name) == ("", "Old Name")
    assert User.objects.get().first_name == ""
    (call,) = calls()
    assert call.outcome == "failed"
    assert "could not be applied" in call.detail
    assert "no_such_table" not in call.detail


def test_a_user_without_a_profile(webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
    webfilter("CourseEnrollmentStarted")
    user = User.objects.create(username="bare")
    receiver.answer(data(profile={"name": "New"}), data(user={"first_name": "New"}))
    enroll(user)
    enroll(user)
    assert receiver.requests[0].json()["profile"] is None
    assert [call.outcome for call in calls()] == ["refused", "changed"]


def test_a_lazy_user_as_requests_have_it(asked: None, receiver: Receiver, learner: User) -> None:
    receiver.answer(data(profile={"name": "New Name"}))
    lazy = SimpleLazyObject(lambda: learner)
    assert enroll(lazy)[0] is lazy
    assert UserProfile.objects.get().name == "New Name"
    assert receiver.requests[0].json()["user"]["id"] == learner.pk


def test_nobody_logged_in(asked: None, receiver: Receiver, calls: Any) -> None:
    receiver.answer(data(mode="honor"), data(user={"first_name": "New"}))
    nobody = AnonymousUser()
    assert enroll(nobody)[2] == "honor"
    enroll(nobody)
    assert receiver.requests[0].json()["user"] is None
    assert [call.outcome for call in calls()] == ["changed", "refused"]


def test_where_the_account_may_not_change(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    """Rows are locked there."""
    webfilter("CohortChangeRequested")
    receiver.answer(data(profile={"name": "New"}))
    CohortChangeRequested.run_filter(current_membership=Opaque(user=learner), target_cohort=Opaque())
    assert [call.outcome for call in calls()] == [FilterCall.Outcome.REFUSED]
    assert UserProfile.objects.get().name == "Old Name"
