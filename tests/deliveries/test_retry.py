"""What becomes of a delivery: the table of outcomes, and properties of the delays."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.data import Failure, Outcome, Reply
from openedx_webhooks.deliveries import retry

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
SCHEDULE = (0.0, 5.0, 300.0)


def answered(status: int, **headers: str) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Outcome(started_at=NOW, duration=0.1, reply=Reply(status=status, headers=named))


def failed(failure: Failure) -> Outcome:
    return Outcome(started_at=NOW, duration=0.1, failure=failure, detail=f"It was {failure}.")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_2xx_is_success(status: int) -> None:
    verdict = retry.judge(answered(status), 1, SCHEDULE, 0.5)
    assert verdict.ok
    assert not verdict.error


@pytest.mark.parametrize("status", [100, 199, 300, 301, 307, 400, 404, 409, 429, 500, 502, 504, 599, 999])
def test_everything_else_is_retried_by_the_schedule_and_then_failed(status: int) -> None:
    first, second, third = (retry.judge(answered(status), attempt, SCHEDULE, 1.0) for attempt in (1, 2, 3))
    assert (first.status, first.delay) == ("pending", 5.5)
    assert (second.status, second.delay) == ("pending", 330.0)
    assert (third.status, third.reason) == ("failed", "exhausted")
    assert str(status) in first.error


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://hooks.example.com/services/T0/s3cr3t?key=s3cr3t#s3cr3t", "https://hooks.example.com"),
        ("http://ada:s3cr3t@example.com:8080/", "http://example.com:8080"),
        ("http://[2001:db8::1]:8080/s3cr3t", "http://[2001:db8::1]:8080"),
        ("//example.com/s3cr3t", "example.com"),
        ("/services/s3cr3t", "another path"),
        ("s3cr3t", "another path"),
        ("https://example.com\\s3cr3t", "what is no URL"),
        ("https://[s3cr3t", "what is no URL"),
        ("", "nowhere"),
    ],
)
def test_of_a_redirect_the_host_alone_is_written_down(location: str, named: str) -> None:
    """The path of a URL is a credential more often than not, and whoever may look at deliveries reads the error."""
    verdict = retry.judge(answered(302, location=location), 1, SCHEDULE, 0.0)
    assert verdict.error == f"Answered 302, a redirect to {named}; redirects are not followed."


def test_410_is_for_good() -> None:
    verdict = retry.judge(answered(410), 1, SCHEDULE, 0.0)
    assert (verdict.status, verdict.reason) == ("failed", "gone")


@pytest.mark.parametrize("failure", [Failure.ADDRESS, Failure.URL, Failure.CONFIGURATION])
def test_what_was_never_sent_does_not_count_as_an_attempt(failure: Failure) -> None:
    verdict = retry.judge(failed(failure), 9, SCHEDULE, 0.0)
    assert verdict.refused
    assert (verdict.status, verdict.hold, verdict.delay) == ("pending", retry.REFUSED_PACE, None)


def test_what_this_process_could_not_send_says_nothing_about_the_receiver() -> None:
    verdict = retry.judge(failed(Failure.LOCAL), 9, SCHEDULE, 0.0)
    assert (verdict.status, verdict.delay, verdict.hold) == ("pending", retry.LOCAL_PACE, 0.0)
    assert not verdict.counts
    assert not verdict.about_receiver


@pytest.mark.parametrize("failure", [Failure.TIMEOUT, Failure.DNS, Failure.CONNECTION, Failure.TLS, Failure.PROTOCOL])
def test_what_the_network_does_is_retried(failure: Failure) -> None:
    verdict = retry.judge(failed(failure), 1, SCHEDULE, 0.0)
    assert (verdict.status, verdict.delay, verdict.refused) == ("pending", 5.0, False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 12:02:00", 120.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("999999999999", 86400.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("\N{ARABIC-INDIC DIGIT FIVE}", 0.0),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    verdict = retry.judge(answered(503, retry_after=text), 1, SCHEDULE, 0.0)
    assert verdict.delay == max(5.0, seconds)
    assert verdict.hold == min(seconds, retry.LONGEST_HOLD)


@given(st.text(max_size=40))
def test_no_retry_after_breaks_anything(text: str) -> None:
    assert 0.0 <= retry.retry_after(answered(429, retry_after=text)) <= retry.LONGEST_RETRY_AFTER


@given(st.integers(1, 20), st.floats(0, 1), st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_no_attempt_comes_before_its_time_or_after_the_schedule(
    attempt: int, chance: float, schedule: list[float]
) -> None:
    verdict = retry.judge(answered(500), attempt, schedule, chance)
    if attempt >= len(schedule):
        assert verdict.status == "failed"
    else:
        assert verdict.delay is not None
        assert schedule[attempt] <= verdict.delay <= schedule[attempt] * (1 + retry.JITTER) + 1e-9


def test_the_probe_slows_down_to_half_a_minute() -> None:
    assert [retry.probe_pace(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 100)] == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]
