"""One run of a filter: ask its webfilters, judge each answer, then halt or apply, and record.

Nothing is saved when the process is halted.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from openedx_webhooks import app_settings, egress, signing
from openedx_webhooks.catalog import contracts, filters
from openedx_webhooks.data import Failure, Outcome, Request, WebfilterSubscription
from openedx_webhooks.exceptions import WebhooksError
from openedx_webhooks.models import FilterCall, incident
from openedx_webhooks.models.lines import parse_headers
from openedx_webhooks.payloads import filters as payloads
from openedx_webhooks.payloads import formats
from openedx_webhooks.webfilters import accounts, exchange, masking, record, replies
from openedx_webhooks.webfilters.applying import Plan, apply, plan
from openedx_webhooks.webfilters.verdicts import Call, Verdict, fail, judged, told, yield_to


def run(
    filter_type: str, arguments: Mapping[str, Any], live: Sequence[WebfilterSubscription], began: float
) -> dict[str, Any]:
    """Return the arguments that changed, or raise the filter's own exception.

    ``began`` is when the filter ran, on the monotonic clock: the budget counts from there.
    """
    found = filters.get(filter_type)
    if found is None:
        return {}
    contract = contracts.contract(found)
    if contract.account == contracts.Account.AT_LOGIN:
        accounts.forget_deferred()
    wanted = _wanted(contract, arguments, live)
    if not wanted:
        return {}
    unread = payloads.unread(found, str(uuid.uuid4()))
    call = Call(found=found, contract=contract, arguments=arguments, payload=unread)
    try:
        call = replace(call, payload=payloads.read(found, contract, arguments, unread.message_id))
        outcomes = _asked(call, wanted, began)
    except Exception as error:  # noqa: BLE001  that we cannot ask is each webfilter's request exception
        incident.note("webfilter", f"The webfilters of {found.name} could not be asked: {type(error).__name__}.")
        outcomes = [_unasked(error)] * len(wanted)
    return _concluded(call, [judged(call, s, o) for s, o in zip(wanted, outcomes, strict=True)])


def _wanted(
    contract: contracts.Contract, arguments: Mapping[str, Any], live: Sequence[WebfilterSubscription]
) -> list[WebfilterSubscription]:
    """Return the webfilters to ask, before more is read than that takes."""
    if not any(subscription.courses or subscription.organizations for subscription in live):
        return list(live)
    places = payloads.places(contract, arguments)
    return [subscription for subscription in live if _wants(subscription, places)]


def _wants(subscription: WebfilterSubscription, places: payloads.Places) -> bool:
    """Return whether a call's course is among those that a webfilter is limited to; no course, no match."""
    return _matches(subscription.courses, places.course_keys) and _matches(
        subscription.organizations, places.organizations
    )


def _matches(patterns: Sequence[str], texts: Iterable[str]) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)


def _asked(call: Call, wanted: Sequence[WebfilterSubscription], began: float) -> list[Outcome]:
    """Ask, and return the outcomes in order. The budget counts from the moment the filter ran."""
    questions: dict[int, exchange.Question] = {}
    outcomes: dict[int, Outcome] = {}
    for index, subscription in enumerate(wanted):
        try:
            questions[index] = _question(call, subscription)
        except Exception as error:  # noqa: BLE001  one that cannot be asked must not keep the others from it
            outcomes[index] = _unasked(error)
    budget = app_settings.FILTER_BUDGET() - (time.monotonic() - began)
    if questions:
        answers = exchange.ask(list(questions.values()), _terms(), budget=budget)
        outcomes |= dict(zip(questions, answers, strict=True))
    return [outcomes[index] for index in range(len(wanted))]


def _unasked(error: Exception) -> Outcome:
    """Return the outcome of a webfilter that nothing was sent to; of a foreign error the kind alone is told."""
    is_ours = isinstance(error, WebhooksError)
    detail = f"{error} Correct the webfilter." if is_ours else f"It could not be asked: {told(error)}"
    return Outcome(started_at=datetime.now(UTC), duration=0.0, failure=Failure.CONFIGURATION, detail=detail)


def _terms() -> exchange.Terms:
    return exchange.Terms(
        allowed_networks=app_settings.ALLOWED_NETWORKS(),
        proxy=app_settings.PROXY(),
        keep_body=app_settings.MAX_BODY(),
    )


def _question(call: Call, subscription: WebfilterSubscription) -> exchange.Question:
    """Return the signed POST. Raises WebhooksError where its secret or headers cannot be used."""
    body = call.payload.body(subscription.encoding, max_body=app_settings.MAX_BODY())
    keys = [signing.decode_secret(secret) for secret in _secrets(subscription)]
    request = Request(
        url=subscription.url,
        headers={
            "Content-Type": formats.content_type(subscription.encoding),
            "User-Agent": egress.user_agent(),
            **parse_headers(subscription.headers),
            **signing.headers(keys, call.payload.message_id, int(time.time()), body),
        },
        body=body,
        timeout=app_settings.FILTER_TIMEOUT() if subscription.timeout is None else subscription.timeout,
    )
    return exchange.Question(webfilter_id=subscription.webfilter_id, request=request)


