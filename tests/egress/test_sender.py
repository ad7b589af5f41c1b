"""The sender: one outcome per job, whatever happens; many at once; no thread or process is left hanging."""

from __future__ import annotations

import errno
import gc
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace

import pytest

from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.egress import poster
from openedx_webhooks.egress.concurrent import Sender
from openedx_webhooks.testing import HANG, Answer, Receiver
from tests.egress.conftest import DNS, LOOPBACK, RawServer


def request(url: str, timeout: float = 10) -> Request:
    return Request(url=url, headers={}, body=b"{}", timeout=timeout)


@pytest.fixture
def sender() -> Iterator[Sender]:
    with Sender(allowed_networks=LOOPBACK) as live:
        yield live


def collect_all(sender: Sender, seconds: float = 20) -> list[tuple[object, Outcome]]:
    deadline = time.monotonic() + seconds
    results: list[tuple[object, Outcome]] = []
    while sender.in_flight and time.monotonic() < deadline:
        results += sender.collect(1)
    return results


def test_every_job_yields_one_outcome(sender: Sender, receiver: Receiver) -> None:
    urls = [receiver.url(), "nonsense", "http://127.0.0.2/", "http://127.0.0.1:1/"]
    jobs = [((number, url), request(url)) for number in range(50) for url in urls]
    sender.submit(jobs)
    results = collect_all(sender)
    assert Counter(key for key, _ in results) == Counter(key for key, _ in jobs)
    failures = {url: {outcome.failure for key, outcome in results if key[1] == url} for url in urls}  # type: ignore[index]
    assert list(failures.values()) == [{None}, {Failure.URL}, {Failure.ADDRESS}, {Failure.CONNECTION}]


def test_keys_may_repeat(sender: Sender, receiver: Receiver) -> None:
    sender.submit([("same", request(receiver.url()))] * 3)
    assert [key for key, _ in collect_all(sender)] == ["same"] * 3


def test_five_hundred_that_hang_do_not_delay_the_healthy(receiver: Receiver, sender: Sender) -> None:
    with Receiver() as hanging:
        hanging.answer(HANG)
        sender.submit([("hangs", request(hanging.url(), timeout=60))] * 500)
        sender.submit([("healthy", request(receiver.url(), timeout=60))] * 20)
        results: list[tuple[object, Outcome]] = []
        deadline = time.monotonic() + 30
        while len(results) < 20 and time.monotonic() < deadline:
            results += sender.collect(1)
        assert Counter(key for key, _ in results) == {"healthy": 20}
        assert sender.in_flight == 500


def test_names_that_hang_do_not_delay_the_healthy(receiver: Receiver, sender: Sender, dns: DNS) -> None:
    names = [f"hangs{number}.test" for number in range(40)]
    dns.hang(*names)
    dns.say("healthy.test", ["127.0.0.1"])
    sender.submit([(name, request(f"http://{name}/", timeout=60)) for name in names * 5])
    sender.submit([("healthy", request(f"http://healthy.test:{receiver.port}/"))])
    [(key, outcome)] = sender.collect(10)
    assert key == "healthy"
    assert outcome.reply is not None


def test_an_answer_that_would_change_the_protocol_keeps_no_connection(
    sender: Sender, raw_server: Callable[..., RawServer]
) -> None:
    """The receiver answers before it has read the body, and never reads it."""

    def talk(connection: socket.socket) -> None:
        connection.recv(64)
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        while True:  # until the other side is gone
            time.sleep(0.02)
            connection.sendall(b"x")

    server = raw_server(talk)
    url = f"http://127.0.0.1:{server.port}/"
    sender.submit([(1, Request(url=url, headers={}, body=b"x" * 16 * 1024 * 1024, timeout=10))])
    [(_, outcome)] = sender.collect(10)
    assert outcome.reply is not None
    assert outcome.reply.status == 101
    assert server.done.wait(10), "the connection was closed"


