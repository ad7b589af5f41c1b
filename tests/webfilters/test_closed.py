"""What stays closed to receivers, whatever they answer: what never leaves, and what never changes."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import QueryDict
from openedx_filters.learning.filters import StudentRegistrationRequested
from openedx_filters.tooling import OpenEdxPublicFilter

from openedx_webhooks.catalog import filters
from openedx_webhooks.testing import Receiver
from tests.webfilters.conftest import MakeWebfilter
from tests.webfilters.test_every_filter import run


class SomethingUnknown(OpenEdxPublicFilter):
    """A filter that the table does not know, with all the arguments that must not leave or change."""

    filter_type = "org.example.something.unknown.v1"

    @classmethod
    def run_filter(cls, *, user: Any, password: str, user_id: int, email: str, is_superuser: bool, colour: str) -> Any:
        """Return what the pipeline makes of the arguments."""
        return cls.run_pipeline(
            user=user, password=password, user_id=user_id, email=email, is_superuser=is_superuser, colour=colour
        )


@pytest.fixture
def unknown(settings: Any, learner: User) -> dict[str, Any]:
    """Wire the unknown filter; return arguments for it."""
    step = {"pipeline": ["openedx_webhooks.webfilters.step.WebfilterStep"], "fail_silently": True}
    settings.OPEN_EDX_FILTERS_CONFIG = {**settings.OPEN_EDX_FILTERS_CONFIG, SomethingUnknown.filter_type: step}
    secret = {"password": "hunter2"}
    return {**secret, "user": learner, "user_id": 1, "email": "a@example.com", "is_superuser": False, "colour": "red"}


def test_a_password_in_no_field_of_a_form_leaves(webfilter: MakeWebfilter, receiver: Receiver) -> None:
    webfilter("StudentRegistrationRequested")
    fields = "email=a%40example.com&password=hunter2&confirm_password=hunter2&My-Password=hunter2"
    form = QueryDict(fields, mutable=True)
    StudentRegistrationRequested.run_filter(form_data=form)
    (sent,) = receiver.requests
    assert b"hunter2" not in sent.body
    assert sent.json()["form_data"] == {"email": "a@example.com"}


@pytest.mark.parametrize("encoding", [{}, {"use_www_form_encoding": True}, {"format": "legacy"}])
def test_a_password_among_the_arguments_does_not_leave(
    webfilter: MakeWebfilter, receiver: Receiver, unknown: dict[str, Any], encoding: dict[str, Any]
) -> None:
    webfilter("SomethingUnknown", **encoding)
    SomethingUnknown.run_filter(**unknown)
    (sent,) = receiver.requests
    assert b"hunter2" not in sent.body
    assert b"red" in sent.body


def test_an_activation_does_not_leave(webfilter: MakeWebfilter, receiver: Receiver, learner: User) -> None:
    """Whoever has its key, or the link with it, confirms the account."""
    (found,) = filters.find("AccountActivationEmailContextGenerated") or (None,)
    if found is None:
        pytest.skip("openedx-filters before 3.9 has no such filter")
    webfilter(found.name)
    context = {"key": "KEY", "confirm_activation_link": "https://lms.example.com/activate/KEY", "name": "Ada"}
    run(found, {"user": learner, "message_context": context})
    (sent,) = receiver.requests
    assert b"KEY" not in sent.body
    assert sent.json()["message_context"] == {"name": "Ada"}
