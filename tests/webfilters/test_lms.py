"""In the stand-in LMS, over HTTP: login, registration, enrollment, unenrollment."""

from __future__ import annotations

from typing import Any

import pytest
from common.djangoapps.student.models import CourseEnrollment, UserProfile
from django.contrib.auth.models import User
from django.test import Client, override_settings
from openedx.core.djangoapps.content.course_overviews.models import CourseOverview
from openedx_events.learning.signals import SESSION_LOGIN_COMPLETED

from openedx_webhooks.testing import HANG, Receiver
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply

LOGIN = "/api/user/v2/account/login_session/"
REGISTER = "/api/user/v2/account/registration/"
FORM = {"username": "fresh", "email": "fresh@example.com", "name": "Old Name", "password": "correct horse"}


@pytest.fixture
def user(learner: User) -> User:
    learner.set_password("edx")
    learner.save()
    return learner


@pytest.fixture
def events() -> Any:
    seen: list[Any] = []

    def receive(user: Any, **_kwargs: Any) -> None:
        seen.append(user.pii.name)

    SESSION_LOGIN_COMPLETED.connect(receive)
    yield seen
    SESSION_LOGIN_COMPLETED.disconnect(receive)


def log_in(client: Client, password: str = "edx", email: str = "learner@example.com") -> Any:
    return client.post(LOGIN, {"email_or_username": email, "password": password})


class TestLogin:
    def test_prevented(self, webfilter: MakeWebfilter, receiver: Receiver, user: User, client: Client) -> None:
        webfilter("StudentLoginRequested")
        value = {"message": "Not you.", "redirect_to": "https://example.com/why", "error_code": "closed",
                 "context": {"until": "noon"}, "status_code": 418}  # fmt: skip
        receiver.answer(halt("PreventLogin", value))
        response = log_in(client)
        assert response.status_code == 400
        body = response.json()
        assert body["value"] == "Not you."
        assert (body["redirect_url"], body["error_code"]) == ("https://example.com/why", "closed")
        assert body["context"]["until"] == "noon"
        assert "_auth_user_id" not in client.session

    @pytest.mark.parametrize(
        ("switch", "answer"),
        [("4xx", reply({}, status=403)), ("5xx", 502), ("request_exception", HANG), ("request_exception", reply([]))],
    )
    def test_redirected_when_the_receiver_fails(
        self, switch: str, answer: Any, *, webfilter: MakeWebfilter, receiver: Receiver, user: User, client: Client
    ) -> None:
        columns = {f"halt_on_{switch}": True, f"redirect_on_{switch}": "https://example.com/later"}
        webfilter("StudentLoginRequested", timeout=0.2, **columns)
        receiver.answer(answer)
        response = log_in(client)
        assert response.status_code == 400
        assert response.json()["redirect_url"] == "https://example.com/later"
        assert receiver.url() not in response.content.decode()

    def test_the_name_is_changed_once_the_password_was_right(
        self, webfilter: MakeWebfilter, receiver: Receiver, *, user: User, client: Client, events: Any, calls: Any
    ) -> None:
        webfilter("StudentLoginRequested")
        receiver.answer(data(profile={"name": "New Name"}, user={"first_name": "New"}))
        assert log_in(client).status_code == 200
        assert events == ["New Name"]
        user.refresh_from_db()
        assert (UserProfile.objects.get(user=user).name, user.first_name) == ("New Name", "New")
        assert [call.outcome for call in calls()] == ["deferred"]

    def test_a_wrong_password_changes_nothing(
        self, webfilter: MakeWebfilter, receiver: Receiver, user: User, client: Client
    ) -> None:
        webfilter("StudentLoginRequested")
        receiver.answer(data(profile={"name": "New Name"}), reply({}))
        assert log_in(client, password="wrong").status_code == 400
        assert UserProfile.objects.get(user=user).name == "Old Name"
        assert log_in(client).status_code == 200
        assert UserProfile.objects.get(user=user).name == "Old Name"

    def test_an_unknown_user(self, webfilter: MakeWebfilter, receiver: Receiver, client: Client, calls: Any) -> None:
        webfilter("StudentLoginRequested")
        receiver.answer(data(profile={"name": "New Name"}))
        assert log_in(client, email="nobody@example.com").status_code == 400
        assert calls()[0].outcome == "refused"
        assert "no such user" in calls()[0].detail

    def test_a_change_that_cannot_be_saved_does_not_break_the_login(
        self, webfilter: MakeWebfilter, receiver: Receiver, user: User, client: Client
    ) -> None:
        from django.db.models.signals import pre_save

        def refuse(**_kwargs: Any) -> None:
            raise RuntimeError("no")

        webfilter("StudentLoginRequested")
        receiver.answer(data(profile={"name": "New Name"}))
        pre_save.connect(refuse, sender=UserProfile)
        try:
            assert log_in(client).status_code == 200
        finally:
            pre_save.disconnect(refuse, sender=UserProfile)
        assert UserProfile.objects.get(user=user).name == "Old Name"

    @pytest.mark.parametrize("field", ["is_superuser", "is_staff", "is_active", "id", "password", "email", "username"])
    def test_what_may_never_change(
        self, field: str, *, webfilter: MakeWebfilter, receiver: Receiver, user: User, client: Client, calls: Any
    ) -> None:
        before = User.objects.filter(pk=user.pk).values().get()
        wanted = {"id": 1000, "password": "x", "email": "b@example.com", "username": "b", "is_active": False}
        webfilter("StudentLoginRequested")
        receiver.answer(data(user={field: wanted.get(field, True), "first_name": "New"}))
        assert log_in(client).status_code == 200
        after = User.objects.filter(pk=user.pk).values().get()
        assert {**before, "last_login": None} == {**after, "last_login": None}
        (call,) = calls()
        assert call.outcome == "refused"
        assert call.detail == f"user.{field}: A webfilter may not change it."