def test_interim_answers_without_end_end_the_request(sender: Sender, raw_server: Callable[..., RawServer]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        server.flood(connection, b"HTTP/1.1 100 Continue\r\n\r\n" * 4096)

    server = raw_server(talk)
    sender.submit([(1, request(f"http://127.0.0.1:{server.port}/", timeout=20))])
    [(_, outcome)] = sender.collect(30)
    assert outcome.failure is Failure.PROTOCOL, "long before its deadline"
    assert server.done.wait(10)


def test_collect_waits_for_as_many_as_asked(sender: Sender, receiver: Receiver) -> None:
    receiver.answer(lambda received: Answer(delay=0.3 if received.path == "/late" else 0))
    sender.submit([("early", request(receiver.url("/"))), ("late", request(receiver.url("/late")))])
    assert [key for key, _ in sender.collect(10, at_least=2)] == ["early", "late"]


def test_collect_waits_no_longer_than_asked(sender: Sender, receiver: Receiver) -> None:
    receiver.answer(HANG)
    sender.submit([("hangs", request(receiver.url()))])
    assert sender.collect(0.05) == []
    assert sender.collect(0) == []


def test_collect_returns_at_once_where_nothing_is_in_flight(sender: Sender) -> None:
    began = time.monotonic()
    assert sender.collect(60) == []
    assert time.monotonic() - began < 30


def test_in_flight_counts_until_collected(sender: Sender, receiver: Receiver) -> None:
    assert sender.in_flight == 0
    sender.submit([(number, request(receiver.url())) for number in range(3)])
    assert sender.in_flight == 3
    collect_all(sender)
    assert sender.in_flight == 0


def test_each_request_ends_at_its_own_deadline(sender: Sender, receiver: Receiver) -> None:
    """One timer serves all: an earlier deadline that is set later comes first, and a later one is not forgotten."""
    receiver.answer(HANG)
    seconds = {"second": 0.6, "none": 60.0, "first": 0.2, "third": 0.9}
    for key, timeout in seconds.items():
        sender.submit([(key, request(receiver.url(), timeout=timeout))])
    ended: list[tuple[object, Outcome]] = []
    while len(ended) < 3:
        ended += sender.collect(10)
    assert [key for key, _ in ended] == ["first", "second", "third"]
    assert {outcome.failure for _, outcome in ended} == {Failure.TIMEOUT}
    assert all(outcome.duration >= seconds[str(key)] for key, outcome in ended)
    assert sender.in_flight == 1


def test_close_cancels_and_still_gives_every_outcome(receiver: Receiver) -> None:
    receiver.answer(HANG)
    sender = Sender(allowed_networks=LOOPBACK)
    sender.submit([(number, request(receiver.url(), timeout=60)) for number in range(20)])
    receiver.wait_for(20)
    began = time.monotonic()
    sender.close(timeout=10)
    assert time.monotonic() - began < 9
    results = sender.collect(0)
    assert sorted(key for key, _ in results) == list(range(20))  # type: ignore[type-var]
    assert {outcome.failure for _, outcome in results} == {Failure.LOCAL}
    assert {outcome.detail for _, outcome in results} == {"The sender was stopped before the answer came."}


def test_what_has_not_begun_is_not_begun_by_the_end(receiver: Receiver) -> None:
    """More than a turn of the loop begins: they are not sent into a session that is closing."""
    receiver.answer(HANG)
    sender = Sender(allowed_networks=LOOPBACK)
    sender.submit([(number, request(receiver.url(), timeout=60)) for number in range(200)])
    sender.close(timeout=10)
    results = sender.collect(0)
    assert sorted(key for key, _ in results) == list(range(200))  # type: ignore[type-var]
    assert {outcome.failure for _, outcome in results} == {Failure.LOCAL}
    assert {outcome.detail for _, outcome in results} == {"The sender was stopped before the answer came."}


def test_a_request_that_ends_the_thread_is_alone_at_fault(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer(HANG)
    real = poster.outgoing_headers

    def die(headers: Mapping[str, str]) -> dict[str, str]:
        if "X-Kill" in headers:
            raise SystemExit("killed")
        return real(headers)

    monkeypatch.setattr(poster, "outgoing_headers", die)
    jobs: list[tuple[Hashable, Request]] = [(number, request(receiver.url(), timeout=60)) for number in range(100)]
    jobs[50] = ("the one", replace(jobs[50][1], headers={"X-Kill": "1"}))
    sender.submit(jobs)
    results = collect_all(sender)
    assert len(results) == 100
    assert {key for key, outcome in results if outcome.failure is not Failure.LOCAL} == {"the one"}


def test_a_refused_connection_leaves_no_body_behind(sender: Sender) -> None:
    """Nothing that Python's look for garbage must find: a body would be kept until then."""
    body = bytes(1000)
    before = sys.getrefcount(body)
    gc.disable()
    try:
        sender.submit([(number, Request("http://127.0.0.1:1/", {}, body, 10)) for number in range(20)])
        results = collect_all(sender)
        sender.close()
        assert {outcome.failure for _, outcome in results} == {Failure.CONNECTION}
        assert sys.getrefcount(body) == before
    finally:
        gc.enable()


def test_a_closed_sender_takes_nothing(receiver: Receiver) -> None:
    sender = Sender(allowed_networks=LOOPBACK)
    sender.close()
    with pytest.raises(RuntimeError, match="closed"):
        sender.submit([(1, request(receiver.url()))])
    sender.close()
    assert sender.in_flight == 0


def test_no_thread_outlives_its_sender(receiver: Receiver) -> None:
    with Sender(allowed_networks=LOOPBACK) as sender:
        sender.submit([(1, request(receiver.url()))])
        collect_all(sender)
    assert "webhooks-sender" not in {thread.name for thread in threading.enumerate()}


def test_a_slip_of_ours_is_an_outcome(sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    def slip(*_: object) -> None:
        raise ZeroDivisionError("a slip")

    monkeypatch.setattr(poster, "incoming_headers", slip)
    sender.submit([(1, request(receiver.url()))])
    [(_, outcome)] = collect_all(sender)
    assert outcome.failure is Failure.CONNECTION
    assert "ZeroDivisionError" in outcome.detail


def test_the_end_of_the_thread_is_an_outcome_for_all(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer(HANG)
    sender.submit([(number, request(receiver.url())) for number in range(5)])
    receiver.wait_for(5)

    def die(*_: object) -> None:
        raise SystemExit("killed")

    monkeypatch.setattr(poster, "outgoing_headers", die)
    sender.submit([(5, request(receiver.url()))])
    results = collect_all(sender)
    assert sorted(key for key, _ in results) == list(range(6))  # type: ignore[type-var]
    # The one that slipped may be at fault itself; the others are not.
    assert {key for key, outcome in results if outcome.failure is Failure.LOCAL} == set(range(5))
    sender.submit([(6, request(receiver.url()))])
    [(key, outcome)] = collect_all(sender)
    assert key == 6
    assert "thread has ended" in outcome.detail


def test_many_threads_may_submit_and_collect(sender: Sender, receiver: Receiver) -> None:
    results: list[tuple[object, Outcome]] = []

    def work(worker: int) -> None:
        for number in range(20):
            sender.submit([((worker, number), request(receiver.url()))])
            results.extend(sender.collect(0.01))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results += collect_all(sender)
    assert sorted(key for key, _ in results) == [(worker, number) for worker in range(4) for number in range(20)]  # type: ignore[type-var]


# Processes. Each script runs in one of its own, as a server would.

START = """
import os, socket, sys, threading, time
from openedx_webhooks.data import Request
from openedx_webhooks.egress import blocking
from openedx_webhooks.egress.concurrent import Sender
URL = sys.argv[1]
def request(url=URL, timeout=10):
    return Request(url=url, headers={}, body=b"{}", timeout=timeout)
def post():
    outcome = blocking.post(request(), allowed_networks=["127.0.0.1", "::1"])
    assert outcome.reply is not None, outcome
def send():
    with Sender(allowed_networks=["127.0.0.1", "::1"]) as sender:
        sender.submit([(1, request())])
        [(_, outcome)] = sender.collect(10)
    assert outcome.reply is not None, outcome
"""


def run(script: str, url: str) -> float:
    """Run a script in a process of its own; return how many seconds it took."""
    began = time.monotonic()
    source = START + textwrap.dedent(script)
    ended = subprocess.run([sys.executable, "-c", source, url], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return time.monotonic() - began


FORK = """
    {before}()
    child = os.fork()
    if not child:
        {after}()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    {before}()
"""


@pytest.mark.parametrize("before", ["post", "send"])
@pytest.mark.parametrize("after", ["post", "send"])
def test_after_a_fork_both_clients_work(receiver: Receiver, before: str, after: str) -> None:
    """By name, so that the resolver's threads are there before the fork and must be made anew after it."""
    run(FORK.format(before=before, after=after), f"http://localhost:{receiver.port}/")
    assert len(receiver.requests) == 3


def test_a_child_shares_no_connection_with_its_parent(receiver: Receiver) -> None:
    run(FORK.format(before="post", after="post"), receiver.url())
    first, child, again = (received.connection for received in receiver.requests)
    assert child != first
    assert again == first


def test_a_fork_in_the_middle_of_a_lookup_leaves_the_child_free(receiver: Receiver) -> None:
    """The parent's lookup has no thread in the child, and would never end there."""
    script = """
        real, looking = socket.getaddrinfo, threading.Event()
        def hang(*_, **__):
            looking.set()
            time.sleep(300)
        socket.getaddrinfo = hang
        threading.Thread(target=post, daemon=True).start()
        assert looking.wait(10)
        child = os.fork()
        if not child:
            socket.getaddrinfo = real
            post()
            send()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    """
    run(script, f"http://localhost:{receiver.port}/")
    assert len(receiver.requests) == 2


def test_a_fork_in_the_middle_of_a_request_leaves_deadlines_in_the_child(receiver: Receiver) -> None:
    script = """
        threading.Thread(
            target=blocking.post, args=(request(),), kwargs={"allowed_networks": ["127.0.0.1"]}, daemon=True
        ).start()
        time.sleep(0.5)
        child = os.fork()
        if not child:
            # A drip, which only the thread that watches deadlines can end.
            outcome = blocking.post(request(timeout=1), allowed_networks=["127.0.0.1"])
            os._exit(0 if outcome.failure == "timeout" and outcome.duration < 8 else 1)
        assert os.waitpid(child, 0)[1] == 0
    """
    receiver.answer(HANG, Answer(drip=0.1, headers={"X-Slow": "x" * 150}))
    run(script, receiver.url())


def test_a_sender_of_the_parent_is_refused_in_the_child(receiver: Receiver) -> None:
    script = """
        sender = Sender(allowed_networks=["127.0.0.1"])
        sender.start()
        child = os.fork()
        if not child:
            try:
                sender.submit([(1, request())])
            except RuntimeError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    """
    run(script, receiver.url())


def test_the_interpreter_does_not_wait_for_dns_nor_for_what_hangs(receiver: Receiver) -> None:
    receiver.answer(HANG)
    script = """
        socket.getaddrinfo = lambda *_, **__: time.sleep(300)
        sender = Sender(allowed_networks=["127.0.0.1"])
        sender.submit([(n, request(u, 300)) for n, u in enumerate([URL, "http://hangs.test/"])])
        for url in (URL, "http://hangs.test/"):
            threading.Thread(
                target=blocking.post, args=(request(url, 300),), kwargs={"allowed_networks": ["127.0.0.1"]}, daemon=True
            ).start()
        time.sleep(1)
    """
    assert run(script, receiver.url()) < 40


def test_the_room_is_light_to_import() -> None:
    source = (
        "import sys, openedx_webhooks.egress as egress; egress.user_agent();"
        "sys.exit(bool({'aiohttp', 'requests', 'urllib3', 'asyncio'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_a_process_without_a_free_socket_says_nothing_about_the_receiver(
    sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the operating system answers at the limit of open files."""

    def none_left(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    sender.submit([(1, request(receiver.url()))])
    [(_, outcome)] = collect_all(sender)
    assert outcome.failure is Failure.LOCAL
    assert "Too many open files" in outcome.detail
