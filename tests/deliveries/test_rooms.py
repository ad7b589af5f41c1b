"""How many requests may be under way: properties, and the way of one webhook."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.deliveries.rooms import FIRST, MOST, PROBATION, Rooms


def one_after_the_other(rooms: Rooms, webhook_id: int, *outcomes: bool) -> None:
    for ok in outcomes:
        rooms.start(webhook_id, 10)
        rooms.finish(webhook_id, 10, ok=ok)


def test_a_webhook_that_keeps_failing_is_probed_one_at_a_time_and_ramps_up_once_it_answers() -> None:
    rooms = Rooms()
    assert rooms.room(1) == FIRST
    one_after_the_other(rooms, 1, False, False)
    assert rooms.room(1) == 1
    one_after_the_other(rooms, 1, *[True] * PROBATION)
    assert rooms.room(1) == 1
    one_after_the_other(rooms, 1, *[True] * 200)
    assert rooms.room(1) == MOST


def test_what_is_known_of_a_webhook_counts_from_the_start() -> None:
    rooms = Rooms()
    rooms.learn(1, failing=True)
    rooms.learn(2, failing=False)
    assert (rooms.room(1), rooms.room(2)) == (1, FIRST)
    one_after_the_other(rooms, 2, True)
    rooms.learn(2, failing=True)
    assert rooms.room(2) == FIRST + 1


def test_failing_webhooks_together_get_no_more_than_half() -> None:
    rooms = Rooms(sockets=10)
    for webhook_id in range(20):
        rooms.learn(webhook_id, failing=True)
        if rooms.room(webhook_id):
            rooms.start(webhook_id, 10)
    assert rooms.in_flight == 5
    assert rooms.room(99) == FIRST


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans())))
def test_nothing_is_ever_counted_wrong(steps: list[tuple[int, bool, bool]]) -> None:
    rooms, under_way = Rooms(sockets=8), []
    for webhook_id, begin, ok in steps:
        assert 0 <= rooms.room(webhook_id) <= rooms.free
        if begin and rooms.room(webhook_id):
            rooms.start(webhook_id, 100)
            under_way.append(webhook_id)
        elif under_way:
            rooms.finish(under_way.pop(), 100, ok=ok)
        assert (rooms.in_flight, rooms.bytes_in_flight) == (len(under_way), 100 * len(under_way))
        assert rooms.in_flight <= rooms.sockets
