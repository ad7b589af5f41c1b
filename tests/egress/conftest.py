"""Both clients behind one door, a DNS that says what a test wants, and servers that misbehave below HTTP."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from openedx_webhooks.data import Outcome, Request
from openedx_webhooks.egress import blocking, resolver, trust
from openedx_webhooks.egress.concurrent import Sender

CERTIFICATE = Path(__file__).parent / "localhost.pem"
"""Self-signed, with its key, for localhost, hooks.test and 127.0.0.1."""
LOOPBACK = ("127.0.0.1",)


class Client:
    """Sends one request by the client under test, and returns its outcome."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._senders: dict[tuple[object, ...], Sender] = {}

    def __call__(
        self,
        url: str,
        *,
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
        timeout: float = 5,
        allowed: Sequence[str] = LOOPBACK,
        proxy: str | None = None,
        keep_body: int = 16 * 1024,
    ) -> Outcome:
        request = Request(url=url, headers=headers or {}, body=body, timeout=timeout)
        if self.name == "blocking":
            return blocking.post(request, allowed_networks=allowed, proxy=proxy, keep_body=keep_body)
        key = (tuple(allowed), proxy, keep_body)
        if key not in self._senders:
            self._senders[key] = Sender(allowed_networks=allowed, proxy=proxy, keep_body=keep_body)
        self._senders[key].submit([("only", request)])
        [(returned, outcome)] = self._senders[key].collect(timeout=timeout + 20)
        assert returned == "only"
        return outcome

    def close(self) -> None:
        for sender in self._senders.values():
            sender.close()


@pytest.fixture(params=["concurrent", "blocking"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    client = Client(request.param)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that one test's DNS or connections left reaches the next test."""
    monkeypatch.setattr(resolver, "_resolvers", {})
    blocking._adapters.clear()


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the system trust the certificate of this folder, as an operator would."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    trust.tls_context.cache_clear()
    yield
    trust.tls_context.cache_clear()


class DNS:
    """What ``socket.getaddrinfo`` says for the names that a test gives; other names go to the real one."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.over = threading.Event()
        self._real = socket.getaddrinfo

    def say(self, name: str, *answers: Sequence[str] | Exception) -> None:
        """Give a name an answer for each time it is asked; the last stays."""
        self.answers[name] = list(answers)

    def hang(self, *names: str) -> None:
        """Never answer for a name, until the test is over."""
        for name in names:
            self.answers[name] = self.over

    def getaddrinfo(self, host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in self.answers:
            return self._real(host, port, *args, **kwargs)
        self.asked.append(host)
        answers = self.answers[host]
        if answers is self.over:
            self.over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "the test is over")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [self._row(address, port) for address in answer]

    @staticmethod
    def _row(address: str, port: int) -> tuple[Any, ...]:
        if ":" in address:
            return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0)
        return socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[DNS]:
    fake = DNS()
    monkeypatch.setattr(socket, "getaddrinfo", fake.getaddrinfo)
    yield fake
    fake.over.set()


class RawServer:
    """A TCP server on loopback that hands each connection to a function in a thread of its own."""

    def __init__(self, talk: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0) -> None:
        self._talk = talk
        self.connections = 0
        self.bytes_sent = 0
        self.done = threading.Event()
        self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(30)
            self._talk(connection)
        self.done.set()

    def flood(self, connection: socket.socket, piece: bytes) -> None:
        """Send a piece again and again until the other side leaves, and count."""
        while True:
            connection.sendall(piece)
            self.bytes_sent += len(piece)

    def close(self) -> None:
        # Wakes accept() too, which close() alone does not.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(talk: Callable[[socket.socket], None], **options: Any) -> RawServer:
        servers.append(RawServer(talk, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def black_hole() -> Iterator[Callable[[str, int], int]]:
    """Make ports that answer no connection at all, not even by refusing it."""
    with contextlib.ExitStack() as sockets:

        def dig(host: str = "127.0.0.1", port: int = 0) -> int:
            full = sockets.enter_context(socket.socket())
            full.bind((host, port))
            full.listen(0)
            for _ in range(4):  # what the queue takes, and what waits before it
                caller = sockets.enter_context(socket.socket())
                caller.setblocking(False)
                caller.connect_ex(full.getsockname())
            return int(full.getsockname()[1])

        yield dig


def tls_talk(connection: socket.socket) -> None:
    """Answer one request over TLS, with the certificate of this folder."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    with context.wrap_socket(connection, server_side=True) as secured:
        received = b""
        while not received.endswith(b"{}"):
            received += secured.recv(65536)
        secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")


def tunnel_talk(connection: socket.socket, port: int) -> None:
    """Be a proxy for one CONNECT, to a port on loopback, whatever name was asked for."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += connection.recv(65536)
    assert asked.startswith(b"CONNECT hooks.test:443 ")
    with socket.create_connection(("127.0.0.1", port)) as site:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pipe, args=(connection, site), daemon=True).start()
        _pipe(site, connection)


def _pipe(source: socket.socket, drain: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            drain.sendall(data)
        drain.shutdown(socket.SHUT_WR)


def eventually(happened: Callable[[], object]) -> None:
    """Wait until something is true; fail after 10 s."""
    deadline = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < deadline, "It did not happen within 10 s."
        time.sleep(0.01)
