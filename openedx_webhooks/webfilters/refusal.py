"""Why a reply is refused."""

from __future__ import annotations

from openedx_webhooks.exceptions import WebhooksError


class ReplyError(WebhooksError):
    """A reply that breaks the contract of its filter; the message says where and why, without its values."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)
