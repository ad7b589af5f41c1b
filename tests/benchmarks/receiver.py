"""A receiver in a process of its own that is never the bottleneck: it reads no more of HTTP than it must.

The first part of the path says what it does: ``/0/...`` answers at once, ``/200/...`` after 200 ms, ``/hang/...``
never. It remembers of each request when it came, its path, and its ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request."""

    when: float
    """On the wall clock, which all processes share."""
    path: str
    webhook_id: str


class _Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self, arrivals: list[tuple[float, bytes, bytes]]) -> None:
        self._arrivals = arrivals
        self._seen = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[: end + 2]
            whole = end + 4 + int(_header(head.lower(), b"\r\ncontent-length:") or 0)
            if len(self._seen) < whole:
                return
            self._seen = self._seen[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1]
        self._arrivals.append((time.time(), path, _header(head, b"\r\nwebhook-id:")))
        what = path.split(b"/", 2)[1]
        if what == b"0":
            self._transport.write(ANSWER)
        elif what != b"hang":
            asyncio.get_running_loop().call_later(int(what) / 1000, self._transport.write, ANSWER)


def _header(head: bytes, name: bytes) -> bytes:
    start = head.find(name)
    return b"" if start < 0 else head[start + len(name) : head.index(b"\r\n", start + 2)].strip()


def _serve(pipe: Connection) -> None:
    asyncio.run(_run(pipe))


async def _run(pipe: Connection) -> None:
    arrivals: list[tuple[float, bytes, bytes]] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Answering(arrivals), "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    ended = loop.create_future()

    def command() -> None:
        try:
            asked = pipe.recv()
        except EOFError:
            ended.set_result(None)
            return
        if asked == "count":
            pipe.send(len(arrivals))
        else:
            pipe.send(list(arrivals))
            arrivals.clear()

    loop.add_reader(pipe.fileno(), command)
    await ended


class Receiver:
    """The handle on the process; a context manager."""

    def __enter__(self) -> Receiver:
        self._pipe, there = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        self.port = self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()

    def url(self, path: str) -> str:
        """Return the URL of a path such as ``0/first``."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def count(self) -> int:
        """Return how many requests came since the last ``take``."""
        self._pipe.send("count")
        return int(self._pipe.recv())

    def take(self) -> list[Arrival]:
        """Return what came, and forget it."""
        self._pipe.send("take")
        return [Arrival(when, path.decode(), ident.decode()) for when, path, ident in self._pipe.recv()]

    def wait(self, count: int, seconds: float) -> list[Arrival]:
        """Wait until so many requests came; return them and forget them. TimeoutError otherwise."""
        deadline = time.monotonic() + seconds
        while (there := self.count()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{there} of {count} requests came within {seconds:g} s.")
            time.sleep(0.02)
        return self.take()