class TestRegistration:
    def test_changed(self, webfilter: MakeWebfilter, receiver: Receiver, client: Client) -> None:
        """The example of the documentation."""
        webfilter("StudentRegistrationRequested")
        receiver.answer(reply({"data": {"form_data": {"name": "New Name"}}}))
        assert client.post(REGISTER, FORM).status_code == 200
        user = User.objects.get(username="fresh")
        assert user.profile.name == "New Name"
        assert user.check_password("correct horse")
        assert b"correct horse" not in receiver.requests[0].body

    def test_prevented_with_a_status_also_where_none_is_given(
        self, webfilter: MakeWebfilter, receiver: Receiver, client: Client
    ) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(halt("PreventRegistration", "Not today."), halt("PreventRegistration", {"status_code": 403}))
        response = client.post(REGISTER, FORM)
        assert response.status_code == 400
        assert response.json()["error_message"] == [{"user_message": "Not today."}]
        assert client.post(REGISTER, FORM).status_code == 403
        assert not User.objects.filter(username="fresh").exists()

    @pytest.mark.parametrize("field", ["password", "email", "username", "is_superuser", "new_password"])
    def test_what_a_form_may_not_have_changed(
        self, field: str, *, webfilter: MakeWebfilter, receiver: Receiver, client: Client, calls: Any
    ) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(data(form_data={field: "other@example.com", "name": "New Name"}))
        assert client.post(REGISTER, FORM).status_code == 200
        user = User.objects.get(username="fresh")
        assert (user.profile.name, user.email) == ("Old Name", "fresh@example.com")
        assert calls()[0].outcome == "refused"

    def test_the_site_may_open_the_email_address(
        self, webfilter: MakeWebfilter, receiver: Receiver, client: Client
    ) -> None:
        webfilter("StudentRegistrationRequested")
        receiver.answer(data(form_data={"email": "other@example.com"}))
        with override_settings(OPENEDX_WEBHOOKS_WRITABLE_FIELDS=["email"]):
            assert client.post(REGISTER, FORM).status_code == 200
        assert User.objects.get(username="fresh").email == "other@example.com"


class TestEnrollment:
    @pytest.fixture
    def logged_in(self, user: User, client: Client) -> Client:
        CourseOverview.objects.create(id=COURSE, display_name="Demo")
        client.force_login(user)
        return client

    def change(self, client: Client, action: str) -> Any:
        return client.post("/change_enrollment", {"enrollment_action": action, "course_id": str(COURSE)})

    def test_the_mode_is_changed(self, webfilter: MakeWebfilter, receiver: Receiver, logged_in: Client) -> None:
        webfilter("CourseEnrollmentStarted")
        receiver.answer(data(mode="honor", profile={"name": "New Name"}))
        assert self.change(logged_in, "enroll").status_code == 200
        enrollment = CourseEnrollment.objects.get()
        assert (enrollment.mode, enrollment.user.profile.name) == ("honor", "New Name")

    def test_prevented(self, webfilter: MakeWebfilter, receiver: Receiver, logged_in: Client, calls: Any) -> None:
        webfilter("CourseEnrollmentStarted")
        receiver.answer(halt("PreventEnrollment", "The course is for others."))
        response = self.change(logged_in, "enroll")
        assert (response.status_code, response.content) == (400, b"The course is for others.")
        assert not CourseEnrollment.objects.exists()
        assert calls()[0].outcome == "halted"

    def test_unenrollment_prevented(self, webfilter: MakeWebfilter, receiver: Receiver, logged_in: Client) -> None:
        self.change(logged_in, "enroll")
        webfilter("CourseUnenrollmentStarted")
        receiver.answer(halt("PreventUnenrollment", "You cannot leave."))
        response = self.change(logged_in, "unenroll")
        assert (response.status_code, response.content) == (400, b"You cannot leave.")
        assert CourseEnrollment.objects.get().is_active
        sent = receiver.requests[-1].json()
        assert sent["enrollment"]["course_id"] == str(COURSE)
        assert sent["profile"]["name"] == "Old Name"
