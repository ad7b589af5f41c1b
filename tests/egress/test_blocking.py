"""What the blocking client has beyond the common contract: threads, kept connections, deadlines from outside."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from openedx_webhooks.data import Failure, Outcome, Request
from openedx_webhooks.egress import blocking, connections
from openedx_webhooks.egress.exchange import KEEP_ALIVE
from openedx_webhooks.egress.watchdog import Deadline, Lifeline
from openedx_webhooks.testing import HANG, Answer, Receiver
from tests.egress.conftest import LOOPBACK, eventually


def post(url: str, timeout: float = 10) -> Outcome:
    request = Request(url=url, headers={}, body=b"{}", timeout=timeout)
    return blocking.post(request, allowed_networks=LOOPBACK)


def at_once(count: int, url: str, timeout: float) -> list[Outcome]:
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.append(post(url, timeout))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_many_threads_at_once(receiver: Receiver) -> None:
    receiver.answer(Answer(body=b"well", delay=0.05))
    for _ in range(3):
        outcomes = at_once(20, receiver.url(), timeout=30)
        assert [outcome.reply and outcome.reply.body for outcome in outcomes] == [b"well"] * 20
    assert len({request.connection for request in receiver.requests}) <= 20


def test_every_hanging_thread_is_free_at_its_deadline(receiver: Receiver) -> None:
    receiver.answer(HANG)
    began = time.monotonic()
    outcomes = at_once(30, receiver.url(), timeout=0.5)
    assert time.monotonic() - began < 10
    assert {outcome.failure for outcome in outcomes} == {Failure.TIMEOUT}


def test_deadlines_that_cross_end_in_their_order(receiver: Receiver) -> None:
    """A later request may have the earlier deadline; the one thread that watches must wake for it."""
    receiver.answer(HANG)
    slow = threading.Thread(target=post, args=(receiver.url(), 3))
    slow.start()
    receiver.wait_for(1)
    began = time.monotonic()
    assert post(receiver.url(), timeout=0.2).failure is Failure.TIMEOUT
    assert time.monotonic() - began < 2.5
    slow.join()


def test_a_connection_kept_too_long_is_not_used_again(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + KEEP_ALIVE + 1

    assert post(receiver.url()).reply is not None
    monkeypatch.setattr(connections, "time", Later)
    assert post(receiver.url(), timeout=60).reply is not None
    assert len({request.connection for request in receiver.requests}) == 2


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(receiver: Receiver) -> None:
    receiver.answer(Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))  # closes, and does not say so
    for _ in range(3):
        assert post(receiver.url()).reply is not None
        eventually(lambda: not _kept_connections()[0].is_connected)
    assert len({request.connection for request in receiver.requests}) == 3


def _kept_connections() -> list[Any]:
    pools = [pool for adapter in blocking._adapters.values() for pool in adapter.poolmanager.pools._container.values()]
    return [connection for pool in pools for connection in pool.pool.queue if connection is not None]


def test_the_number_of_adapters_is_bounded(receiver: Receiver) -> None:
    for number in range(20):
        request = Request(url=receiver.url(), headers={}, body=b"", timeout=5)
        outcome = blocking.post(request, allowed_networks=["127.0.0.1", f"10.0.0.{number}"])
        assert outcome.reply is not None
    assert len(blocking._adapters) <= 8


def test_no_connection_is_made_outside_an_exchange() -> None:
    """Nothing would judge its address."""
    with pytest.raises(RuntimeError, match="judges"):
        connections._Guarded("127.0.0.1", 80).connect()


# The deadline and the second handle.


def reads_the_end(end: socket.socket) -> bool:
    end.settimeout(0.05)
    try:
        return end.recv(1) == b""
    except TimeoutError:
        return False


def test_a_deadline_cuts_the_connection_that_it_holds() -> None:
    near, far = socket.socketpair()
    with near, far:
        lifeline = Lifeline()
        lifeline.attach(near)
        deadline = Deadline(time.monotonic() + 0.1)
        lifeline.serve(deadline)
        deadline.hold(lifeline)
        eventually(lambda: lifeline.is_cut)
        assert reads_the_end(far)
        assert deadline.passed
        with pytest.raises(TimeoutError):
            deadline.hold(lifeline)


def test_a_deadline_does_not_cut_what_serves_another() -> None:
    near, far = socket.socketpair()
    with near, far:
        lifeline = Lifeline()
        lifeline.attach(near)
        earlier, later = Deadline(time.monotonic() + 100), Deadline(time.monotonic() + 100)
        lifeline.serve(earlier)
        earlier.hold(lifeline)
        lifeline.serve(later)
        earlier.fire()
        assert not lifeline.is_cut
        assert not reads_the_end(far)


def test_a_released_deadline_cuts_nothing() -> None:
    near, far = socket.socketpair()
    with near, far:
        lifeline = Lifeline()
        lifeline.attach(near)
        deadline = Deadline(time.monotonic() + 100)
        lifeline.serve(deadline)
        deadline.hold(lifeline)
        deadline.release()
        deadline.fire()
        assert not reads_the_end(far)


def test_a_closed_lifeline_lasts_until_the_exchange_is_over() -> None:
    """http.client closes its end of a connection whose answer is still being read."""
    near, far = socket.socketpair()
    with far:
        lifeline = Lifeline()
        lifeline.attach(near)
        deadline = Deadline(time.monotonic() + 100)
        lifeline.serve(deadline)
        deadline.hold(lifeline)
        near.close()
        lifeline.close()
        assert not reads_the_end(far)
        deadline.release()
        assert reads_the_end(far)
