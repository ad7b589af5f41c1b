"""Names that hang take no room from names that work, whichever client asks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest

from openedx_webhooks.egress import refusal_of, resolver
from openedx_webhooks.egress.resolver import LookupFailed, Resolver
from openedx_webhooks.exceptions import AddressRefused, InvalidURL
from tests.egress.conftest import DNS, eventually


@pytest.fixture
def names() -> Resolver:
    return Resolver()


class Clock:
    """``time.monotonic`` that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(resolver, "time", clock)
    return clock


def begin(names: Resolver, host: str) -> None:
    """Have a lookup under way, and do not wait for it."""
    threading.Thread(target=_swallow, args=(names, host), daemon=True).start()
    eventually(lambda: host in names._by_name)


def _swallow(names: Resolver, host: str) -> None:
    with contextlib.suppress(OSError):
        names.resolve(host, 80, time.monotonic() + 60)


def resolve(names: Resolver, host: str) -> tuple[str, ...]:
    """Look up with all the time there is, by whichever clock the resolver reads."""
    return names.resolve(host, 80, resolver.time.monotonic() + 10)


def test_gives_each_address_once_in_the_systems_order(names: Resolver, dns: DNS) -> None:
    dns.say("two.test", ["2606:4700::1", "192.0.2.1", "192.0.2.1"])
    assert resolve(names, "two.test") == ("2606:4700::1", "192.0.2.1")


def test_a_success_is_asked_for_anew(names: Resolver, dns: DNS) -> None:
    dns.say("moving.test", ["192.0.2.1"], ["192.0.2.2"])
    assert resolve(names, "moving.test") == ("192.0.2.1",)
    assert resolve(names, "moving.test") == ("192.0.2.2",)


def test_a_failure_is_remembered_for_a_moment(names: Resolver, dns: DNS, clock: Clock) -> None:
    dns.say("gone.test", socket.gaierror(socket.EAI_NONAME, "unknown"), ["192.0.2.1"])
    for _ in range(3):
        with pytest.raises(LookupFailed, match=r"gone\.test"):
            resolve(names, "gone.test")
    assert dns.asked == ["gone.test"]
    clock.now += resolver.FAILED_FOR
    assert resolve(names, "gone.test") == ("192.0.2.1",)


def test_requests_for_one_name_share_a_lookup(names: Resolver, dns: DNS) -> None:
    dns.hang("slow.test")
    for _ in range(20):
        begin(names, "slow.test")
    assert dns.asked == ["slow.test"]


def test_a_deadline_ends_the_waiting(names: Resolver, dns: DNS) -> None:
    dns.hang("slow.test")
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"slow\.test"):
        names.resolve("slow.test", 80, time.monotonic() + 0.1)
    assert time.monotonic() - began < 5


def test_one_who_gives_up_does_not_take_the_answer_from_the_others(names: Resolver, dns: DNS) -> None:
    dns.hang("slow.test")
    with pytest.raises(TimeoutError):
        names.resolve("slow.test", 80, time.monotonic() + 0.01)
    future = names._join("slow.test", 80)
    dns.over.set()
    with pytest.raises(LookupFailed):
        future.result(10)


def test_a_cancelled_task_does_not_take_the_answer_from_the_others(names: Resolver, dns: DNS) -> None:
    dns.hang("slow.test")

    async def both() -> object:
        gives_up = asyncio.ensure_future(names.resolve_async("slow.test", 80))
        waits = asyncio.ensure_future(names.resolve_async("slow.test", 80))
        await asyncio.sleep(0)
        gives_up.cancel()
        await asyncio.wait([gives_up])
        dns.over.set()
        return (await asyncio.gather(waits, return_exceptions=True))[0]

    assert isinstance(asyncio.run(both()), LookupFailed)


def test_beside_a_lookup_that_hangs_one_more_is_tried(names: Resolver, dns: DNS, clock: Clock) -> None:
    dns.hang("flaky.test")
    begin(names, "flaky.test")
    clock.now += resolver.HANGS_AFTER + 0.1
    dns.say("flaky.test", ["192.0.2.1"])
    assert resolve(names, "flaky.test") == ("192.0.2.1",)


def test_one_name_takes_at_most_its_share_of_threads(names: Resolver, dns: DNS, clock: Clock) -> None:
    dns.hang("hanging.test")
    for _ in range(10):
        names._join("hanging.test", 80)
        clock.now += resolver.HANGS_AFTER + 0.1
    assert len(names._running) == resolver.PER_NAME


def fill(names: Resolver, dns: DNS, count: int, prefix: str = "hangs") -> None:
    hosts = [f"{prefix}{number}.test" for number in range(count)]
    dns.hang(*hosts)
    for host in hosts:
        names._join(host, 80)


