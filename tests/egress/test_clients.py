"""The contract of both clients, against live servers on loopback."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openedx_webhooks.data import Failure
from openedx_webhooks.egress import trust
from openedx_webhooks.testing import CLOSE, ENDLESS, GARBAGE, HANG, Answer, Receiver, gzip_bomb
from tests.egress.conftest import DNS, Client, RawServer, eventually, tls_talk, tunnel_talk

HANGING = 0.5
"""Seconds that a test waits for a deadline."""


@pytest.fixture
def receiver6() -> Receiver:
    with Receiver(host="::1") as live:
        yield live


# What is sent.


def test_sends_the_body_and_headers_as_they_are(client: Client, receiver: Receiver) -> None:
    body = b'{"name": "\xc3\xa4"}'
    outcome = client(receiver.url("/a"), body=body, headers={"Content-Type": "application/json", "X-Who": "ünïcode"})
    [request] = receiver.requests
    assert outcome.reply is not None
    assert (request.method, request.path, request.body) == ("POST", "/a", body)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-who"].encode("latin-1").decode() == "ünïcode"


def test_says_who_it_is_and_nothing_that_nobody_asked_for(client: Client, receiver: Receiver) -> None:
    client(receiver.url(), headers={"content-type": "text/plain"})
    headers = dict(receiver.requests[0].headers)
    assert headers.pop("user-agent").startswith("openedx-webhooks/")
    assert headers.pop("host") == f"127.0.0.1:{receiver.port}"
    assert headers.pop("connection", "keep-alive") == "keep-alive"
    assert headers.pop("content-type") == "text/plain"
    assert headers == {"accept": "*/*", "accept-encoding": "identity", "content-length": "2"}


def test_the_caller_may_name_the_user_agent(client: Client, receiver: Receiver) -> None:
    client(receiver.url(), headers={"user-agent": "mine/1"})
    assert receiver.requests[0].headers["user-agent"] == "mine/1"


def test_headers_that_frame_the_request_are_the_clients_own(client: Client, receiver: Receiver) -> None:
    forged = {"Host": "metadata.google.internal", "Content-Length": "9", "Transfer-Encoding": "chunked"}
    outcome = client(receiver.url(), headers={**forged, "Accept-Encoding": "gzip", "Connection": "close"})
    headers = receiver.requests[0].headers
    assert outcome.reply is not None
    assert (headers["host"], headers["content-length"]) == (f"127.0.0.1:{receiver.port}", "2")
    assert headers["accept-encoding"] == "identity"
    assert "transfer-encoding" not in headers


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/kürs?q=ä b", "/k%C3%BCrs?q=%C3%A4%20b"),
        ("/a%20b?c=%26#part", "/a%20b?c=%26"),
        ("?x=1", "/?x=1"),
        ("/a/../b/~x;y=1", "/a/../b/~x;y=1"),
    ],
)
def test_path_and_query_are_encoded_once(client: Client, receiver: Receiver, typed: str, sent: str) -> None:
    client(f"http://127.0.0.1:{receiver.port}{typed}")
    assert receiver.requests[0].path == sent


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nX-Evil: 1"},
        {"X-A": "1\nX-Evil: 1"},
        {"X-A": "1\x00"},
        {"X-A\r\nX-Evil": "1"},
        {"X A": "1"},
        {"": "1"},
        {"X-A": "\ud800"},
    ],
)
def test_headers_that_would_inject_are_refused_unsent(
    client: Client, receiver: Receiver, headers: dict[str, str]
) -> None:
    outcome = client(receiver.url(), headers=headers)
    assert outcome.failure is Failure.URL
    assert "header" in outcome.detail
    assert client(receiver.url()).reply is not None  # whatever was sent before would have come before
    assert len(receiver.requests) == 1


def test_connections_are_kept(client: Client, receiver: Receiver) -> None:
    for _ in range(3):
        assert client(receiver.url()).reply is not None
    assert len({request.connection for request in receiver.requests}) == 1


# What comes back.


@pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 410, 500, 503, 599])
def test_any_status_is_a_reply(client: Client, receiver: Receiver, status: int) -> None:
    receiver.answer(Answer(status=status, body=b"" if status == 204 else b"because"))
    outcome = client(receiver.url())
    assert outcome.failure is None
    assert outcome.reply is not None
    assert outcome.reply.status == status
    assert outcome.reply.body == (b"" if status == 204 else b"because")
    assert not outcome.reply.truncated


def test_headers_of_the_answer_have_lower_case_names(client: Client, receiver: Receiver) -> None:
    receiver.answer(Answer(status=429, headers={"Retry-After": "120", "X-Name": "Zo\xc3\xab \xff"}))
    reply = client(receiver.url()).reply
    assert reply is not None
    assert reply.headers["retry-after"] == "120"
    assert reply.headers["x-name"] == "Zoë \ufffd"


def test_a_redirect_is_an_answer_and_not_followed(client: Client, receiver: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        receiver.answer(Answer(status=status, headers={"Location": f"http://127.0.0.1:{receiver.port}/again"}))
        reply = client(receiver.url("/first")).reply
        assert reply is not None
        assert reply.status == status
    assert {request.path for request in receiver.requests} == {"/first"}


def test_a_redirect_to_metadata_goes_nowhere(client: Client, receiver: Receiver) -> None:
    receiver.answer(Answer(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"}))
    reply = client(receiver.url(), timeout=HANGING).reply
    assert reply is not None
    assert reply.status == 302


def test_the_body_of_a_redirect_is_capped_too(client: Client, receiver: Receiver) -> None:
    receiver.answer(Answer(status=302, headers={"Location": "/again"}, body=b"x" * 4096, endless=True))
    reply = client(receiver.url(), keep_body=100).reply
    assert reply is not None
    assert (len(reply.body), reply.truncated) == (100, True)


@pytest.mark.parametrize(("length", "truncated"), [(0, False), (99, False), (100, False), (101, True), (300_000, True)])
def test_as_much_of_the_body_as_asked_for(client: Client, receiver: Receiver, length: int, *, truncated: bool) -> None:
    receiver.answer(Answer(body=b"x" * length))
    reply = client(receiver.url(), keep_body=100).reply
    assert reply is not None
    assert (len(reply.body), reply.truncated) == (min(length, 100), truncated)


def test_a_chunked_body(client: Client, receiver: Receiver) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    receiver.answer(Answer(raw=head + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"))
    reply = client(receiver.url()).reply
    assert reply is not None
    assert reply.body == b"abcdefg"


def test_a_body_of_many_pieces_is_read_to_its_end(client: Client, receiver: Receiver) -> None:
    """Of one byte each: aiohttp 3.14 stops reading the connection after 1,024 of them, and must go on."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    receiver.answer(Answer(raw=head + b"1\r\nx\r\n" * 14_000 + b"0\r\n\r\n"))
    reply = client(receiver.url()).reply
    assert reply is not None
    assert (len(reply.body), reply.truncated) == (14_000, False)


