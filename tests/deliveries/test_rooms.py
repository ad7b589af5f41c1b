"""How many requests may be under way: properties, and the way of one webhook."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.deliveries.rooms import FIRST, MOST, PROBATION, QUICK, SILENCE, Rooms


class Clock:
    """A clock that stands until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def room(rooms: Rooms, webhook_id: int) -> int:
    return rooms.shares([webhook_id])[0][1]


def one_after_the_other(rooms: Rooms, webhook_id: int, *outcomes: bool) -> None:
    for ok in outcomes:
        rooms.start(webhook_id, 10)
        rooms.finish(webhook_id, 10, ok=ok)


def test_a_webhook_that_keeps_failing_is_probed_one_at_a_time_and_ramps_up_once_it_answers() -> None:
    rooms = Rooms()
    assert room(rooms, 1) == FIRST
    one_after_the_other(rooms, 1, False, False)
    assert room(rooms, 1) == 1
    one_after_the_other(rooms, 1, *[True] * PROBATION)
    assert room(rooms, 1) == 1
    one_after_the_other(rooms, 1, *[True] * 200)
    assert room(rooms, 1) == MOST


def test_what_is_known_of_a_webhook_counts_from_the_start() -> None:
    rooms = Rooms()
    rooms.learn(1, failing=True)
    rooms.learn(2, failing=False)
    assert (room(rooms, 1), room(rooms, 2)) == (1, FIRST)
    one_after_the_other(rooms, 2, True)
    rooms.learn(2, failing=True)
    assert room(rooms, 2) == FIRST + 1


def test_failing_webhooks_together_get_no_more_than_half() -> None:
    rooms = Rooms(sockets=10)
    for webhook_id in range(20):
        rooms.learn(webhook_id, failing=True)
        if room(rooms, webhook_id):
            rooms.start(webhook_id, 10)
    assert rooms.in_flight == 5
    assert room(rooms, 99) == FIRST


def test_webhooks_that_fall_silent_together_leave_room_for_the_others() -> None:
    clock = Clock()
    rooms = Rooms(sockets=100, clock=clock)
    for webhook_id in range(8):
        one_after_the_other(rooms, webhook_id, *[True] * 100)
    for _ in range(10):
        for webhook_id, share in rooms.shares(list(range(8))):
            for _ in range(share):
                rooms.start(webhook_id, 10)
    assert rooms.in_flight <= 50 + 8 * FIRST
    clock.now += SILENCE + 1
    assert [share for _, share in rooms.shares(list(range(8)))] == [0] * 8
    assert room(rooms, 99) == FIRST


def test_half_of_what_is_under_way_does_not_count_on_the_silent() -> None:
    clock = Clock()
    rooms = Rooms(clock=clock)
    for _ in range(FIRST):
        rooms.start(1, 10)
    clock.now += SILENCE + 1
    assert rooms.half() == FIRST // 2, "of nobody else"
    for _ in range(FIRST):
        rooms.start(2, 10)
    assert rooms.half() == FIRST + FIRST // 2


def test_where_not_all_fit_each_gets_its_part() -> None:
    rooms = Rooms(sockets=40)
    shares = rooms.shares(list(range(20)))
    assert [share for _, share in shares] == [2] * 20
    assert sum(share for _, share in Rooms(sockets=10).shares(list(range(20)))) == 10


def test_at_the_end_of_a_slice_only_the_quick_have_room() -> None:
    rooms = Rooms()
    for webhook_id, (ok, seconds) in enumerate([(True, 0.1), (True, QUICK + 0.1), (False, 0.1)]):
        rooms.start(webhook_id, 10)
        rooms.finish(webhook_id, 10, ok=ok, seconds=seconds)
    rooms.quick_only = True
    assert [share > 0 for _, share in rooms.shares([0, 1, 2, 3])] == [True, False, False, False]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans())))
def test_nothing_is_ever_counted_wrong(steps: list[tuple[int, bool, bool]]) -> None:
    rooms, under_way = Rooms(sockets=8), []
    for webhook_id, begin, ok in steps:
        assert 0 <= room(rooms, webhook_id) <= rooms.free
        assert sum(share for _, share in rooms.shares(list(range(6)))) <= rooms.free
        if begin and room(rooms, webhook_id):
            rooms.start(webhook_id, 100)
            under_way.append(webhook_id)
        elif under_way:
            rooms.finish(under_way.pop(), 100, ok=ok)
        assert (rooms.in_flight, rooms.bytes_in_flight) == (len(under_way), 100 * len(under_way))
        assert rooms.in_flight <= rooms.sockets
