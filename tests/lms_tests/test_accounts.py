"""Registering, logging in and retiring over HTTP, in the platform's order."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from common.djangoapps.student.models import Registration, UserProfile
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from openedx.core.djangoapps.user_api.accounts.signals import USER_RETIRE_LMS_CRITICAL, USER_RETIRE_LMS_MISC
from openedx.core.djangoapps.user_api.models import UserRetirementStatus
from openedx_events.learning.signals import STUDENT_REGISTRATION_COMPLETED

from tests.lms_tests import steps
from tests.lms_tests.conftest import PASSWORD, Emitted

pytestmark = pytest.mark.django_db

REGISTERED, LOGGED_IN = "student.registration.completed.v1", "auth.session.login.completed.v1"
FORM = {"username": "new", "email": "new@example.com", "name": "New Learner", "password": PASSWORD, "country": "AR"}


def _register(client: Client, **changes: str) -> Any:
    return client.post("/api/user/v2/account/registration/", {**FORM, **changes})


def _login(client: Client, **form: str) -> Any:
    return client.post("/api/user/v2/account/login_session/", form)


def test_registering_makes_an_inactive_account_and_logs_it_in(client: Client, emitted: Emitted) -> None:
    answer = _register(client)

    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert emitted.types == [REGISTERED]
    data = emitted[0][1]
    assert (data.is_active, data.pii.username, data.pii.email, data.pii.name) == (
        False,
        "new",
        "new@example.com",
        "New Learner",
    )
    profile = UserProfile.objects.get(user__username="new")
    assert (profile.country, profile.courseware, profile.year_of_birth) == ("AR", "course.xml", None)
    assert json.loads(profile.meta) == {"session_id": client.session.session_key}
    assert client.get("/testing/who").json() == {"username": "new"}


@pytest.mark.django_db(transaction=True)
def test_the_registration_s_event_is_sent_outside_any_transaction(client: Client) -> None:
    states = []

    def receive(**_kwargs: Any) -> None:
        states.append(connection.in_atomic_block)

    STUDENT_REGISTRATION_COMPLETED.connect(receive, weak=False, dispatch_uid="lms_tests")
    _register(client)
    STUDENT_REGISTRATION_COMPLETED.disconnect(dispatch_uid="lms_tests")
    assert states == [False]


def test_a_registration_is_refused(client: Client, user: User, emitted: Emitted) -> None:
    missing = _register(client, name="")
    assert (missing.status_code, missing.json()["error_code"]) == (400, "validation-error")
    taken = _register(client, username=user.username)
    assert (taken.status_code, taken.json()["error_code"]) == (409, "duplicate-username")
    taken = _register(client, email=user.email)
    assert (taken.status_code, taken.json()["error_code"]) == (409, "duplicate-email")
    assert emitted.types == []


@pytest.mark.parametrize(
    ("step", "status"), [(steps.PreventRegistration, 403), (steps.PreventRegistrationWithoutStatus, 200)]
)
def test_a_filter_prevents_a_registration(
    client: Client, settings: Any, emitted: Emitted, step: Any, status: int
) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(step)
    answer = _register(client)
    assert (answer.status_code, answer.json()) == (status, {"error_message": [{"user_message": "Not today."}]})
    assert emitted.types == []
    assert not User.objects.exists()


def test_a_filter_changes_the_form(client: Client, settings: Any, emitted: Emitted) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(steps.RenameRegistration)
    assert _register(client).status_code == 200
    assert emitted[0][1].pii.name == "Renamed"
    assert User.objects.get().check_password(PASSWORD)


def test_logging_in(client: Client, user: User, emitted: Emitted) -> None:
    assert _login(client, email_or_username=user.email, password=PASSWORD).json()["success"] is True
    assert _login(client, email=user.username, password=PASSWORD).json()["success"] is True
    assert emitted.types == [LOGGED_IN, LOGGED_IN]
    assert (emitted[0][1].id, emitted[0][1].pii.name) == (user.pk, "Name of learner1")
    assert client.get("/testing/who").json() == {"username": user.username}
    client.post("/logout")
    assert client.get("/testing/who").json() == {"username": ""}


def test_logins_that_fail(client: Client, make_user: Callable[..., User], emitted: Emitted) -> None:
    user, inactive = make_user(), make_user("inactive", is_active=False)
    for name, password, code in (
        (user.email, "wrong", "incorrect-email-or-password"),
        ("nobody@example.com", PASSWORD, "incorrect-email-or-password"),
        (inactive.email, PASSWORD, "inactive-user"),
    ):
        answer = _login(client, email_or_username=name, password=password)
        assert (answer.status_code, answer.json()["success"], answer.json()["error_code"]) == (400, False, code)
    assert _login(client, email_or_username=user.email).status_code == 400
    assert emitted.types == []


def test_a_filter_prevents_a_login_before_the_password_is_looked_at(
    client: Client, user: User, settings: Any, emitted: Emitted
) -> None:
    settings.OPEN_EDX_FILTERS_CONFIG = steps.configure(steps.PreventLogin)
    expected = {"success": False, "redirect_url": "/why", "error_code": "closed", "context": {"until": "noon"}}
    for name, shown in ((user.email, user.username), ("nobody@example.com", "None")):
        answer = _login(client, email_or_username=name, password="wrong")
        assert (answer.status_code, answer.json()) == (400, {**expected, "value": f"No login for {shown}."})
    assert emitted.types == []


def test_a_registered_account_logs_in_once_active(client: Client, emitted: Emitted) -> None:
    _register(client)
    client.get(f"/activate/{Registration.objects.get().activation_key}")
    assert _login(client, email_or_username="new", password=PASSWORD).status_code == 200
    assert emitted.types == [REGISTERED, LOGGED_IN]
    assert emitted[1][1].is_active is True
    assert client.get("/activate/unknown").status_code == 404


def test_retiring_replaces_the_address_at_once_and_keeps_the_original(
    client: Client, user: User, make_user: Callable[..., User]
) -> None:
    seen: list[tuple[str, str]] = []

    def receive(signal: object, user: User, **_kwargs: Any) -> None:
        seen.append(("critical" if signal is USER_RETIRE_LMS_CRITICAL else "misc", user.email))

    client.force_login(user)
    assert client.post("/api/user/v1/accounts/deactivate_logout/").status_code == 204
    retired = f"retired__user_{user.pk}@retired.invalid"
    assert User.objects.get(pk=user.pk).email == retired
    assert UserRetirementStatus.objects.get(user=user).original_email == "learner1@example.com"

    client.force_login(make_user("staff", is_staff=True))
    for signal in (USER_RETIRE_LMS_CRITICAL, USER_RETIRE_LMS_MISC):
        signal.connect(receive, dispatch_uid="lms_tests")
    for step in ("retire_misc", "retire"):
        assert client.post(f"/api/user/v1/accounts/{step}/", {"username": "learner1"}).status_code == 204
    for signal in (USER_RETIRE_LMS_CRITICAL, USER_RETIRE_LMS_MISC):
        signal.disconnect(dispatch_uid="lms_tests")
    assert seen == [("misc", retired), ("critical", retired)]
    assert User.objects.get(pk=user.pk).username == f"retired__user_{user.pk}"
