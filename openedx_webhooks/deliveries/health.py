"""The health of webhooks, written by the engine when it changes, and what follows from it: hold, pause, switch off."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from openedx_webhooks import app_settings, signals
from openedx_webhooks.deliveries.record import Result
from openedx_webhooks.deliveries.retry import DELETED, Verdict, probe_pace
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


class HealthKeeper:
    """Keeps the health rows of one drain's webhooks."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        self._known: dict[int, _Known] = {}

    def update(self, results: Iterable[Result]) -> None:
        """Take in recorded results, in the order in which they came."""
        by_webhook: dict[int, list[Verdict]] = {}
        for result in results:
            if result.verdict is DELETED:
                continue
            by_webhook.setdefault(result.job.webhook_id, []).append(result.verdict)
        for webhook_id, verdicts in by_webhook.items():
            self._update(webhook_id, verdicts)

    def _update(self, webhook_id: int, verdicts: list[Verdict]) -> None:
        known = self._known.get(webhook_id) or self._load(webhook_id)
        gone = any(v.reason == "gone" for v in verdicts)
        last = verdicts[-1]
        if last.ok:
            self._succeeded(webhook_id, known)
        elif last.refused:
            self._refused(webhook_id, known, last)
        else:
            streak = _streak(verdicts)
            known.failures = streak if any(v.ok for v in verdicts) else known.failures + streak
            self._failed(webhook_id, known, last)
        if gone:
            self._switch_off(webhook_id)

    def _load(self, webhook_id: int) -> _Known:
        sql = f"SELECT failures, refused_at IS NOT NULL FROM {_TABLE} WHERE webhook_id = %s"
        rows = again(lambda: fetch(self._connection, sql, [webhook_id]), connection=self._connection)
        if not rows:
            self._create(webhook_id)
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

    def _succeeded(self, webhook_id: int, known: _Known) -> None:
        now = time.monotonic()
        if not known.failures and not known.refused and now - known.written < SUCCESS_PACE:
            return
        known.failures, known.refused, known.written = 0, False, now
        self._set(
            webhook_id,
            f"failures = 0, failing_since = NULL, last_success_at = {utc_now_sql(self._connection)},"
            " hold_until = NULL, refused_at = NULL, refusal = ''",
            [],
        )

    def _failed(self, webhook_id: int, known: _Known, verdict: Verdict) -> None:
        hold = max(verdict.hold, probe_pace(known.failures))
        known.refused = False
        now, later = utc_now_sql(self._connection), utc_later_sql(self._connection)
        self._set(
            webhook_id,
            f"failures = %s, failing_since = COALESCE(failing_since, {now}), last_failure_at = {now}, last_error = %s,"
            f" hold_until = {later}, refused_at = NULL, refusal = ''",
            [known.failures, _line(verdict.error), microseconds(hold)],
        )
        self._pause_when_hopeless(webhook_id)

    def _refused(self, webhook_id: int, known: _Known, verdict: Verdict) -> None:
        if not known.refused:
            log.warning("openedx_webhooks: deliveries of webhook %s are parked: %s", webhook_id, verdict.error)
        known.refused = True
        now, later = utc_now_sql(self._connection), utc_later_sql(self._connection)
        self._set(
            webhook_id,
            f"refused_at = COALESCE(refused_at, {now}), refusal = %s, hold_until = {later}",
            [_line(verdict.error), microseconds(verdict.hold)],
        )

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
            signals.webhook_paused.send_robust(sender=WebhookHealth, webhook_id=webhook_id, reason=reason)

    def _switch_off(self, webhook_id: int) -> None:
        reason = "Switched off: the receiver answered 410 Gone."
        rows = Webhook.objects.using(self._connection.alias).filter(pk=webhook_id, enabled=True)
        if again(lambda: rows.update(enabled=False, modified=timezone.now()), connection=self._connection):
            log.warning("openedx_webhooks: webhook %s is switched off: its receiver answered 410", webhook_id)
            signals.webhook_paused.send_robust(sender=WebhookHealth, webhook_id=webhook_id, reason=reason)

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


def _streak(verdicts: list[Verdict]) -> int:
    """Return how many of the last verdicts, without a success between them, were failures."""
    streak = 0
    for verdict in reversed(verdicts):
        if verdict.ok:
            break
        streak += 1
    return streak


def _line(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:255]
