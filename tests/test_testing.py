"""The integrator's receiver: what it records, how it verifies, and each way in which it misbehaves."""

import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from standardwebhooks import Webhook as Oracle

from openedx_webhooks import signing
from openedx_webhooks.exceptions import InvalidSecret
from openedx_webhooks.testing import CLOSE, ENDLESS, GARBAGE, HANG, Answer, Received, Receiver, gzip_bomb


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@contextmanager
def connected(receiver: Receiver, host: str = "127.0.0.1") -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(host, receiver.port, timeout=10)
    connection.connect()
    with connection.sock:
        yield connection


def post(
    receiver: Receiver, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    with connected(receiver) as connection:
        connection.request("POST", "/hook?a=1", body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def test_records_what_came(receiver: Receiver) -> None:
    before = time.monotonic()
    assert post(receiver, b'{"a": 1}', {"Webhook-Id": "msg_1", "X-Own": "yes"})[:2] == (200, b"")
    [request] = receiver.wait_for(1)
    assert (request.method, request.path, request.body, request.json()) == ("POST", "/hook?a=1", b'{"a": 1}', {"a": 1})
    assert (request.headers["x-own"], request.message_id, request.verified) == ("yes", "msg_1", None)
    assert before <= request.received_at <= time.monotonic()
    receiver.clear()
    assert receiver.requests == []


def test_keeps_a_connection_alive(receiver: Receiver) -> None:
    with connected(receiver) as connection:
        for method in ("POST", "GET", "PUT", "PATCH", "DELETE", "HEAD", "POST"):
            connection.request(method, "/", b"x" if method != "GET" else None)
            assert connection.getresponse().read() == b""
        assert len({request.connection for request in receiver.wait_for(7)}) == 1
        post(receiver)
        assert len({request.connection for request in receiver.requests}) == 2


def test_reads_a_chunked_body(receiver: Receiver) -> None:
    with connected(receiver) as connection:
        connection.request("POST", "/", iter([b"ab", b"cd"]), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        assert connection.getresponse().status == 200
        assert receiver.requests[0].body == b"abcd"


def test_verifies_by_any_of_its_secrets() -> None:
    old, new, other = (signing.generate_secret() for _ in range(3))
    now = int(time.time())

    def signed(secret: str, timestamp: int = now) -> dict[str, str]:
        return signing.headers([signing.decode_secret(secret)], "msg_1", timestamp, b"{}")

    with Receiver(secret=new) as receiver:
        post(receiver, b"{}", signed(new))
        post(receiver, b"{ }", signed(new))
        post(receiver, b"{}", signed(new, now - 301))
        post(receiver, b"{}")
        post(receiver, b"{}", signed(old))
        receiver.trust([old, new])
        post(receiver, b"{}", signed(old))
        post(receiver, b"{}", signed(new))
        post(receiver, b"{}", signed(other))
        verdicts = [request.verified for request in receiver.requests]
        with pytest.raises(InvalidSecret):
            receiver.trust("not a secret")
    assert verdicts == [True, False, False, False, False, True, True, False]


def test_agrees_with_the_reference_library() -> None:
    secret = signing.generate_secret()
    with Receiver(secret=secret) as receiver:
        post(
            receiver,
            b'{"a":1}',
            signing.headers([signing.decode_secret(secret)], "msg_1", int(time.time()), b'{"a":1}'),
        )
        [request] = receiver.requests
    assert request.verified
    assert Oracle(secret).verify(request.body, dict(request.headers)) == {"a": 1}


def test_answers_in_order_and_repeats_the_last(receiver: Receiver) -> None:
    receiver.answer(500, Answer(status=429, headers={"Retry-After": "2"}, body=b"slow down"), 204)
    answers = [post(receiver) for _ in range(4)]
    assert [status for status, _body, _headers in answers] == [500, 429, 204, 204]
    assert (answers[1][1], answers[1][2]["Retry-After"]) == (b"slow down", "2")
    receiver.answer(200)
    assert post(receiver)[0] == 200


def test_a_function_chooses_the_answer(receiver: Receiver) -> None:
    def choose(request: Received) -> Answer | int:
        return 400 if request.body == b"bad" else Answer(status=302, headers={"Location": "/elsewhere"})

    receiver.answer(choose)
    assert post(receiver, b"bad")[0] == 400
    assert post(receiver, b"good")[2]["Location"] == "/elsewhere"
    with pytest.raises(TypeError):
        receiver.answer(200, choose)
    with pytest.raises(TypeError):
        receiver.answer()


def test_a_status_that_nobody_defined(receiver: Receiver) -> None:
    receiver.answer(599)
    assert post(receiver)[0] == 599


def test_closes_without_an_answer(receiver: Receiver) -> None:
    receiver.answer(CLOSE)
    with pytest.raises(http.client.RemoteDisconnected):
        post(receiver)


def test_answers_garbage(receiver: Receiver) -> None:
    receiver.answer(GARBAGE)
    with pytest.raises(http.client.BadStatusLine):
        post(receiver)


def test_hangs_until_it_is_stopped(receiver: Receiver) -> None:
    receiver.answer(HANG)
    with connected(receiver) as connection:
        connection.request("POST", "/", b"{}")
        receiver.wait_for(1)
        connection.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
        connection.sock.settimeout(10)
        receiver.stop()
        assert connection.sock.recv(1) == b""


def test_waits_before_the_first_byte(receiver: Receiver) -> None:
    receiver.answer(Answer(delay=0.3))
    before = time.monotonic()
    assert post(receiver)[0] == 200
    assert time.monotonic() - before >= 0.3


def test_drips(receiver: Receiver) -> None:
    receiver.answer(Answer(body=b"abc", drip=0.01))
    before = time.monotonic()
    assert post(receiver)[1] == b"abc"
    # 38 bytes of headers and three of body, each followed by its pause.
    assert time.monotonic() - before >= 0.4


def test_a_body_without_end(receiver: Receiver) -> None:
    receiver.answer(ENDLESS)
    with connected(receiver) as connection:
        connection.request("POST", "/", b"{}")
        response = connection.getresponse()
        assert len(response.read(1024 * 1024)) == 1024 * 1024
        receiver.answer(200)
        assert post(receiver)[0] == 200


def test_a_body_shorter_than_it_says(receiver: Receiver) -> None:
    receiver.answer(Answer(headers={"Content-Length": "10"}, body=b"short"))
    with pytest.raises(http.client.IncompleteRead):
        post(receiver)


def test_a_gzip_bomb_unpacks_to_what_it_says(receiver: Receiver) -> None:
    receiver.answer(gzip_bomb(3))
    _status, body, headers = post(receiver)
    assert headers["Content-Encoding"] == "gzip"
    assert len(body) < 10_000
    assert len(gzip.decompress(body)) == 3 * 1024 * 1024


def test_says_what_came_instead(receiver: Receiver) -> None:
    post(receiver, b'{"only": "this"}', {"webhook-id": "msg_7"})
    with pytest.raises(AssertionError, match=r"(?s)0\.05 s for 2 requests; 1 came:.*/hook\?a=1 msg_7 .*only"):
        receiver.wait_for(2, timeout=0.05)
    with pytest.raises(AssertionError, match="for a GET"):
        receiver.wait_until(lambda requests: any(r.method == "GET" for r in requests), 0.05, "a GET")


def test_waits_for_what_comes_later(receiver: Receiver) -> None:
    timer = threading.Timer(0.1, post, [receiver])
    timer.start()
    assert len(receiver.wait_for(1)) == 1
    timer.join()


def test_a_request_that_breaks_off_is_not_recorded(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert receiver.requests == []


def test_serves_hundreds_at_once(receiver: Receiver) -> None:
    everybody = threading.Barrier(200)

    def choose(_request: Received) -> int:
        everybody.wait(timeout=30)
        return 200

    receiver.answer(choose)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(post(receiver)[0])) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 200


def test_serves_ipv6_and_a_port_of_choice() -> None:
    with Receiver(host="::1") as receiver:
        assert receiver.url("/x") == f"http://[::1]:{receiver.port}/x"
        with connected(receiver, "::1") as connection:
            connection.request("POST", "/", b"")
            assert connection.getresponse().status == 200
    with Receiver(port=receiver.port) as again:
        assert again.port == receiver.port


def test_stopping_closes_the_port_and_what_is_open() -> None:
    receiver = Receiver()
    receiver.start()
    with connected(receiver) as connection:
        connection.request("POST", "/", b"{}")
        connection.getresponse().read()
        receiver.stop()
        receiver.stop()
        assert connection.sock is not None
        assert connection.sock.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            post(receiver)
        assert len(receiver.requests) == 1
        Receiver().stop()
