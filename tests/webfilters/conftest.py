"""A live receiver that answers as told, webfilters that ask it, and the record of what they did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from common.djangoapps.student.models import UserProfile
from django.contrib.auth.models import User

from openedx_webhooks.models import FilterCall, Webfilter
from openedx_webhooks.testing import Answer, Receiver
from openedx_webhooks.webfilters import record

MakeWebfilter = Callable[..., Webfilter]


def reply(value: Any = None, *, status: int = 200, **answer: Any) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(
        status=status, headers={"Content-Type": "application/json"}, body=json.dumps(value).encode(), **answer
    )


def data(**arguments: Any) -> Answer:
    return reply({"data": arguments})


def halt(name: str, value: Any = "No.") -> Answer:
    return reply({"exception": {name: value}})


@pytest.fixture(autouse=True)
def templates(settings: Any) -> None:
    """Give the site a template that replies may name."""
    (engine,) = settings.TEMPLATES
    settings.TEMPLATES = [{**engine, "DIRS": [*engine["DIRS"], Path(__file__).parent / "templates"]}]


@pytest.fixture
def webfilter(transactional_db: None, receiver: Receiver) -> Iterator[MakeWebfilter]:
    def make(event: str, **columns: Any) -> Webfilter:
        columns.setdefault("webhook_url", receiver.url(f"/{event}"))
        row = Webfilter(event=event, **columns)
        row.full_clean()
        row.save()
        return row

    yield make
    assert record.flush()  # What is still to be written must not meet the next test's tables.


@pytest.fixture
def calls(transactional_db: None) -> Callable[[], list[FilterCall]]:
    """Return what was recorded, in order, once it is written."""

    def written() -> list[FilterCall]:
        assert record.flush()
        return list(FilterCall.objects.order_by("pk"))

    return written


@pytest.fixture
def learner(transactional_db: None) -> User:
    user = User.objects.create(username="learner", email="learner@example.com", password="a hash that takes no time")
    UserProfile.objects.create(user=user, name="Old Name", meta='{"session_id": "SESSION"}')
    return user
