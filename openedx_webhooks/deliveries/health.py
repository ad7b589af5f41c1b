"""The health of webhooks, written by the engine when it changes, and what follows from it: hold, pause, switch off."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from openedx_webhooks import app_settings, signals
from openedx_webhooks.deliveries.record import Result
from openedx_webhooks.deliveries.retry import REFUSED_PACE, Verdict, probe_pace
from openedx_webhooks.deliveries.sql import again
from openedx_webhooks.models import Webhook, WebhookHealth
from openedx_webhooks.models.clock import execute, fetch, microseconds, utc_later_sql, utc_now_sql

log = logging.getLogger(__name__)

SUCCESS_PACE = 10.0
"""Seconds between two writes about a webhook that keeps answering."""
_TABLE = WebhookHealth._meta.db_table


@dataclass(kw_only=True, slots=True)
class _Known:
    """What this drain knows of a webhook's row."""

    failures: int
    refused: bool
    written: float
    """When its success was last written, on the monotonic clock."""
    held_until: float = 0.0
    """Until when the receiver asked to be left alone (``Retry-After``), on the monotonic clock."""


class HealthKeeper:
    """Keeps the health rows of one drain's webhooks."""

    def __init__(self, connection: BaseDatabaseWrapper, paused: dict[int, str] | None = None) -> None:
        self._connection = connection
        self._paused = {} if paused is None else paused
        """Filled with the webhooks that were paused or switched off, and why."""
        self._known: dict[int, _Known] = {}

    def update(self, results: Iterable[Result]) -> None:
        """Take in recorded results, in the order in which they came."""
        by_webhook: defaultdict[int, list[Verdict]] = defaultdict(list)
        for result in results:
            verdict = result.verdict
            if verdict.about_receiver:
                verdicts = by_webhook[result.job.webhook_id]
                if not (verdict.ok and verdicts and verdicts[-1].ok):  # successes in a row say no more than one of them
                    verdicts.append(verdict)
        for webhook_id, verdicts in by_webhook.items():
            self._update(webhook_id, verdicts)

    def _update(self, webhook_id: int, verdicts: list[Verdict]) -> None:
        known = self._known.get(webhook_id) or self._load(webhook_id)
        before = (known.failures, known.refused)
        for verdict in verdicts:
            _take_in(known, verdict)
        if known.refused and not before[1]:
            log.warning("openedx_webhooks: deliveries of webhook %s are parked: %s", webhook_id, verdicts[-1].error)
        changed = before != (0, False) or (known.failures, known.refused) != (0, False)
        if changed or time.monotonic() - known.written >= SUCCESS_PACE:
            self._write(webhook_id, known, verdicts)
        if known.failures:
            self._pause_when_hopeless(webhook_id)
        if any(verdict.reason == "gone" for verdict in verdicts):
            self._switch_off(webhook_id)

    def _load(self, webhook_id: int) -> _Known:
        sql = f"SELECT failures, refused_at IS NOT NULL FROM {_TABLE} WHERE webhook_id = %s"
        rows = again(lambda: fetch(self._connection, sql, [webhook_id]), connection=self._connection)
        if not rows:
            again(lambda: self._create(webhook_id), connection=self._connection)
            rows = [(0, False)]
        known = _Known(failures=rows[0][0], refused=bool(rows[0][1]), written=-SUCCESS_PACE)
        self._known[webhook_id] = known
        return known

    def _create(self, webhook_id: int) -> None:
        try:
            with transaction.atomic(using=self._connection.alias):
                WebhookHealth.objects.using(self._connection.alias).create(webhook_id=webhook_id)
        except IntegrityError:  # Another drain was here first.
            pass

    def _write(self, webhook_id: int, known: _Known, verdicts: list[Verdict]) -> None:
        """Write everything that the verdicts changed in one UPDATE."""
        now, later = utc_now_sql(self._connection), utc_later_sql(self._connection)
        answered, failed = any(v.ok for v in verdicts), [v for v in verdicts if v.counts and not v.ok]
        sets: list[str] = ["failures = %s"]
        values: list[object] = [known.failures]
        if answered:
            sets += [f"last_success_at = {now}", f"failing_since = {now if known.failures else 'NULL'}"]
            known.written = time.monotonic()
        elif known.failures:
            sets.append(f"failing_since = COALESCE(failing_since, {now})")
        if failed:
            sets += [f"last_failure_at = {now}", "last_error = %s"]
            values.append(_line(failed[-1].error))
        if not known.refused:
            sets += ["refused_at = NULL", "refusal = ''"]
        elif refusals := [v.error for v in verdicts if v.refused]:
            sets += [f"refused_at = COALESCE(refused_at, {now})", "refusal = %s"]
            values.append(_line(refusals[-1]))
        hold = _hold(known)
        sets.append(f"hold_until = {later if hold else 'NULL'}")
        values += [microseconds(hold)] if hold else []
        self._set(webhook_id, ", ".join(sets), values)

    def _pause_when_hopeless(self, webhook_id: int) -> None:
        reason = "Paused after nothing but failure. Mend the receiver, then resume the webhook."
        changed = self._set(
            webhook_id,
            f"paused_at = {utc_now_sql(self._connection)}, pause_reason = %s",
            [reason],
            f" AND paused_at IS NULL AND failing_since < {utc_later_sql(self._connection)}",
            [microseconds(-app_settings.DISABLE_AFTER())],
        )
        if changed:
            log.warning("openedx_webhooks: webhook %s is paused: nothing but failure for too long", webhook_id)
            self._tell(webhook_id, reason)

    def _tell(self, webhook_id: int, reason: str) -> None:
        self._paused[webhook_id] = reason
        signals.webhook_paused.send_robust(sender=WebhookHealth, webhook_id=webhook_id, reason=reason)

    def _switch_off(self, webhook_id: int) -> None:
        reason = "Switched off: the receiver answered 410 Gone."
        rows = Webhook.objects.using(self._connection.alias).filter(pk=webhook_id, enabled=True)
        if again(lambda: rows.update(enabled=False, modified=timezone.now()), connection=self._connection):
            log.warning("openedx_webhooks: webhook %s is switched off: its receiver answered 410", webhook_id)
            self._tell(webhook_id, reason)

    def _set(
        self,
        webhook_id: int,
        assignments: str,
        values: Sequence[object],
        condition: str = "",
        condition_values: Sequence[object] = (),
    ) -> int:
        sql = f"UPDATE {_TABLE} SET {assignments} WHERE webhook_id = %s{condition}"
        params = [*values, webhook_id, *condition_values]
        return again(lambda: execute(self._connection, sql, params), connection=self._connection)


def _take_in(known: _Known, verdict: Verdict) -> None:
    if verdict.ok:
        known.failures, known.refused = 0, False
    elif verdict.refused:
        known.refused = True
    else:
        known.failures, known.refused = known.failures + 1, False
        if verdict.hold:
            known.held_until = max(known.held_until, time.monotonic() + verdict.hold)


def _hold(known: _Known) -> float:
    """Return for how many seconds nothing goes to the webhook: what it asked for outlasts a success beside it."""
    paces = [REFUSED_PACE if known.refused else 0.0, probe_pace(known.failures), known.held_until - time.monotonic()]
    return max(0.0, *paces)


def _line(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:255]
