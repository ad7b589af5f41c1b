"""The errors of this package, as one tree.

::

    WebhooksError
    ├── SettingError            a value of OPENEDX_WEBHOOKS_* cannot be used
    ├── InvalidURL              a URL that can never be called (scheme, host, port, spelling)
    ├── AddressRefused          a resolved address that the egress policy refuses
    ├── SignatureError          a signature that does not verify
    │   └── TimestampError      ... because it is too old or too new
    ├── InvalidSecret           a secret that is not a ``whsec_`` value of 24 to 64 bytes
    ├── InvalidHeaders          custom headers that cannot be sent
    ├── ReplyError              a webfilter's reply that breaks the contract of its filter
    └── EnrollmentRefused       the platform does not let this person into this course
"""

from __future__ import annotations


class WebhooksError(Exception):
    """Whatever this package raises on purpose."""


class SettingError(WebhooksError):
    """A setting has a value that cannot be used; the message names the setting and the mend."""


class InvalidURL(WebhooksError):
    """A URL that can never be called; the message says which part is wrong."""


class AddressRefused(WebhooksError):
    """The egress policy refuses an address.

    ``address`` is the address judged, ``reason`` says what it is, and ``allow`` is the exact entry of
    ``OPENEDX_WEBHOOKS_ALLOWED_NETWORKS`` that would open it.
    """

    def __init__(self, address: str, reason: str, allow: str) -> None:
        self.address = address
        self.reason = reason
        self.allow = allow
        super().__init__(
            f"{address} is refused: {reason}. To allow it, add {allow!r} to OPENEDX_WEBHOOKS_ALLOWED_NETWORKS."
        )


class SignatureError(WebhooksError):
    """A signature that does not verify."""


class TimestampError(SignatureError):
    """A signed timestamp that lies outside the tolerance."""


class InvalidSecret(WebhooksError):
    """A signing secret that cannot be used; the message never holds the secret."""


class InvalidHeaders(WebhooksError):
    """Custom headers that cannot be sent; the message names the line and the mend."""


class ReplyError(WebhooksError):
    """A webfilter's reply that breaks the contract of its filter; says where and why, without its values."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)


class EnrollmentRefused(WebhooksError):
    """The platform does not let this person into this course; the message is for the one who asked."""