def _secrets(subscription: WebfilterSubscription) -> list[str]:
    until = subscription.previous_secret_until
    rotates = bool(subscription.previous_secret) and until is not None and until > datetime.now(UTC)
    return [subscription.secret, *([subscription.previous_secret] if rotates else [])]


def _concluded(call: Call, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Raise the first halt, in the order of the webfilters; else apply what the replies want together."""
    acting = [verdict for verdict in verdicts if not verdict.subscription.shadow]
    halted = _first_halt(acting)
    changed: dict[str, Any] = {}
    deferred = False
    if halted is None:
        changed, deferred = _applied(call, [verdict for verdict in acting if verdict.planned is not None])
        halted = _first_halt(acting)
    for verdict in verdicts:
        _record(call, verdict, halted, deferred=deferred)
    if halted is not None and halted.halt is not None:
        raise halted.halt
    return changed


def _first_halt(verdicts: Sequence[Verdict]) -> Verdict | None:
    return next((verdict for verdict in verdicts if verdict.halt is not None), None)


def _applied(call: Call, verdicts: Sequence[Verdict]) -> tuple[dict[str, Any], bool]:
    """Apply what several replies want, and return the new arguments and whether a login has to succeed first.

    Where that fails, nothing is changed, and each webfilter's switch says whether the process goes on.
    """
    if not verdicts:
        return {}, False
    try:
        planned = _planned(call, verdicts)
        webfilter_ids = [verdict.subscription.webfilter_id for verdict in verdicts if not verdict.overridden]
        return apply(planned, webfilter_ids), planned.deferred
    except Exception as error:  # noqa: BLE001  the platform's save may raise anything
        for verdict in verdicts:
            verdict.failed, verdict.planned = True, None
            problem = f"It could not be applied: {told(error)}"
            fail(call, verdict, problem, verdict.subscription.on_request_exception)
        return {}, False


def _planned(call: Call, verdicts: Sequence[Verdict]) -> Plan:
    """Return what several replies come to: where they want the same leaf otherwise than it was sent, the later wins."""
    if len(verdicts) == 1 and verdicts[0].planned is not None:
        return verdicts[0].planned
    merged = replies.merge(verdict.data for verdict in verdicts if verdict.data)
    for verdict in verdicts:
        yield_to(verdict, merged)
    # Each was judged by what its own webfilter allows; together they may do what each of them may.
    return plan(call.contract, call.arguments, call.payload, merged, allow_html=True)


def _record(call: Call, verdict: Verdict, halted: Verdict | None, *, deferred: bool) -> None:
    """Remember one call. Never raises: a halt that cannot be written down is a halt."""
    try:
        record.put(_recorded(call, verdict, halted, deferred=deferred))
    except Exception as error:  # noqa: BLE001  as above
        incident.note("webfilter_record", f"A call could not be recorded: {type(error).__name__}.")


def _recorded(call: Call, verdict: Verdict, halted: Verdict | None, *, deferred: bool) -> FilterCall:
    learner = payloads.learner(call.contract, call.arguments)
    user_id = learner.pk if learner is not None else None
    reply = verdict.outcome.reply
    return FilterCall(
        webfilter_id=verdict.subscription.webfilter_id,
        message_id=call.payload.message_id,
        filter_name=call.found.name,
        filter_type=call.found.filter_type,
        created=verdict.outcome.started_at,
        duration=round(verdict.outcome.duration * 1000),
        status=reply.status if reply is not None and 0 <= reply.status <= 999 else None,
        outcome=_outcome(verdict, halted, deferred=deferred),
        exception=type(verdict.halt).__name__ if verdict.halt is not None else "",
        detail=" ".join(verdict.notes)[:2000],
        changes=masking.masked(verdict.planned.changes if verdict.planned else ()),
        user_id=user_id if isinstance(user_id, int) else None,
    )


def _outcome(verdict: Verdict, halted: Verdict | None, *, deferred: bool) -> str:
    """Return what is recorded; an empty text where nothing happened, which is counted alone."""
    kinds = FilterCall.Outcome
    if verdict.halt is not None:
        live = kinds.HALTED if verdict is halted else kinds.DISCARDED
        return kinds.WOULD_HALT if verdict.subscription.shadow else live
    if verdict.failed or verdict.refused:
        return kinds.FAILED if verdict.failed else kinds.REFUSED
    if verdict.planned is None:
        return ""
    live = kinds.DEFERRED if deferred else kinds.CHANGED
    live = kinds.OVERRIDDEN if verdict.overridden else live
    live = kinds.DISCARDED if halted is not None else live
    return kinds.WOULD_CHANGE if verdict.subscription.shadow else live
