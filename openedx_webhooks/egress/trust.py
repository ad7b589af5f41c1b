"""Which certificates both clients trust."""

from __future__ import annotations

import functools
import ssl

import certifi


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS context; making one reads hundreds of certificates.

    It trusts the system's store, where an operator puts the site's own authority (OpenSSL's ``SSL_CERT_FILE``
    works too), and certifi's beside it, for slim images have no store.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
