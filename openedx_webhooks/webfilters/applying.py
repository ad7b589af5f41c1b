"""What a reply's ``data`` does to the arguments of a filter: planned whole, then applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openedx_webhooks.catalog.contracts import Account, Contract
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.payloads.filters import FilterPayload, learner
from openedx_webhooks.webfilters import accounts
from openedx_webhooks.webfilters.accounts import PEOPLE, Update
from openedx_webhooks.webfilters.changes import changed
from openedx_webhooks.webfilters.spots import Change, Spot

_ALWAYS_IGNORED = frozenset({"event_metadata"})


@dataclass(kw_only=True, slots=True)
class Plan:
    """What is going to change; nothing has yet."""

    contract: Contract
    arguments: dict[str, Any] = field(default_factory=dict)
    """The new values, of the filter's own arguments alone."""
    account: Update | None = None
    changes: Sequence[Change] = ()

    @property
    def deferred(self) -> bool:
        """Whether the account changes once the login has succeeded, and nothing changes now."""
        return self.account is not None and self.contract.account == Account.AT_LOGIN


def plan(
    contract: Contract,
    arguments: Mapping[str, Any],
    payload: FilterPayload,
    data: Mapping[str, Any],
    *,
    allow_html: bool,
) -> Plan:
    """Check everything that ``data`` wants, and return what is to change.

    ``data`` is without what was sent. Raises ReplyError for an argument that the filter does not have or that
    may not change, and for values that do not fit.
    """
    user = learner(contract, arguments)
    planned = Plan(contract=contract)
    changes: list[Change] = []
    people = {key: value for key, value in data.items() if contract.learner and key in PEOPLE}
    planned.account = accounts.planned(Spot("", contract, allow_html, changes), user, people)
    for name, wanted in data.items():
        if name in people or name in _ALWAYS_IGNORED:
            continue
        if name not in contract.changes or name not in arguments:
            known = name in payload.current.tree
            raise ReplyError(
                name[:60], "A webfilter may not change it." if known else "This filter has no such argument."
            )
        spot = Spot(name, contract, allow_html, changes)
        new = changed(spot, arguments[name], wanted)
        if new is not arguments[name]:
            planned.arguments[name] = new
    planned.changes = changes
    return planned


def apply(planned: Plan, webfilter_ids: Sequence[int]) -> dict[str, Any]:
    """Save the account, or keep it for the login, and return the arguments that changed.

    The learner is changed in place: the platform goes on with the object that it has. ``webfilter_ids`` are those
    that want it so.
    """
    if planned.account is not None and planned.deferred:
        accounts.defer(planned.account, webfilter_ids)
    elif planned.account is not None:
        accounts.save(planned.account)
    return planned.arguments
