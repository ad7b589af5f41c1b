"""Our own signals, for other plugins. Receivers are called with ``send_robust``: they cannot break a delivery."""

from __future__ import annotations

from django.dispatch import Signal

webhook_paused = Signal()
"""A webhook was paused after ``DISABLE_AFTER`` of nothing but failure, or switched off by a receiver's 410.

Arguments: ``webhook_id`` (int), ``reason`` (str, for a person). Sent from a worker, after its transaction.
"""

delivery_failed = Signal()
"""A delivery failed for good.

Arguments: ``delivery_id`` (int), ``webhook_id`` (int), ``reason`` (str: exhausted, gone, deleted,
unreadable). Sent from a worker.
"""
