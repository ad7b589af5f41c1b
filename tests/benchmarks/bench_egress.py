"""How the concurrent client compares with a bare aiohttp loop that does the same.

    python tests/benchmarks/bench_egress.py [requests] [rounds]

Both send signed-size bodies to one receiver in a process of its own, 32 at once. Prints, as medians over
alternating rounds, the throughput as a share of the bare loop's and the CPU time as a multiple of it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection

import aiohttp

from openedx_webhooks.data import Request
from openedx_webhooks.egress.concurrent import Sender

AT_ONCE = 32
BODY = b'{"user": {"id": 1, "pii": {"username": "a", "email": "a@example.com", "name": "A"}}}' * 12
HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "openedx-webhooks/benchmark",
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n" + b'{"ok":true}'


class _Answering(asyncio.Protocol):
    """Answers each request of a connection with 200; reads no more of HTTP than it must."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n")) >= 0:
            whole = end + 4 + len(BODY)
            if len(self.seen) < whole:
                return
            self.seen = self.seen[whole:]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


def serve(ready: Connection) -> None:
    """Be the receiver's process."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0, backlog=256)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def bare(url: str, requests: int) -> None:
    """Send with aiohttp and nothing else."""

    async def work(session: aiohttp.ClientSession, todo: list[int]) -> None:
        while todo:
            todo.pop()
            async with session.post(url, data=BODY, headers=HEADERS, allow_redirects=False) as response:
                await response.read()

    async def run() -> None:
        todo = list(range(requests))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(work(session, todo) for _ in range(AT_ONCE)))

    asyncio.run(run())


def ours(url: str, requests: int) -> None:
    """Send with the concurrent client, refilling as results come in."""
    todo = ((number, Request(url=url, headers=HEADERS, body=BODY, timeout=15)) for number in range(requests))
    with Sender(allowed_networks=["127.0.0.1"]) as sender:
        sender.submit(list(islice(todo, AT_ONCE)))
        while sender.in_flight:
            results = sender.collect(1, at_least=AT_ONCE // 4)
            failed = [outcome for _, outcome in results if outcome.reply is None]
            if failed:
                raise SystemExit(f"A request failed: {failed[0].detail}")
            if jobs := list(islice(todo, len(results))):
                sender.submit(jobs)


def measure(send: Callable[[str, int], None], url: str, requests: int) -> tuple[float, float]:
    """Return requests per second, and CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    send(url, requests)
    return requests / (time.perf_counter() - began), time.process_time() - cpu


def main() -> None:
    """Measure and print."""
    requests, rounds = (int(text) for text in (*sys.argv[1:], *("3000", "7")[len(sys.argv) - 1 :]))
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{here.recv()}/hook"
    measure(bare, url, 200), measure(ours, url, 200)
    pairs = [(measure(bare, url, requests), measure(ours, url, requests)) for _ in range(rounds)]
    process.terminate()
    share = statistics.median(mine[0] / theirs[0] for theirs, mine in pairs)
    cpu = statistics.median(mine[1] / theirs[1] for theirs, mine in pairs)
    rate = statistics.median(theirs[0] for theirs, _ in pairs)
    print(f"bare aiohttp: {rate:.0f}/s; ours: {share:.2f} of its throughput, {cpu:.2f} x its CPU")  # noqa: T201


if __name__ == "__main__":
    main()