def test_where_new_names_hang_there_is_room_for_known_ones(names: Resolver, dns: DNS, clock: Clock) -> None:
    dns.say("known.test", ["192.0.2.1"])
    resolve(names, "known.test")
    fill(names, dns, resolver.THREADS - resolver.RESERVED)
    clock.now += resolver.HANGS_AFTER + 0.1
    assert resolve(names, "known.test") == ("192.0.2.1",)
    dns.say("new.test", ["192.0.2.2"])
    with pytest.raises(LookupFailed, match="No room"):
        resolve(names, "new.test")
    assert len(names._running) <= resolver.THREADS


def test_threads_are_bounded_also_for_known_names(names: Resolver, dns: DNS, clock: Clock) -> None:
    for number in range(resolver.THREADS * 2):
        dns.say(f"hangs{number}.test", ["192.0.2.1"])
        resolve(names, f"hangs{number}.test")
    fill(names, dns, resolver.THREADS)
    clock.now += resolver.HANGS_AFTER + 0.1
    with pytest.raises(LookupFailed, match="No room"):
        names._join(f"hangs{resolver.THREADS + 1}.test", 80)
    assert len(names._running) == resolver.THREADS


def test_a_burst_of_names_waits_its_turn(names: Resolver, dns: DNS) -> None:
    hosts = [f"burst{number}.test" for number in range(resolver.THREADS * 4)]
    for host in hosts:
        dns.say(host, ["192.0.2.1"])
    futures = [names._join(host, 80) for host in hosts]
    assert all(future.result(10) == ("192.0.2.1",) for future in futures)
    eventually(lambda: not names._running and not names._waiting and not names._by_name)


def test_room_comes_back_when_the_hanging_end(names: Resolver, dns: DNS, clock: Clock) -> None:
    fill(names, dns, resolver.THREADS - resolver.RESERVED)
    clock.now += resolver.HANGS_AFTER + 0.1
    dns.say("new.test", ["192.0.2.2"])
    with pytest.raises(LookupFailed, match="No room"):
        resolve(names, "new.test")
    dns.over.set()
    eventually(lambda: not names._running)
    assert resolve(names, "new.test") == ("192.0.2.2",)


def test_what_was_queued_is_looked_up_when_a_thread_is_free(names: Resolver, dns: DNS) -> None:
    fill(names, dns, resolver.THREADS - resolver.RESERVED)
    dns.say("queued.test", ["192.0.2.2"])
    future = names._join("queued.test", 80)
    assert "queued.test" not in dns.asked
    dns.over.set()
    assert future.result(10) == ("192.0.2.2",)


def test_a_slip_in_the_lookup_reaches_who_waits(names: Resolver, dns: DNS) -> None:
    dns.say("broken.test", RuntimeError("a slip"))
    with pytest.raises(LookupFailed):
        resolve(names, "broken.test")


# What the admin form asks.


@pytest.mark.parametrize(
    ("url", "kind"),
    [("http://127.0.0.1/", AddressRefused), ("http://127.1/", InvalidURL), ("http://inside.test/", AddressRefused)],
)
def test_refusal_of_says_why(dns: DNS, url: str, kind: type[Exception]) -> None:
    dns.say("inside.test", ["10.0.0.1"])
    assert isinstance(refusal_of(url, (), timeout=5), kind)


def test_refusal_of_is_silent_where_all_is_well_or_unknown(dns: DNS) -> None:
    dns.say("outside.test", ["8.8.8.8"])
    dns.say("unknown.test", socket.gaierror(socket.EAI_NONAME, "unknown"))
    dns.hang("hanging.test")
    assert refusal_of("http://outside.test/", (), timeout=5) is None
    assert refusal_of("http://unknown.test/", (), timeout=5) is None
    assert refusal_of("http://hanging.test/", (), timeout=0.1) is None
    assert refusal_of("http://127.0.0.1/", ["127.0.0.1"], timeout=5) is None


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://inside.test/", False),
        ("http://metadata.google.internal/", True),
        ("http://localhost/", True),
        ("http://10.0.0.1/", True),
        ("http://8.8.8.8/", False),
    ],
)
def test_refusal_of_with_a_proxy_judges_as_deliveries_are_judged(dns: DNS, url: str, refused: bool) -> None:
    """The proxy looks names up, and may see another address than we do."""
    dns.say("inside.test", ["10.0.0.1"])
    refusal = refusal_of(url, (), timeout=5, proxy="http://proxy.test:3128")
    assert isinstance(refusal, AddressRefused) is refused
    assert dns.asked == []
