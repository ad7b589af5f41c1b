"""What one webfilter's answer comes to: checked whole, before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openedx_filters.exceptions import OpenEdxFilterException

from openedx_webhooks import app_settings
from openedx_webhooks.catalog.contracts import Contract
from openedx_webhooks.catalog.filters import Filter
from openedx_webhooks.data import Outcome, Switch, WebfilterSubscription
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.payloads.filters import FilterPayload
from openedx_webhooks.webfilters import echoes, halting, replies
from openedx_webhooks.webfilters.applying import Plan, plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One run of a filter."""

    found: Filter
    contract: Contract
    arguments: Mapping[str, Any]
    payload: FilterPayload


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What one webfilter's answer comes to."""

    subscription: WebfilterSubscription
    outcome: Outcome
    halt: OpenEdxFilterException | None = None
    data: Mapping[str, Any] | None = None
    """What it wants that is not as it was sent."""
    planned: Plan | None = None
    """What that comes to; None where nothing changes."""
    failed: bool = False
    """The receiver did not answer with success."""
    refused: bool = False
    """It did, and the answer cannot be used."""
    overridden: bool = False
    """Later webfilters want all that it wants otherwise."""
    notes: list[str] = field(default_factory=list)


def yield_to(verdict: Verdict, merged: Mapping[str, Any]) -> None:
    """Take out of a verdict what is not to be as it wants it: later replies, merged with it, override it there."""
    if verdict.planned is None or verdict.data is None:
        return
    kept = replies.kept(verdict.data, merged)
    own = [change for change in verdict.planned.changes if change.path in kept]
    lost = [change.path for change in verdict.planned.changes if change.path not in kept]
    if lost:
        verdict.notes.append(f"Overridden by a later webfilter: {', '.join(lost[:5])}.")
    verdict.overridden = not own
    if own:
        verdict.planned = replace(verdict.planned, changes=own)


def judged(call: Call, subscription: WebfilterSubscription, outcome: Outcome) -> Verdict:
    """Return what an answer asks for, or why it cannot be used and what the webfilter's switches say then."""
    verdict = Verdict(subscription=subscription, outcome=outcome)
    failing = replies.failing_switch(outcome, subscription)
    if failing is not None:
        problem, switch = failing
        verdict.failed = True
        fail(call, verdict, problem, switch)
        return verdict
    try:
        _read(call, verdict)
    except Exception as error:  # noqa: BLE001  one reply that nobody foresaw must not undo another webfilter's halt
        verdict.refused, verdict.halt, verdict.planned = True, None, None
        fail(call, verdict, told(error), subscription.on_request_exception)
    return verdict


def told(error: Exception) -> str:
    """Return what went wrong; of a foreign error the kind alone, for its text may quote the row or the reply."""
    return str(error) if isinstance(error, ReplyError) else f"{type(error).__name__} was raised."


def fail(call: Call, verdict: Verdict, problem: str, switch: Switch) -> None:
    """Note a failure, and halt where the webfilter's switch says so and the filter can be halted."""
    verdict.notes.append(problem)
    if not switch.halt or not verdict.subscription.halting:
        return
    try:
        verdict.halt = halting.from_switch(call.found, call.contract, call.arguments, switch)
    except Exception as error:  # noqa: BLE001  the exception is another package's class
        verdict.notes.append(told(error))
    if verdict.halt is None:
        verdict.notes.append("It is set to halt, but this filter cannot be halted; the process went on.")


def _read(call: Call, verdict: Verdict) -> None:
    """Read a reply, and check all of it: the halt it names, and what it wants to change."""
    reply, subscription = verdict.outcome.reply, verdict.subscription
    assert reply is not None  # noqa: S101  a success has a reply
    wish = replies.read(reply.body, truncated=reply.truncated)
    verdict.notes += wish.notes
    if wish.exception:
        _read_halt(call, verdict, wish)
    if wish.data is None or verdict.halt is not None:
        return
    if not subscription.filtering:
        verdict.notes.append("Its data is ignored: filtering is disabled.")
        return
    data = echoes.without(call.payload, subscription.encoding, wish.data, max_body=app_settings.MAX_BODY())
    replies.check_size(data)
    planned = plan(call.contract, call.arguments, call.payload, data, allow_html=subscription.allow_html)
    if planned.changes:
        verdict.data, verdict.planned = data, planned


def _read_halt(call: Call, verdict: Verdict, wish: replies.Wish) -> None:
    if not verdict.subscription.halting:
        verdict.notes.append("Its exception is ignored: halting is disabled.")
    elif not call.contract.raises or wish.exception in call.contract.unsafe:
        verdict.notes.append("Its exception is ignored: raising here would be a server error.")
    else:
        verdict.halt, notes = halting.from_reply(
            call.found,
            call.contract,
            call.arguments,
            wish.exception,
            wish.value,
            allow_html=verdict.subscription.allow_html,
        )
        verdict.notes += notes
