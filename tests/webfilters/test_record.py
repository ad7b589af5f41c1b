"""What is kept of calls, what is only counted, and for how long."""

from __future__ import annotations

import json
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.signals import worker_process_shutdown
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import connection, transaction
from django.utils import timezone
from openedx_filters.learning.filters import (
    CourseEnrollmentStarted,
    StudentLoginRequested,
    StudentRegistrationRequested,
)

from openedx_webhooks import tasks  # noqa: F401  it listens to Celery
from openedx_webhooks.models import FilterCall, Webfilter, WebfilterCounter, incident
from openedx_webhooks.testing import Receiver
from openedx_webhooks.webfilters import masking, record
from openedx_webhooks.webfilters.spots import Change
from tests.webfilters.arguments import COURSE
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply


def enroll(user: User) -> Any:
    return CourseEnrollmentStarted.run_filter(user=user, course_key=COURSE, mode="audit")


def test_what_changed_is_kept_without_personal_data(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    row = webfilter("CourseEnrollmentStarted")
    receiver.answer(data(mode="honor", profile={"name": "Ada Lovelace"}))
    enroll(learner)
    (call,) = calls()
    assert json.loads(call.changes) == [
        {"path": "profile.name", "before": "O\u2026 (8 characters)", "after": "A\u2026 (12 characters)"},
        {"path": "mode", "before": "audit", "after": "honor"},
    ]
    assert (call.webfilter_id, call.user_id, call.status) == (row.pk, learner.pk, 200)
    assert call.message_id == receiver.requests[0].message_id
    assert (call.filter_name, call.filter_type) == ("CourseEnrollmentStarted", CourseEnrollmentStarted.filter_type)
    assert not any("Lovelace" in str(value) for value in vars(call).values())


def test_everything_is_counted(webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
    row = webfilter("CourseEnrollmentStarted")
    answers = [reply({}), 204, data(mode="honor"), halt("PreventEnrollment"), 500, reply([]), data(mode="audit")]
    receiver.answer(*answers)
    for _ in answers:
        try:
            enroll(learner)
        except CourseEnrollmentStarted.PreventEnrollment:
            continue
    assert len(calls()) == 4
    counter = WebfilterCounter.objects.get(webfilter=row)
    counts = (counter.calls, counter.unchanged, counter.changed, counter.halted, counter.failed)
    assert counts == (7, 3, 1, 1, 2)
    assert counter.last_call_at is not None
    assert counter.mean == round(counter.milliseconds / 7)


def test_a_halt_is_kept_when_the_request_is_rolled_back(
    webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("CourseEnrollmentStarted")
    receiver.answer(halt("PreventEnrollment"))
    with pytest.raises(CourseEnrollmentStarted.PreventEnrollment), transaction.atomic():
        enroll(learner)
    assert [call.outcome for call in calls()] == ["halted"]


def test_a_webfilter_deleted_meanwhile(webfilter: MakeWebfilter, calls: Any) -> None:
    """Its call is kept; there is nothing left to count for."""
    row = webfilter("CourseEnrollmentStarted")
    pk = row.pk
    row.delete()
    record.put(_call(pk))
    assert [call.webfilter_id for call in calls()] == [pk]
    assert not WebfilterCounter.objects.exists()


def test_one_bad_row_does_not_keep_its_neighbours_out(webfilter: MakeWebfilter, calls: Any) -> None:
    row = webfilter("CourseEnrollmentStarted")
    record.put(_call(row.pk, detail="a"))
    record.put(_call(row.pk, detail="half a character: \ud800"))
    record.put(_call(row.pk, detail="c"))
    assert sorted(call.detail for call in calls()) == ["The details could not be written.", "a", "c"]


def test_a_row_that_cannot_be_written_at_all_does_not_either(
    webfilter: MakeWebfilter, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[tuple[str, str]] = []
    monkeypatch.setattr(incident, "note", lambda *note: noted.append(note))
    monkeypatch.setattr(record, "TRIES", (0.0, 0.0))
    row = webfilter("CourseEnrollmentStarted")
    record.put(_call(row.pk, filter_name="half a character: \ud800"))
    record.put(_call(row.pk, detail="b"))
    assert [call.detail for call in calls()] == ["b"]
    assert WebfilterCounter.objects.get().calls == 2
    assert noted == [("webfilter_record", "1 calls could not be written, and 0 not counted.")]


def test_nor_does_a_counter(webfilter: MakeWebfilter, calls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would become negative."""
    monkeypatch.setattr(record, "TRIES", (0.0, 0.0))
    bad, good = webfilter("CourseEnrollmentStarted"), webfilter("StudentLoginRequested")
    record.put(_call(bad.pk, outcome="", duration=-10))
    record.put(_call(good.pk, outcome=""))
    assert calls() == []
    assert WebfilterCounter.objects.get(calls__gt=0).webfilter_id == good.pk


@pytest.mark.parametrize("model", [FilterCall, WebfilterCounter])
def test_what_the_database_does_not_take_is_tried_again(model: Any, webfilter: MakeWebfilter, calls: Any) -> None:
    """And nothing is written or counted twice."""
    row = webfilter("CourseEnrollmentStarted")
    name = model._meta.db_table
    with connection.schema_editor() as editor:
        editor.alter_db_table(model, name, f"{name}_away")
    try:
        record.put(_call(row.pk))
        record.put(_call(row.pk))
        time.sleep(0.5)  # Within the first second: until the next try.
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(model, f"{name}_away", name)
    assert len(calls()) == 2
    assert WebfilterCounter.objects.get().calls == 2


def test_the_child_of_a_celery_worker_writes_before_it_ends(webfilter: MakeWebfilter) -> None:
    """It ends by ``os._exit``, which passes ``atexit`` by."""
    record.put(_call(webfilter("CourseEnrollmentStarted").pk))
    worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    assert FilterCall.objects.count() == 1


class TestOfSeveral:
    """Where a later webfilter wants the same value otherwise, what the earlier one wanted did not come to be."""

    @pytest.fixture
    def answered(self, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> Any:
        def answered(first: dict[str, Any], second: dict[str, Any]) -> list[FilterCall]:
            answers = {"/1": data(**first), "/2": data(**second)}
            receiver.answer(lambda request: answers[request.path])
            for path in answers:
                webfilter("CourseEnrollmentStarted", webhook_url=receiver.url(path))
            enroll(learner)
            return list(calls())

        return answered

    def test_all_of_it(self, answered: Any) -> None:
        first, second = answered({"mode": "honor"}, {"mode": "verified"})
        assert (first.outcome, second.outcome) == ("overridden", "changed")
        assert first.detail == "Overridden by a later webfilter: mode."
        counted = WebfilterCounter.objects.order_by("webfilter_id").values_list("unchanged", "changed")
        assert list(counted) == [(1, 0), (0, 1)]

    def test_a_part_of_it(self, answered: Any) -> None:
        first, second = answered({"mode": "honor", "profile": {"name": "New", "city": "Turin"}},
                                 {"mode": "verified", "profile": {"name": "Newer"}})  # fmt: skip
        assert (first.outcome, second.outcome) == ("changed", "changed")
        assert [change["path"] for change in json.loads(first.changes)] == ["profile.city"]
        assert [change["path"] for change in json.loads(second.changes)] == ["profile.name", "mode"]
        assert "profile.name, mode" in first.detail

    def test_the_same_is_not_otherwise(self, answered: Any) -> None:
        calls = answered({"mode": "honor"}, {"mode": "honor"})
        assert [call.outcome for call in calls] == ["changed", "changed"]


@pytest.mark.parametrize("succeeds", [True, False])
def test_what_is_kept_for_a_login_counts_once_it_is_saved(
    succeeds: bool, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter("StudentLoginRequested")
    receiver.answer(data(profile={"name": "New Name"}))
    StudentLoginRequested.run_filter(user=learner)
    (call,) = calls()
    assert (call.outcome, call.get_outcome_display()) == ("deferred", "Kept for the login")
    assert WebfilterCounter.objects.get().changed == 0
    if succeeds:
        session = SimpleNamespace(session_key="S")
        user_logged_in.send(sender=User, request=SimpleNamespace(session=session), user=learner)
    calls()
    counter = WebfilterCounter.objects.get()
    assert (counter.calls, counter.changed) == (1, int(succeeds))


def test_a_retired_account_is_forgotten(transactional_db: None) -> None:
    for user_id in (7, 7, 8, None):
        _call(1, user_id=user_id).save()
    assert record.forget(7) == 2
    assert FilterCall.objects.count() == 2


def test_a_password_in_a_form_is_in_no_record(webfilter: MakeWebfilter, receiver: Receiver, calls: Any) -> None:
    from django.http import QueryDict

    webfilter("StudentRegistrationRequested")
    receiver.answer(data(form_data={"password": "hunter2", "name": "x"}))
    StudentRegistrationRequested.run_filter(form_data=QueryDict("name=a&password=correct", mutable=True))
    (call,) = calls()
    assert call.outcome == "refused"
    assert "hunter2" not in call.detail + call.changes


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (Change(path="mode", before="audit", after="honor"), "audit", "honor"),
        (Change(path="profile.year_of_birth", before=None, after=1990), None, "[int]"),
        (Change(path="profile.bio", before="", after="Hi"), "", "\u2026 (2 characters)"),
        (Change(path="form_data.tags", before=["a"], after=["b"]), "[list]", "[list]"),
        (Change(path="context.api_key", before="a", after="b"), "[redacted]", "[redacted]"),
        (Change(path="enrollments.a", before=None, after={"token": "x", "b": 1}), None, {"b": 1}),
        (Change(path="form_desc.name.default", before=None, after="Ada"), None, "A\u2026 (3 characters)"),
        (
            Change(path="redirect_url", before="/a", after="https://x.example.com/b?email=ada@example.com#t"),
            *("/a", "https://x.example.com/b?\u2026"),
        ),
        (Change(path="url", before="/a#token", after=None), "/a#\u2026", None),
        (
            Change(path="context.accomplishment_copy_name", before="Ada", after="Jane"),
            *("A\u2026 (3 characters)", "J\u2026 (4 characters)"),
        ),
    ],
)
def test_masking(change: Change, before: Any, after: Any) -> None:
    assert json.loads(masking.masked([change])) == [{"path": change.path, "before": before, "after": after}]


def test_long_values_and_many_changes_are_cut() -> None:
    long = json.loads(masking.masked([Change(path="url", before="x" * 1000, after="y")]))
    assert len(long[0]["before"]) < 300
    many = json.loads(masking.masked([Change(path="context.a", before=1, after=2)] * 60))
    assert many[-1] == {"path": "and 10 more"}


def _call(webfilter_id: int, **values: Any) -> FilterCall:
    return FilterCall(
        **{
            "webfilter_id": webfilter_id,
            "message_id": "m",
            "filter_name": "F",
            "filter_type": "f",
            "created": timezone.now(),
            "duration": 1,
            "outcome": FilterCall.Outcome.FAILED,
            **values,
        }
    )


def test_a_webfilter_may_be_deleted_with_its_calls_kept(webfilter: MakeWebfilter) -> None:
    row = webfilter("CourseEnrollmentStarted")
    _call(row.pk).save()
    Webfilter.objects.all().delete()
    assert FilterCall.objects.count() == 1