def test_an_endless_body_is_left(client: Client, receiver: Receiver) -> None:
    receiver.answer(ENDLESS)
    outcome = client(receiver.url())
    assert outcome.reply is not None
    assert (len(outcome.reply.body), outcome.reply.truncated) == (16 * 1024, True)


def test_what_is_not_kept_is_not_read(client: Client, raw_server: Callable[..., RawServer]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        server.flood(connection, b"\0" * 65536)

    server = raw_server(talk)
    reply = client(f"http://127.0.0.1:{server.port}/").reply
    assert reply is not None
    assert reply.truncated
    assert server.done.wait(10)
    assert server.bytes_sent < 32 * 1024 * 1024  # what fits into the sockets' buffers, with much room


def test_a_gzip_bomb_stays_packed(client: Client, receiver: Receiver) -> None:
    receiver.answer(200, gzip_bomb(100))
    client(receiver.url())  # imports and caches are not the bomb's
    tracemalloc.start()
    reply = client(receiver.url()).reply
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reply is not None
    assert reply.body.startswith(b"\x1f\x8b")
    assert (len(reply.body), reply.truncated) == (16 * 1024, True)
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("line", [b"X-Header: abcdefgh\r\n", b"X-Long: " + b"a" * 70000 + b"\r\n"])
def test_a_head_without_end_is_not_collected(client: Client, raw_server: Callable[..., RawServer], line: bytes) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        server.flood(connection, line * (1 + 65536 // len(line)))

    server = raw_server(talk)
    outcome = client(f"http://127.0.0.1:{server.port}/", timeout=20)
    assert outcome.failure is Failure.PROTOCOL
    assert server.done.wait(10)
    assert server.bytes_sent < 32 * 1024 * 1024


def test_trailers_without_end_are_not_collected(client: Client, raw_server: Callable[..., RawServer]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        server.flood(connection, b"X-Trailer: abcdefgh\r\n" * 4096)

    server = raw_server(talk)
    tracemalloc.start()
    outcome = client(f"http://127.0.0.1:{server.port}/", timeout=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.reply is None
    assert peak < 32 * 1024 * 1024


# What fails.


@pytest.mark.parametrize(
    ("answer", "failure", "says"),
    [
        (GARBAGE, Failure.PROTOCOL, "not HTTP"),
        (CLOSE, Failure.CONNECTION, "without an answer"),
        (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"), Failure.CONNECTION, "broke off"),
        (
            Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            Failure.CONNECTION,
            "broke off",
        ),
        (Answer(headers={"X-Long": "a" * 100_000}), Failure.PROTOCOL, "not HTTP"),
        (Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n"), Failure.PROTOCOL, "not HTTP"),
    ],
)
def test_what_is_no_answer(client: Client, receiver: Receiver, answer: Answer, failure: Failure, says: str) -> None:
    receiver.answer(answer)
    outcome = client(receiver.url())
    assert outcome.failure is failure
    assert outcome.reply is None
    assert says in outcome.detail
    assert len(outcome.detail.splitlines()) == 1
    assert len(receiver.requests) == 1  # a POST is not repeated


def test_a_lost_kept_connection_is_not_repeated(client: Client, receiver: Receiver) -> None:
    receiver.answer(200, CLOSE, 200)
    assert client(receiver.url()).reply is not None
    assert client(receiver.url()).failure is Failure.CONNECTION
    assert client(receiver.url()).reply is not None
    assert len(receiver.requests) == 3


def test_nobody_listens(client: Client) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        outcome = client(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert outcome.failure is Failure.CONNECTION
    assert "refused" in outcome.detail or "111" in outcome.detail


@pytest.mark.parametrize(
    "answer",
    [
        HANG,
        Answer(drip=0.05, headers={"X-Slow": "x" * 200}),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200, drip=0.02),
        Answer(raw=b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 200, drip=0.02),
        Answer(raw=b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200, drip=0.02),
        Answer(delay=60),
    ],
    ids=["silence", "headers drip", "body drips", "body drips until close", "HTTP/1.0 drips", "late"],
)
def test_the_deadline_covers_the_whole_exchange(client: Client, receiver: Receiver, answer: Answer) -> None:
    receiver.answer(answer)
    began = time.monotonic()
    outcome = client(receiver.url(), timeout=HANGING)
    assert outcome.failure is Failure.TIMEOUT
    assert outcome.reply is None
    assert HANGING <= time.monotonic() - began < 10
    assert outcome.duration >= HANGING
    receiver.answer(200)
    assert client(receiver.url()).reply is not None  # and the next one is well


def test_an_answer_after_the_deadline_is_a_timeout(client: Client) -> None:
    """The deadline cuts the connection, and a head that is cut off there must not pass for an answer."""
    with Receiver() as receiver:
        receiver.answer(Answer(raw=b"HTTP/1.1 200 OK\r\nX-A: b\r\n" + b"X-C: " + b"d" * 500, drip=0.01))
        outcome = client(receiver.url(), timeout=HANGING)
    assert outcome.failure is Failure.TIMEOUT


def test_a_server_that_does_not_read(client: Client, raw_server: Callable[..., RawServer]) -> None:
    """Nor is its socket kept: what was not sent by the deadline never will be."""
    over = threading.Event()
    came = 0

    def talk(connection: socket.socket) -> None:
        nonlocal came
        over.wait(30)
        while data := connection.recv(1024 * 1024):
            came += len(data)

    server = raw_server(talk)
    outcome = client(f"http://127.0.0.1:{server.port}/", body=b"x" * 50_000_000, timeout=HANGING)
    assert outcome.failure is Failure.TIMEOUT
    over.set()
    assert server.done.wait(10)
    assert came < 50_000_000


def test_a_connection_that_never_comes(client: Client, black_hole: Callable[..., int]) -> None:
    began = time.monotonic()
    assert client(f"http://127.0.0.1:{black_hole()}/", timeout=HANGING).failure is Failure.TIMEOUT
    assert time.monotonic() - began < 10


def test_an_address_that_hangs_leads_to_the_next_in_time(
    client: Client, receiver: Receiver, black_hole: Callable[..., int], dns: DNS
) -> None:
    black_hole("127.0.0.2", receiver.port)
    dns.say("two.test", ["127.0.0.2", "127.0.0.1"])
    outcome = client(f"http://two.test:{receiver.port}/", allowed=["127.0.0.0/8"], timeout=4)
    assert outcome.reply is not None


def test_no_time_at_all(client: Client, receiver: Receiver) -> None:
    assert client(receiver.url(), timeout=0).failure is Failure.TIMEOUT
    assert client(receiver.url(), timeout=-1).failure is Failure.TIMEOUT


def test_an_outcome_says_when_and_how_long(client: Client, receiver: Receiver) -> None:
    receiver.answer(Answer(delay=0.2))
    before = datetime.now(UTC)
    outcome = client(receiver.url())
    assert before <= outcome.started_at <= datetime.now(UTC)
    assert 0.2 <= outcome.duration < 10


@pytest.mark.parametrize("answer", [Answer(raw=b""), Answer(status=204), ENDLESS, HANG, GARBAGE, gzip_bomb(10)])
def test_no_exchange_leaves_a_socket_open(client: Client, receiver: Receiver, answer: Answer) -> None:
    receiver.answer(200, answer)
    client(receiver.url())
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        client(receiver.url(), timeout=0.1 if answer.hang else 5)
    receiver.stop()  # its ends of the connections are among them
    eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)


def test_the_deadline_of_one_exchange_does_not_end_the_next(client: Client, receiver: Receiver) -> None:
    """Both use one connection, and the first's time is up in the middle of the second."""
    receiver.answer(200, Answer(delay=1, body=b"whole"))
    assert client(receiver.url(), timeout=HANGING).reply is not None
    reply = client(receiver.url(), timeout=20).reply
    assert reply is not None
    assert reply.body == b"whole"
    assert len({request.connection for request in receiver.requests}) == 1


# TLS.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_nobody_signed(client: Client, raw_server: Callable[..., RawServer], host: str) -> None:
    server = raw_server(tls_talk)
    outcome = client(f"https://{host}:{server.port}/")
    assert outcome.failure is Failure.TLS
    assert "CERTIFICATE_VERIFY_FAILED" in outcome.detail


def test_the_sites_own_authority_is_trusted(
    client: Client, raw_server: Callable[..., RawServer], dns: DNS, trusted: None
) -> None:
    dns.say("hooks.test", ["127.0.0.1"])
    dns.say("other.test", ["127.0.0.1"])
    server = raw_server(tls_talk)
    reply = client(f"https://hooks.test:{server.port}/").reply
    assert reply is not None
    assert reply.body == b"secret"
    assert client(f"https://other.test:{server.port}/").failure is Failure.TLS  # the name must be the certificate's


def test_the_public_authorities_are_trusted_beside_the_sites_own(trusted: None) -> None:
    """Slim images have no store of their own."""
    assert len(trust.tls_context().get_ca_certs()) > 50


def test_http_where_tls_was_expected(client: Client, receiver: Receiver) -> None:
    assert client(f"https://127.0.0.1:{receiver.port}/").failure is Failure.TLS


def test_a_handshake_that_hangs(client: Client, raw_server: Callable[..., RawServer]) -> None:
    server = raw_server(lambda _: time.sleep(20))
    assert client(f"https://127.0.0.1:{server.port}/", timeout=HANGING).failure is Failure.TIMEOUT


def test_a_handshake_that_drips(client: Client, raw_server: Callable[..., RawServer]) -> None:
    def talk(connection: socket.socket) -> None:
        for byte in b"\x16\x03\x03\x40\x00" + b"\x02" * 500:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    began = time.monotonic()
    outcome = client(f"https://127.0.0.1:{raw_server(talk).port}/", timeout=HANGING)
    assert outcome.reply is None
    assert time.monotonic() - began < 8


# Addresses.


def test_loopback_is_refused_by_default(client: Client, receiver: Receiver) -> None:
    outcome = client(receiver.url(), allowed=())
    assert outcome.failure is Failure.ADDRESS
    assert outcome.allow == "127.0.0.1"
    assert "ALLOWED_NETWORKS" in outcome.detail
    assert receiver.requests == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "169.254.169.254",
        "10.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "0.0.0.0",
    ],
)
def test_literals_are_judged(client: Client, receiver: Receiver, host: str) -> None:
    outcome = client(f"http://{host}:{receiver.port}/", timeout=2)
    assert outcome.failure is Failure.ADDRESS
    assert receiver.requests == []


@pytest.mark.parametrize(
    "host", ["127.1", "0", "2130706433", "0x7f.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "good@127.0.0.1", ""]
)
def test_odd_spellings_are_not_urls(client: Client, receiver: Receiver, host: str) -> None:
    outcome = client(f"http://{host}:{receiver.port}/", timeout=2)
    assert outcome.failure is Failure.URL
    assert receiver.requests == []


def test_ipv6(client: Client, receiver6: Receiver) -> None:
    outcome = client(f"http://[::1]:{receiver6.port}/", allowed=["::1"])
    assert outcome.reply is not None
    assert receiver6.requests[0].headers["host"] == f"[::1]:{receiver6.port}"


def test_the_host_stays_the_name(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("hooks.test", ["127.0.0.1"])
    assert client(f"http://Hooks.TEST:{receiver.port}/").reply is not None
    assert receiver.requests[0].headers["host"] == f"hooks.test:{receiver.port}"


def test_an_international_name(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("xn--bcher-kva.test", ["127.0.0.1"])
    assert client(f"http://Bücher.test:{receiver.port}/").reply is not None
    assert receiver.requests[0].headers["host"] == f"xn--bcher-kva.test:{receiver.port}"


def test_a_name_of_a_refused_address(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("inside.test", ["127.0.0.1", "10.0.0.1"])
    outcome = client(f"http://inside.test:{receiver.port}/", allowed=())
    assert outcome.failure is Failure.ADDRESS
    assert outcome.allow == "127.0.0.1"
    assert receiver.requests == []


def test_an_exact_host_name_may_be_allowed(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("n8n.internal", ["127.0.0.1"])
    dns.say("x.n8n.internal", ["127.0.0.1"])
    assert client(f"http://n8n.internal:{receiver.port}/", allowed=["n8n.internal"]).reply is not None
    outcome = client(f"http://x.n8n.internal:{receiver.port}/", allowed=["n8n.internal"])
    assert outcome.failure is Failure.ADDRESS


@pytest.mark.parametrize("answer", [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]])
def test_of_a_mixed_answer_only_what_is_allowed_is_called(
    client: Client, receiver: Receiver, raw_server: Callable[..., RawServer], dns: DNS, answer: list[str]
) -> None:
    trap = raw_server(lambda _: None, host="127.0.0.2", port=receiver.port)
    dns.say("mixed.test", answer)
    assert client(f"http://mixed.test:{receiver.port}/").reply is not None
    assert trap.connections == 0


def test_an_allowed_address_that_is_down_leads_to_no_other(
    client: Client, raw_server: Callable[..., RawServer], dns: DNS
) -> None:
    trap = raw_server(lambda _: None, host="127.0.0.2")
    dns.say("mixed.test", ["127.0.0.1", "127.0.0.2"])
    assert client(f"http://mixed.test:{trap.port}/").failure is Failure.CONNECTION
    assert trap.connections == 0


def test_an_address_that_is_down_leads_to_the_next(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("two.test", ["127.0.0.3", "127.0.0.1"])
    assert client(f"http://two.test:{receiver.port}/", allowed=["127.0.0.0/8"]).reply is not None


def test_rebinding_meets_the_judge_at_every_connection(
    client: Client, receiver: Receiver, raw_server: Callable[..., RawServer], dns: DNS
) -> None:
    """The answer that was judged is the one connected to, and the next connection is judged anew."""
    trap = raw_server(lambda _: None, host="127.0.0.2", port=receiver.port)
    dns.say("rebinding.test", ["127.0.0.1"], ["127.0.0.2"])
    receiver.answer(Answer(headers={"Connection": "close"}))
    assert client(f"http://rebinding.test:{receiver.port}/").reply is not None
    assert dns.asked == ["rebinding.test"]
    outcome = client(f"http://rebinding.test:{receiver.port}/")
    assert outcome.failure is Failure.ADDRESS
    assert outcome.allow == "127.0.0.2"
    assert trap.connections == 0


def test_a_kept_connection_stays_with_the_judged_address(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("moving.test", ["127.0.0.1"], ["127.0.0.2"])
    for _ in range(2):
        assert client(f"http://moving.test:{receiver.port}/").reply is not None
    assert len({request.connection for request in receiver.requests}) == 1


def test_a_kept_connection_does_not_outlive_the_policy(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.say("hooks.test", ["127.0.0.1"])
    assert client(f"http://hooks.test:{receiver.port}/").reply is not None
    assert client(f"http://hooks.test:{receiver.port}/", allowed=()).failure is Failure.ADDRESS


@pytest.mark.parametrize("answer", ["::ffff:127.0.0.1", "fe80::1%lo", "fe80::1%1", "64:ff9b::7f00:1", "garbage"])
def test_odd_answers_of_dns_are_refused(client: Client, receiver: Receiver, dns: DNS, answer: str) -> None:
    dns.say("odd.test", [answer])
    assert client(f"http://odd.test:{receiver.port}/").failure is Failure.ADDRESS
    assert receiver.requests == []


# DNS.


def test_a_name_without_address(client: Client, dns: DNS) -> None:
    dns.say("nowhere.test", socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    outcome = client("http://nowhere.test/")
    assert outcome.failure is Failure.DNS
    assert "nowhere.test" in outcome.detail


def test_a_name_with_an_empty_answer(client: Client, dns: DNS) -> None:
    dns.say("empty.test", [])
    assert client("http://empty.test/").failure is Failure.DNS


def test_dns_that_hangs_ends_at_the_deadline_and_delays_nobody(client: Client, receiver: Receiver, dns: DNS) -> None:
    dns.hang("hanging.test")
    dns.say("healthy.test", ["127.0.0.1"])
    outcome = client("http://hanging.test/", timeout=HANGING)
    assert outcome.failure is Failure.TIMEOUT
    assert "looked up" in outcome.detail
    assert client(f"http://healthy.test:{receiver.port}/").reply is not None


# Proxies.


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_ignored(
    client: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Receiver() as proxy:
        monkeypatch.setenv(name, proxy.url())
        assert client(receiver.url()).reply is not None
        assert proxy.requests == []
    assert len(receiver.requests) == 1


def test_an_explicit_proxy_is_used_and_not_judged(client: Client, dns: DNS) -> None:
    with Receiver() as proxy:
        outcome = client("http://hooks.test/a?b", allowed=(), proxy=f"http://127.0.0.1:{proxy.port}")
        assert outcome.reply is not None
        assert proxy.requests[0].path == "http://hooks.test/a?b"
        assert proxy.requests[0].headers["host"] == "hooks.test"
    assert dns.asked == []  # the proxy looks names up


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "169.254.169.254", "[::1]", "metadata.google.internal", "localhost", "a.localhost"]
)
def test_behind_a_proxy_what_can_be_judged_is(client: Client, host: str) -> None:
    with Receiver() as proxy:
        outcome = client(f"http://{host}/", allowed=(), proxy=f"http://127.0.0.1:{proxy.port}")
        assert outcome.failure is Failure.ADDRESS
        assert proxy.requests == []


def test_a_proxy_may_ask_who_we_are(client: Client) -> None:
    with Receiver() as proxy:
        assert client("http://hooks.test/", proxy=f"http://me:secret@127.0.0.1:{proxy.port}").reply is not None
        assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"


def test_tls_goes_through_a_tunnel(
    client: Client, raw_server: Callable[..., RawServer], dns: DNS, trusted: None
) -> None:
    site = raw_server(tls_talk)
    proxy = raw_server(lambda connection: tunnel_talk(connection, site.port))
    reply = client("https://hooks.test/", allowed=(), proxy=f"http://127.0.0.1:{proxy.port}").reply
    assert reply is not None
    assert reply.body == b"secret"
    assert dns.asked == []


def test_a_tunnel_that_hangs(client: Client, raw_server: Callable[..., RawServer]) -> None:
    proxy = raw_server(lambda _: time.sleep(20))
    outcome = client("https://hooks.test/", proxy=f"http://127.0.0.1:{proxy.port}", timeout=HANGING)
    assert outcome.failure is Failure.TIMEOUT


@pytest.mark.parametrize("proxy", ["127.0.0.1:3128", "ftp://127.0.0.1:3128", "nonsense", "http://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_never_means_a_direct_call(client: Client, receiver: Receiver, proxy: str) -> None:
    outcome = client(receiver.url(), proxy=proxy)
    assert outcome.reply is None
    assert receiver.requests == []


def test_a_proxy_that_refuses_a_tunnel(client: Client) -> None:
    with Receiver() as proxy:
        outcome = client("https://hooks.test/", proxy=f"http://127.0.0.1:{proxy.port}")
    assert outcome.reply is None
    assert outcome.failure is Failure.CONNECTION
