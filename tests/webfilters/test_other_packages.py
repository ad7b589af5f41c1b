"""Filters that other packages define: who may do what is not a receiver's to say."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from openedx_filters.exceptions import OpenEdxFilterException
from openedx_filters.tooling import OpenEdxPublicFilter

from openedx_webhooks.catalog import contracts, filters
from openedx_webhooks.testing import Receiver
from tests.webfilters.conftest import MakeWebfilter, data, halt
from tests.webfilters.test_every_filter import FILTERS  # noqa: F401  collected before these classes are

STEP = "openedx_webhooks.webfilters.step.WebfilterStep"


class AuthorizationDataRequested(OpenEdxPublicFilter):
    """As openedx-authz has it: ``run_filter`` takes the items, the pipeline gets errors as well."""

    filter_type = ""

    @classmethod
    def run_filter(cls, items: list[dict[str, Any]]) -> Any:
        """Return the items that the pipeline leaves."""
        return cls.run_pipeline(items=items, errors=[])["items"]


class PermissionValidationRequested(AuthorizationDataRequested):
    filter_type = "org.openedx.authz.permission_validation.requested.v1"


class RoleAssignmentRequested(AuthorizationDataRequested):
    filter_type = "org.openedx.authz.role_assignment.requested.v1"


class RoleRemovalRequested(AuthorizationDataRequested):
    filter_type = "org.openedx.authz.role_removal.requested.v1"


OF_AUTHZ = (PermissionValidationRequested, RoleAssignmentRequested, RoleRemovalRequested)


class RightsOfNobodyKnownRequested(OpenEdxPublicFilter):
    """Of a package that nobody has heard of."""

    filter_type = "org.example.rights.requested.v1"
    given: ClassVar[dict[str, Any]] = {
        "items": [{"role": "student", "users": ["ada"], "scopes": ["course"]}],
        "context": {"action": "edit", "allowed": False},
        "role": "student",
        "new_role": "student",
        "allowed": False,
        "names": {"ada"},
        "colour": "red",
        "count": 1,
    }

    class RenderInstead(OpenEdxFilterException):
        def __init__(self, message: str, template_name: str, template_context: Any = None) -> None:
            super().__init__(message, template_name=template_name, template_context=template_context)

    @classmethod
    def run_filter(
        cls, *, items: Any, context: Any, role: Any, new_role: Any, allowed: Any, names: Any, colour: Any, count: Any
    ) -> Any:
        """Return what the pipeline leaves of all arguments."""
        return cls.run_pipeline(
            items=items,
            context=context,
            role=role,
            new_role=new_role,
            allowed=allowed,
            names=names,
            colour=colour,
            count=count,
        )


@pytest.fixture(autouse=True)
def wired(settings: Any) -> None:
    """Have the platform run the step for these filters."""
    types = [cls.filter_type for cls in (*OF_AUTHZ, RightsOfNobodyKnownRequested)]
    step = {"pipeline": [STEP], "fail_silently": True}
    settings.OPEN_EDX_FILTERS_CONFIG = {**settings.OPEN_EDX_FILTERS_CONFIG, **dict.fromkeys(types, step)}


@pytest.mark.parametrize(
    ("filter_class", "items", "wanted"),
    [
        (
            PermissionValidationRequested,
            [{"action": "courses.edit", "scope": "course-v1:edX+A+1", "allowed": False}],
            [{"action": "courses.edit", "scope": "course-v1:edX+A+1", "allowed": True}],
        ),
        (
            RoleAssignmentRequested,
            [{"role": "library_user", "users": ["ada"], "scopes": ["lib:edX:A"]}],
            [{"role": "library_admin", "users": ["ada", "eve"], "scopes": ["lib:edX:*"]}],
        ),
        (RoleRemovalRequested, [{"role": "library_admin", "users": ["eve"], "scopes": ["lib:edX:A"]}], []),
    ],
)
@pytest.mark.parametrize("argument", ["items", "errors"])
def test_a_reply_grants_nothing(
    argument: str,
    filter_class: Any,
    items: list[Any],
    wanted: list[Any],
    *,
    webfilter: MakeWebfilter,
    receiver: Receiver,
    calls: Any,
) -> None:
    webfilter(filter_class.__name__)
    receiver.answer(data(**{argument: wanted or ["x"]}), data(**{argument: wanted}))
    before = repr(items)
    for _ in range(2):
        assert filter_class.run_filter(items=items) is items
    assert repr(items) == before
    assert receiver.requests[0].json()["items"] == items
    assert {call.outcome for call in calls()} == {"refused"}


@pytest.mark.parametrize(
    "wanted",
    [
        {"items": [{"role": "admin", "users": ["eve"], "scopes": ["*"]}]},
        {"items": []},
        {"context": {"allowed": True}},
        {"context": {"new": 1}},
        {"names": ["eve"]},
        {"role": "admin"},
        {"new_role": "admin"},
        {"allowed": True},
    ],
)
def test_nor_where_nobody_knows_the_filter(
    wanted: dict[str, Any], *, webfilter: MakeWebfilter, receiver: Receiver, calls: Any
) -> None:
    webfilter("RightsOfNobodyKnownRequested")
    receiver.answer(data(**wanted))
    given = RightsOfNobodyKnownRequested.given
    assert RightsOfNobodyKnownRequested.run_filter(**given) == given
    assert [call.outcome for call in calls()] == ["refused"]


def test_a_halt_of_it_with_a_template(webfilter: MakeWebfilter, receiver: Receiver) -> None:
    webfilter("RightsOfNobodyKnownRequested")
    value = {"template_name": "other/page.html", "template_context": {"reason": "closed"}}
    receiver.answer(halt("RenderInstead", value), halt("RenderInstead", {"template_name": "other/page.html"}))
    given = RightsOfNobodyKnownRequested.given
    for expected in ({"allowed": False, "action": "edit", "reason": "closed"}, given["context"]):
        with pytest.raises(RightsOfNobodyKnownRequested.RenderInstead) as raised:
            RightsOfNobodyKnownRequested.run_filter(**given)
        assert raised.value.template_context == expected


def test_its_plain_values_may_change(webfilter: MakeWebfilter, receiver: Receiver) -> None:
    webfilter("RightsOfNobodyKnownRequested")
    receiver.answer(data(colour="blue", count=2))
    given = RightsOfNobodyKnownRequested.given
    assert RightsOfNobodyKnownRequested.run_filter(**given) == {**given, "colour": "blue", "count": 2}


def test_a_new_filter_of_the_platform_s_own_package_is_trusted_with_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RightsOfNobodyKnownRequested, "__module__", "openedx_filters.learning.filters")
    monkeypatch.setattr(filters, "_known", (frozenset(), {}))
    found = filters.get(RightsOfNobodyKnownRequested.filter_type)
    assert found is not None
    assert not contracts.contract(found).plain
