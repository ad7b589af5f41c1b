"""For integrators' tests: a live HTTP receiver on loopback that records, verifies and misbehaves on request.

::

    from openedx_webhooks.testing import CLOSE, Answer, Receiver

    with Receiver(secret="whsec_...") as receiver:
        receiver.answer(500, CLOSE, Answer(status=429, headers={"Retry-After": "2"}), 200)
        ...                                       # let something POST to receiver.url("/hook")
        first, *_, last = receiver.wait_for(4)
        assert last.verified and last.message_id == first.message_id
        assert last.json()["event_metadata"]["event_type"].startswith("org.openedx.")

It needs Python's standard library alone. The policy of this package refuses loopback addresses unless
``OPENEDX_WEBHOOKS_ALLOWED_NETWORKS`` holds them: put ``127.0.0.1`` there in the settings of your tests.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from openedx_webhooks import signing
from openedx_webhooks.exceptions import SignatureError

__all__ = ["CLOSE", "ENDLESS", "GARBAGE", "HANG", "Answer", "Received", "Receiver", "gzip_bomb"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    """With the query string."""
    headers: Mapping[str, str]
    """Names in lower case; the last of a repeated header."""
    body: bytes
    received_at: float
    """``time.monotonic()`` when its last byte was read, before it was answered."""
    connection: int
    """The client's port: equal for requests over one kept-alive connection."""
    verified: bool | None
    """Whether its signature verifies; None where the receiver has no secret."""

    @property
    def message_id(self) -> str:
        """The ``webhook-id``: equal on every attempt of one message; empty where it has none."""
        return self.headers.get("webhook-id", "")

    def json(self) -> Any:
        """Return the body, parsed; raise ValueError where it is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How to answer a request; what is not said is an empty ``200 OK``, at once."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    """``Content-Length`` is added; one given here is sent as it is, and the connection closed after the body."""
    body: bytes = b""
    delay: float = 0
    """Seconds before the first byte."""
    drip: float = 0
    """Seconds after each byte of headers and body."""
    endless: bool = False
    """Send the body again and again until the client leaves."""
    raw: bytes | None = None
    """Exactly these bytes in place of an HTTP answer; the connection is closed after them."""
    hang: bool = False
    """Never answer, and keep the connection open."""


CLOSE = Answer(raw=b"")
"""Close the connection without an answer."""
GARBAGE = Answer(raw=b"\x00\xff\xfe this is not HTTP\r\n\r\n\x80\x81")
"""Answer with something that is not HTTP."""
HANG = Answer(hang=True)
"""Never answer."""
ENDLESS = Answer(body=b"and on and on " * 1024, endless=True)
"""A body without end."""


@functools.cache
def gzip_bomb(megabytes: int = 100) -> Answer:
    """Return an answer whose body is about a thousandth of what it unpacks to."""
    packed, megabyte = io.BytesIO(), bytes(1024 * 1024)
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        for _ in range(megabytes):
            file.write(megabyte)
    return Answer(headers={"Content-Encoding": "gzip"}, body=packed.getvalue())


class Receiver:
    """An HTTP/1.1 receiver on a free loopback port, one thread per connection. A context manager.

    With a ``secret`` each request says whether its signature verifies; see ``trust``. Answers ``200`` until told
    otherwise by ``answer``.
    """

    def __init__(self, *, secret: str | Sequence[str] | None = None, host: str = "127.0.0.1", port: int = 0) -> None:
        self._keys: list[bytes] | None = None
        self._changed = threading.Condition()
        self._requests: list[Received] = []
        self._answers: list[Answer] = [Answer()]
        self._choose: Callable[[Received], Answer | int] | None = None
        self._server = _Server(self, host, port)
        self.trust(secret)

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to serve, in daemon threads."""
        self._server.started = True
        run = functools.partial(self._server.serve_forever, poll_interval=0.05)
        threading.Thread(target=run, name="webhooks-receiver", daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection, also those that hang; what came stays readable."""
        self._server.stop()

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self._server.server_address[1])

    def url(self, path: str = "/") -> str:
        """Return the URL of a path; every path is received alike."""
        host = str(self._server.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{path}"

    def trust(self, secret: str | Sequence[str] | None) -> None:
        """Verify signatures from now on by a ``whsec_`` secret, by any of several, or with None not at all.

        Raises InvalidSecret for what is not a secret.
        """
        secrets = [secret] if isinstance(secret, str) else secret
        self._keys = None if secrets is None else [signing.decode_secret(each) for each in secrets]

    def answer(self, *answers: Answer | int | Callable[[Received], Answer | int]) -> None:
        """Say how to answer from now on: each request takes the next, and the last stays.

        An int is a status. One function instead is asked for each request, in the thread of its connection.
        """
        if not answers or any(callable(answer) for answer in answers[1:]):
            raise TypeError("answer() takes one function, or one or more answers.")
        with self._changed:
            self._choose = answers[0] if callable(answers[0]) else None
            self._answers = [_as_answer(answer) for answer in answers if not callable(answer)]

    @property
    def requests(self) -> list[Received]:
        """What came so far, in order: a copy."""
        with self._changed:
            return list(self._requests)

    def clear(self) -> None:
        """Forget what came."""
        with self._changed:
            self._requests.clear()

    def wait_for(self, count: int, timeout: float = 10) -> list[Received]:
        """Wait until ``count`` requests came, and return all that did (there may be more).

        Raises AssertionError after ``timeout`` seconds, with what came instead.
        """
        return self.wait_until(lambda requests: len(requests) >= count, timeout, f"{count} requests")

    def wait_until(
        self, happened: Callable[[list[Received]], object], timeout: float = 10, what: str = "that"
    ) -> list[Received]:
        """Wait until ``happened`` is true of the requests that came, and return them.

        Raises AssertionError after ``timeout`` seconds; ``what`` names in it what did not happen.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: happened(list(self._requests)), timeout):
                came = "".join(f"\n  {r.method} {r.path} {r.message_id} {r.body[:200]!r}" for r in self._requests[-20:])
                raise AssertionError(
                    f"Waited {timeout:g} s for {what}; {len(self._requests)} came:{came or ' nothing.'}"
                )
            return list(self._requests)

    def _receive(self, request: Received) -> Answer:
        """Record a request, and choose its answer."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            choose = self._choose
            if choose is None:
                return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return _as_answer(choose(request))

    def _verify(self, headers: Mapping[str, str], body: bytes) -> bool | None:
        keys = self._keys
        if keys is None:
            return None
        try:
            signing.verify(keys, headers, body)
        except SignatureError:
            return False
        return True


def _as_answer(answer: Answer | int) -> Answer:
    return Answer(status=answer) if isinstance(answer, int) else answer


class _Server(ThreadingHTTPServer):
    """Accepts bursts of connections, and can leave all of them at once."""

    request_queue_size = 1024
    daemon_threads = True
    block_on_close = False

    def __init__(self, receiver: Receiver, host: str, port: int) -> None:
        self.receiver = receiver
        self.started = False
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def stop(self) -> None:
        if self.stopping.is_set():
            return
        self.stopping.set()
        if self.started:
            self.shutdown()
        self.server_close()
        with self._lock:
            for connection in self._connections:
                _shut(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a client left, which it may when it likes; show what is a mistake."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # It left by itself.
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection: reads each request whole, records it, and answers as the receiver says."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _HEADERS_ONLY: ClassVar = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

    def _serve(self) -> None:
        body = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        receiver = self.server.receiver
        request = Received(
            method=self.command,
            path=self.path,
            headers=headers,
            body=body,
            received_at=time.monotonic(),
            connection=self.client_address[1],
            verified=receiver._verify(headers, body),  # noqa: SLF001
        )
        self._answer(receiver._receive(request))  # noqa: SLF001

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _serve  # noqa: N815

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(iter(self._read_chunk, b""))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("The client left within its request.")
        return body

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        self.rfile.readline()
        return chunk

    def _answer(self, answer: Answer) -> None:
        body = b"" if self.command == "HEAD" else answer.body
        self.server.stopping.wait(answer.delay)
        if answer.hang:
            self.server.stopping.wait()
        if answer.hang or answer.raw is not None:
            self.close_connection = True
        if not answer.hang:
            self._send(self._head(answer) + body if answer.raw is None else answer.raw, answer.drip)
        while answer.endless and body and not self.server.stopping.is_set():
            self._send(body, answer.drip)

    def _head(self, answer: Answer) -> bytes:
        """Return the status line and the headers."""
        headers = dict(answer.headers)
        own_length = {"content-length", "transfer-encoding"} & {name.lower() for name in headers}
        if own_length or answer.endless:
            self.close_connection = True
            headers.setdefault("Connection", "close")
        elif answer.status not in self._HEADERS_ONLY:
            headers["Content-Length"] = str(len(answer.body))
        phrase = self.responses.get(answer.status, ("Unknown", ""))[0]
        lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _send(self, data: bytes, drip: float) -> None:
        if not drip:
            self.connection.sendall(data)
            return
        for position in range(len(data)):
            self.connection.sendall(data[position : position + 1])
            if self.server.stopping.wait(drip):
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: the records say it."""
