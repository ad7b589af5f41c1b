"""Connections for requests that judge the address they connect to, and end at a deadline.

urllib3 makes every connection in ``_new_conn``, literals, retries and proxies included: that is where the name is
looked up on our own threads, each address judged, and the socket put under the deadline.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from openedx_webhooks.egress import resolver
from openedx_webhooks.egress.exchange import KEEP_ALIVE, Stopwatch
from openedx_webhooks.egress.policy import AllowedNetworks
from openedx_webhooks.egress.trust import tls_context
from openedx_webhooks.egress.watchdog import Deadline, Lifeline

_HOSTS = 64
_PER_HOST = 128
"""How many idle connections are kept to one host; more may be open at once."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a connection must know of the request that it is for."""

    watch: Stopwatch
    deadline: Deadline
    allowed: AllowedNetworks


class _Current(threading.local):
    exchange: Exchange | None = None


current = _Current()
"""The exchange of the running thread: urllib3 has no place to hand it through."""


def _exchange() -> Exchange:
    if current.exchange is None:
        raise RuntimeError("A connection was made outside an exchange; nothing judges its address.")
    return current.exchange


class _Guarded(HTTPConnection):
    """Judges, connects and stays under the deadline; for HTTP, and below TLS for HTTPS."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lifeline = Lifeline()
        self._used = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether an idle connection may be used again: neither closed, nor cut, nor kept too long."""
        fresh = time.monotonic() - self._used < KEEP_ALIVE
        return fresh and not self._lifeline.is_cut and super().is_connected

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send, under the deadline of the running exchange."""
        self._serve(_exchange().deadline)
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        """Read the answer's head; from here on the connection counts as used just now."""
        response = super().getresponse()
        self._used = time.monotonic()
        return response

    def close(self) -> None:
        """Close both handles on the socket, the second when the running exchange is over."""
        super().close()
        self._lifeline.close()

    def _serve(self, deadline: Deadline) -> None:
        self._lifeline.serve(deadline)
        deadline.hold(self._lifeline)
        if self._lifeline.is_cut:  # between being taken from the pool and here
            raise ConnectionResetError("The kept connection was just closed.")

    def _new_conn(self) -> socket.socket:
        exchange = _exchange()
        host, port = self._dns_host.strip("[]"), self.port
        addresses = self._addresses(host, port, exchange)
        connected = _connect(addresses, port, exchange.deadline)
        for option in self.socket_options or ():
            connected.setsockopt(*option)
        self._lifeline.attach(connected)
        self._serve(exchange.deadline)
        return connected

    def _addresses(self, host: str, port: int, exchange: Exchange) -> Sequence[str]:
        """Return the addresses that may be connected to; a proxy's are the operator's own word."""
        if _is_address(host):
            addresses: Sequence[str] = (host,)
        else:
            with exchange.watch.during("the name was being looked up"):
                addresses = resolver.shared().resolve(host, port, exchange.deadline.when)
        if self.proxy is None:
            addresses = resolver.permitted(host, addresses, exchange.allowed)
        return addresses


class _GuardedTLS(_Guarded, HTTPSConnection):
    """The same with TLS around it."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


class Adapter(HTTPAdapter):
    """requests' adapter with guarded pools. Thread-safe; keeps connections; never repeats a request."""

    def __init__(self, proxy: str | None) -> None:
        self._proxy = proxy
        self.proxies = {"http": proxy, "https": proxy} if proxy else {}
        super().__init__(pool_connections=_HOSTS, pool_maxsize=_PER_HOST)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of guarded connections."""
        super().init_poolmanager(*args, **kwargs, ssl_context=tls_context())
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools behind the proxy: guarded too, for the deadline's sake."""
        manager = super().proxy_manager_for(proxy, **{"ssl_context": tls_context(), **kwargs})
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
        return manager

    def get_connection_with_tls_context(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> Any:
        """Return the pool for a request. Its TLS context is ours, which requests' own choice would replace."""
        return self.get_connection(str(request.url))

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:  # noqa: ARG002 - requests' signature
        """Return the pool for a URL; requests before 2.32 asks here."""
        manager = self.proxy_manager_for(self._proxy) if self._proxy else self.poolmanager
        return manager.connection_from_url(url)

    def cert_verify(self, *_: Any) -> None:
        """Leave the verification to the TLS context; requests would load its bundle on every connection."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers, each with an even share of the time left."""
    problem: OSError | None = None
    for position, address in enumerate(addresses):
        share = (deadline.when - time.monotonic()) / (len(addresses) - position)
        if share <= 0:
            break
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(share)
            connecting.connect((address, port))  # numeric: this looks nothing up
        except OSError as error:
            connecting.close()
            problem = error
        else:
            return connecting
    raise problem or TimeoutError()
