"""Every filter of the installed packages, through its own run_filter, with a live receiver at the other end."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openedx_filters.exceptions import OpenEdxFilterException

from openedx_webhooks import subscriptions
from openedx_webhooks.catalog import contracts, filters
from openedx_webhooks.catalog.contracts import Account, Response
from openedx_webhooks.catalog.filters import Filter, Halt
from openedx_webhooks.models import FilterCall
from openedx_webhooks.testing import HANG, Receiver
from tests.webfilters.arguments import CHANGES, IN_DICTS, arguments
from tests.webfilters.conftest import MakeWebfilter, data, halt, reply

FILTERS = [pytest.param(found, id=found.name) for found in filters.all_filters().values()]
HALTS = [
    pytest.param(found, one, id=f"{found.name}.{one.name}")
    for found in filters.all_filters().values()
    for one in found.halts
    if one.name not in contracts.contract(found).unsafe
]
VALUES: dict[str, Any] = {
    "message": "Not today \U0001f600.",
    "redirect_to": "https://example.com/why",
    "error_code": "closed",
    "context": {"until": "noon"},
    "template_context": {"until": "noon"},
    "response": {"content": "Custom", "status": 403, "headers": {"Retry-After": "5"}},
    "tabs": [{"tab_id": "b"}],
    "developer_message": "For developers",
    "user_message": "For users",
    "status_code": 403,
}


def run(found: Filter, given: dict[str, Any]) -> tuple[Any, ...]:
    """Run the real filter; return what the platform gets, as a tuple in the order of the arguments."""
    result = getattr(importlib.import_module(found.module), found.name).run_filter(**given)
    return result if isinstance(result, tuple) and len(found.arguments) > 1 else (result,)


def raised_by(found: Filter, given: dict[str, Any]) -> OpenEdxFilterException | None:
    """Run the real filter; return its exception, or None where the process goes on with what it had."""
    try:
        result = run(found, given)
    except OpenEdxFilterException as raised:
        return raised
    assert all(a is b for a, b in zip(result, given.values(), strict=True))
    return None


def look(argument: str) -> tuple[Any, Any, Any]:
    return CHANGES.get(argument, IN_DICTS)


@pytest.mark.parametrize("found", FILTERS)
def test_nobody_is_asked(found: Filter, learner: User) -> None:
    given = arguments(found, learner)
    subscriptions.refresh()
    with CaptureQueriesContext(connection) as queries:
        result = run(found, given)
    assert not queries.captured_queries
    assert list(map(type, result)) == list(map(type, given.values()))
    assert all(a is b for a, b in zip(result, given.values(), strict=True))


@pytest.mark.parametrize("found", FILTERS)
def test_a_reply_that_asks_for_nothing(
    found: Filter, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter(found.name)
    for answer in (reply({}), reply({"data": {}}), reply({"data": None, "exception": None}), 204):
        receiver.answer(answer)
        given = arguments(found, learner)
        result = run(found, given)
        assert all(a is b for a, b in zip(result, given.values(), strict=True))
    sent = receiver.wait_for(1)[0].json()
    assert sent["event_metadata"]["event_type"] == found.filter_type
    assert "password" not in receiver.requests[0].body.decode().lower()
    assert b"TOKEN" not in receiver.requests[0].body
    assert calls() == []


@pytest.mark.parametrize("found", FILTERS)
def test_what_was_sent_may_come_back(
    found: Filter, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter(found.name)
    receiver.answer(lambda request: reply({"data": request.json()}))
    given = arguments(found, learner)
    result = run(found, given)
    assert calls() == []
    assert all(a is b for a, b in zip(result, given.values(), strict=True))


@pytest.mark.parametrize("found", FILTERS)
def test_a_reply_that_changes_all_it_may(
    found: Filter, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter(found.name, allow_html=True)
    contract = contracts.contract(found)
    wanted: dict[str, Any] = {name: look(name)[0] for name in contract.changes}
    if contract.account != Account.NEVER:
        wanted["profile"] = {"name": "New Name"}
    receiver.answer(data(**wanted))
    given = arguments(found, learner)
    result = dict(zip(found.arguments, run(found, given), strict=True))
    for name in given:
        assert type(result[name]) is type(given[name]) or name in ("schedules", "enrollments")
        if name in contract.changes:
            _wanted, see, expected = look(name)
            assert see(result[name]) == expected
            assert result[name] is not given[name]
        else:
            assert result[name] is given[name]
    (call,) = calls() or [FilterCall(outcome="")]
    deferred = contract.account == Account.AT_LOGIN
    assert call.outcome == ("" if not wanted else "deferred" if deferred else "changed"), call.detail
    learner.profile.refresh_from_db()
    assert learner.profile.name == ("New Name" if contract.account == Account.NOW else "Old Name")


@pytest.mark.parametrize(("found", "one"), HALTS)
def test_a_reply_that_halts(
    found: Filter, one: Halt, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter(found.name)
    value = {p.name: VALUES[p.name] for p in one.parameters if p.name in VALUES}
    if template := contracts.template_parameter(one):
        value[template] = "other/page.html"
    receiver.answer(reply({"exception": {one.name: value}, "data": {"profile": {"name": "Never"}}}))
    with pytest.raises(OpenEdxFilterException) as raised:
        run(found, arguments(found, learner))
    assert type(raised.value) is one.exception
    assert str(raised.value) == VALUES["message"]
    _check_parameters(found, one, raised.value, value)
    (call,) = calls()
    assert (call.outcome, call.exception, call.status) == ("halted", one.name, 200)
    learner.profile.refresh_from_db()
    assert learner.profile.name == "Old Name"


def _check_parameters(found: Filter, one: Halt, raised: Any, given: dict[str, Any]) -> None:
    for name, value in given.items():
        now = getattr(raised, name)
        if name == "response" and contracts.contract(found).response == Response.HTTP:
            assert (now.status_code, now.content, now["Retry-After"]) == (403, b"Custom", "5")
        elif name == "response":
            assert now == "Custom"
        elif name in ("context", "template_context") and contracts.template_parameter(one):
            assert now["until"] == "noon"
            assert now["title"] == "Dashboard"
        else:
            assert now == value


@pytest.mark.parametrize(("found", "one"), HALTS)
def test_a_halt_with_a_message_alone(
    found: Filter, one: Halt, *, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    """Where the exception needs more (a URL, a template), the reply is refused, and the process goes on."""
    webfilter(found.name)
    receiver.answer(halt(one.name, "Not today."))
    raised = raised_by(found, arguments(found, learner))
    needs_more = bool(contracts.needs_url(one) or contracts.template_parameter(one))
    assert calls()[0].outcome == ("refused" if needs_more else "halted")
    assert (type(raised), str(raised)) == ((type(None), "None") if needs_more else (one.exception, "Not today."))


@pytest.mark.parametrize("found", FILTERS)
def test_a_receiver_that_says_nothing(
    found: Filter, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any
) -> None:
    webfilter(found.name, timeout=0.1)
    receiver.answer(HANG)
    given = arguments(found, learner)
    result = run(found, given)
    assert all(a is b for a, b in zip(result, given.values(), strict=True))
    (call,) = calls()
    assert (call.outcome, call.status) == ("failed", None)
    assert "0.1 seconds" in call.detail


@pytest.mark.parametrize("found", FILTERS)
def test_the_switches(found: Filter, webfilter: MakeWebfilter, receiver: Receiver, learner: User, calls: Any) -> None:
    """A failing receiver halts with the main exception where there is one, and never with anything else."""
    row = webfilter(found.name)
    type(row).objects.filter(pk=row.pk).update(halt_on_4xx=True, halt_on_5xx=True, halt_on_request_exception=True)
    contract = contracts.contract(found)
    for answer in (reply({"secret": 1}, status=404), 503, reply([]), 302):
        receiver.answer(answer)
        raised = raised_by(found, arguments(found, learner))
        main = found.halt(contract.main)
        assert type(raised) is (main.exception if main else type(None))
        assert receiver.url() not in str(raised)
    outcomes = [call.outcome for call in calls()]
    assert outcomes == (["halted"] * 4 if contract.main else ["failed", "failed", "refused", "failed"])
