"""The declared table against what the installed filters define."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.tooling import OpenEdxPublicFilter

from openedx_webhooks.catalog import contracts, filters
from openedx_webhooks.catalog.contracts import TABLE, Account
from openedx_webhooks.catalog.filters import Filter

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden" / "filters.json").read_text(encoding="utf-8"))
FILTERS = [
    pytest.param(found, id=found.name)
    for found in filters.all_filters().values()
    if found.module.startswith("openedx_filters.")
]


def test_the_table_knows_every_filter_of_every_release() -> None:
    written_down = {f["filter_type"] for release in GOLDEN.values() for f in release.values()}
    assert written_down <= set(TABLE)


@pytest.mark.parametrize("found", FILTERS)
def test_a_contract_speaks_of_what_the_filter_has(found: Filter) -> None:
    contract = contracts.contract(found)
    withheld = {name.partition(".")[0] for name in contract.withheld}
    named = {*contract.changes, *withheld, *contract.lookups}
    assert named <= set(found.arguments)
    assert contract.learner.partition(".")[0] in {"", *found.arguments}
    assert {contract.main, contract.redirecting, *contract.in_page} - {""} <= {halt.name for halt in found.halts}
    assert bool(contract.learner) or contract.account == Account.NEVER


@pytest.mark.parametrize("found", FILTERS)
def test_the_main_exception_needs_no_more_than_a_message(found: Filter) -> None:
    halt = found.halt(contracts.contract(found).main)
    if halt is not None:
        assert not contracts.needs_url(halt)
        assert not contracts.template_parameter(halt)


def test_what_is_not_to_be_halted() -> None:
    """At these call sites nothing handles an exception: raising would be a server error."""
    for name in (
        "CourseAboutPageURLRequested",
        "LMSPageURLRequested",
        "IDVPageURLRequested",
        "CourseRunAPIRenderStarted",
    ):
        (found,) = filters.find(name)
        contract = contracts.contract(found)
        assert (contract.raises, contract.main, contract.redirecting) == (False, "", "")


@pytest.mark.parametrize(
    ("name", "main", "redirecting"),
    [
        ("StudentLoginRequested", "PreventLogin", "PreventLogin"),
        ("StudentRegistrationRequested", "PreventRegistration", ""),
        ("CourseEnrollmentStarted", "PreventEnrollment", ""),
        ("DashboardRenderStarted", "RenderCustomResponse", "RedirectToPage"),
        ("RenderXBlockStarted", "RenderCustomResponse", ""),
        ("ORASubmissionViewRenderStarted", "", ""),
    ],
)
def test_how_the_switches_halt(name: str, main: str, redirecting: str) -> None:
    (found,) = filters.find(name)
    contract = contracts.contract(found)
    assert (contract.main, contract.redirecting) == (main, redirecting)


class TestAFilterThatTheTableDoesNotKnow:
    """A filter of a release to come gets a contract by its arguments and exceptions."""

    @pytest.fixture
    def found(self) -> Filter:
        class SomethingNew(OpenEdxPublicFilter):
            filter_type = "org.openedx.learning.something.new.v1"

            class PreventSomething(OpenEdxFilterException):
                pass

            @classmethod
            def run_filter(cls, user: Any, course_key: Any, colour: str) -> Any:
                return cls.run_pipeline(user=user, course_key=course_key, colour=colour)

        self.kept = SomethingNew
        found = filters.get(SomethingNew.filter_type)
        assert found is not None
        return found

    def test_its_plain_values_may_change_and_the_account_may_not(self, found: Filter) -> None:
        contract = contracts.contract(found)
        assert not contract.known
        assert contract.changes == ("course_key", "colour")
        assert (contract.learner, contract.account) == ("user", Account.NEVER)
        assert contract.main == "PreventSomething"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.com/a", True),
        ("http://example.com", True),
        ("/a/b?c=d", True),
        ("", False),
        ("//example.com", False),
        ("/\\example.com", False),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("https://[::1", False),
        ("example.com", False),
        ("/a\nb", False),
        ("https://example.com/\x00", False),
    ],
)
def test_where_a_learner_may_be_sent(text: str, expected: bool) -> None:
    assert contracts.is_redirect_url(text) is expected
