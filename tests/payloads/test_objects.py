"""Whatever stands in an event, the body holds what can be shown of it and nothing is raised."""

from __future__ import annotations

import dataclasses
import enum
import io
import json
from collections import OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, BinaryIO
from uuid import UUID

import attr
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject, lazy
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import AssetKey, CourseKey, UsageKey
from opaque_keys.edx.locator import LibraryCollectionLocator, LibraryContainerLocator, LibraryUsageLocatorV2
from openedx_events.data import EventsMetadata

from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import objects
from openedx_webhooks.payloads.events import Payload, serialize
from openedx_webhooks.payloads.formats import render
from tests.payloads.properties import unhurried

TYPE = "com.acme.thing.made.v1"
COURSE = "course-v1:edX+DemoX+2026"
BLOCK = "block-v1:edX+DemoX+2026+type@problem+block@p1"


def read(value: object) -> Payload:
    return serialize("THING_MADE", TYPE, {"thing": value}, EventsMetadata(event_type=TYPE))


def shown(value: object) -> Any:
    """Return the value as a receiver of the default format parses it."""
    return json.loads(render(read(value), Encoding.DEFAULT, max_body=10**7))["thing"]


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Text(enum.StrEnum):
    HELLO = "hello"


@attr.s(frozen=True)
class Thing:
    name = attr.ib(type=str)
    data = attr.ib(default=None)
    image = attr.ib(type=BinaryIO, default=None)
    password = attr.ib(type=str, default="never sent")
    _private = attr.ib(default=1)


@dataclasses.dataclass
class Plain:
    when: date
    blob: bytes = b"x"


class Hostile:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")


@attr.s
class HostileFields:
    good = attr.ib(default=1)

    @property
    def bad(self) -> int:
        raise RuntimeError


class NamelessMeta(type):
    def __getattribute__(cls, name: str) -> object:
        if name == "__qualname__":
            raise RuntimeError(name)
        return super().__getattribute__(name)


class Nameless(metaclass=NamelessMeta):
    """Cannot even be named in a note."""


class BrokenMapping(dict[str, int]):
    def items(self):  # type: ignore[override]
        raise KeyError("gone")


Pair = namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        ("", ""),
        (mark_safe("<b>"), "<b>"),
        (True, True),
        (0, 0),
        (2**70, 2**70),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (None, None),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02T03:04:05.000006Z"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-01-01T21:30:00Z"),
        (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00Z"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), None),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (timedelta(days=1, seconds=2), "P1DT00H00M02S"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), None),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Text.HELLO, "hello"),
        ([1, (2, 3)], [1, [2, 3]]),
        (Pair(1, 2), [1, 2]),
        (deque([1, 2]), [1, 2]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({3, 1, 2}), [1, 2, 3]),
        ({1, "a", None}, ["a", 1, None]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (QueryDict("a=1&a=2&b=3"), {"a": "2", "b": "3"}),
        (
            {1: "i", None: "n", False: "f", UUID(int=1): "u", Color.RED: "e", (1, 2): "p", date(2026, 1, 2): "d"},
            {
                "1": "i",
                "null": "n",
                "false": "f",
                "00000000-0000-0000-0000-000000000001": "u",
                "red": "e",
                "[1, 2]": "p",
                "2026-01-02": "d",
            },
        ),
        (gettext_lazy("Hello"), "Hello"),
        (lazy(lambda: "later", str)(), "later"),
        (Thing("n", Thing("inner")), {"name": "n", "data": {"name": "inner", "data": None}}),
        (Plain(date(2026, 1, 2)), {"when": "2026-01-02"}),
        (CourseKey.from_string(COURSE), COURSE),
        ({"key": UsageKey.from_string(BLOCK)}, {"key": BLOCK}),
        ([b"bytes", bytearray(b"x"), memoryview(b"x"), io.BytesIO(b"x"), 1], [1]),
        ({"file": io.StringIO("x"), "a": 1}, {"a": 1}),
        ("lone \ud83d surrogate", "lone \ufffd surrogate"),
        ("pair \ud83d\ude00", "pair \U0001f600"),
        ({"\udc00": "\udc00"}, {"\ufffd": "\ufffd"}),
        ({"password": "x", "Session-ID": "y", "nested": [{"token": "z", "name": "n"}]}, {"nested": [{"name": "n"}]}),
        ('{"session_id": "x", "name": "n"}', '{"name": "n"}'),
    ],
)
def test_how_a_value_is_shown(value, expected):
    assert shown(value) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "builtins.object has no JSON form"),
        (Thing, "builtins.type has no JSON form"),
        (len, "has no JSON form"),
        ((n for n in [1]), "builtins.generator has no JSON form"),
        (b"bytes", "bytes and files are left out"),
        (10**5000, "an integer is too large"),
        (1j, "builtins.complex has no JSON form"),
        (Hostile(), "Hostile has no JSON form"),
        (Nameless(), "an unnamed class has no JSON form"),
        (BrokenMapping(a=1), "BrokenMapping could not be read (KeyError)"),
        (SimpleLazyObject(lambda: 1), "a lazy object is not evaluated"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_argument_that_cannot_be_shown_is_null_with_a_note(value, reason):
    payload = read(value)
    assert payload.tree == {"thing": None}
    (note,) = payload.metadata["notes"]
    assert note.startswith("thing: ")
    assert reason in note
    assert json.loads(render(payload, Encoding.DEFAULT, max_body=4096))["event_metadata"]["notes"] == [note]


def test_what_cannot_be_read_costs_only_itself():
    assert shown({"good": 1, "bad": BrokenMapping(a=1), "list": [object(), 2]}) == {
        "good": 1,
        "bad": None,
        "list": [None, 2],
    }


def test_a_generator_is_not_consumed():
    numbers = iter([1, 2])
    shown({"numbers": numbers})
    assert list(numbers) == [1, 2]


def test_a_lazy_object_that_is_awake_is_shown():
    value = SimpleLazyObject(lambda: {"a": 1})
    assert value["a"] == 1
    assert shown(value) == {"a": 1}


def test_models_and_querysets_never_touch_the_database():
    def refuse(*_args: object) -> None:
        raise AssertionError("a query was made")

    with connection.execute_wrapper(refuse):
        value = {"user": User(pk=5, username="ada"), "all": User.objects.all(), "manager": User.objects}
        payload = read(value)
    assert payload.tree["thing"] == {"user": {"model": "auth.user", "pk": 5}, "all": None, "manager": None}
    assert len(payload.metadata["notes"]) == 2


def test_what_contains_itself_ends():
    value: dict[str, object] = {"a": 1}
    value["self"] = value
    value["list"] = [value, value]
    assert shown(value) == {"a": 1, "self": None, "list": [None, None]}


def test_the_same_object_twice_is_shown_twice():
    part = {"a": 1}
    assert shown([part, part]) == [part, part]


def test_depth_is_bounded():
    value: list[object] = []
    for _ in range(10_000):
        value = [value]
    text = json.dumps(shown(value))
    assert text == "[" * objects.MAX_DEPTH + "null" + "]" * objects.MAX_DEPTH
    assert f"nested deeper than {objects.MAX_DEPTH} levels" in read(value).metadata["notes"][0]


def test_the_number_of_values_is_bounded():
    doubled: list[object] = [1]
    for _ in range(20):
        doubled = [doubled, doubled]
    assert len(json.dumps(shown(doubled))) < 20 * objects.MAX_NODES
    assert objects.MAX_NODES - 20 < len(shown(range(10**12))) <= objects.MAX_NODES
    assert read(range(10**12)).metadata["event_type"] == TYPE


def test_the_text_is_bounded():
    value = shown(["x" * 1_000_000] * 10)
    assert [len(text) for text in value] == [1_000_000] * 4 + [32] * 6
    assert "characters" in read(["x" * 1_000_000] * 10).metadata["notes"][0]


def test_the_payload_knows_how_much_text_it_holds():
    small, large = read("x"), read("x" * 1000)
    assert large.characters - small.characters == 999


def test_long_keys_are_clipped():
    assert list(shown({"k" * 1000: 1})) == ["k" * objects.MAX_KEY]


@pytest.mark.parametrize(
    ("value", "courses", "organizations"),
    [
        (CourseKey.from_string(COURSE), {COURSE}, {"edX"}),
        (UsageKey.from_string(BLOCK), {COURSE}, {"edX"}),
        (AssetKey.from_string("asset-v1:edX+DemoX+2026+type@asset+block@a.png"), {COURSE}, {"edX"}),
        (CourseKey.from_string("edX/DemoX/2026"), {"edX/DemoX/2026"}, {"edX"}),
        (LibraryUsageLocatorV2.from_string("lb:acme:lib:problem:p"), {"lib:acme:lib"}, {"acme"}),
        (LibraryContainerLocator.from_string("lct:acme:lib:unit:u"), {"lib:acme:lib"}, {"acme"}),
        (LibraryCollectionLocator.from_string("lib-collection:acme:lib:c"), {"lib:acme:lib"}, {"acme"}),
        (COURSE, {COURSE}, {"edX"}),
        ({"object_id": BLOCK}, {COURSE}, {"edX"}),
        ("lb:acme:lib:problem:p", {"lib:acme:lib"}, {"acme"}),
        ("course-v1:not a key", set(), set()),
        ("asset-v1:edX+DemoX+2026+type@asset+block@a.png", {COURSE}, {"edX"}),
        ("ccx-v1:edX+DemoX+2026+ccx@1", {"ccx-v1:edX+DemoX+2026+ccx@1"}, {"edX"}),
        ("library-v1:edX+lib", {"library-v1:edX+lib"}, {"edX"}),
        ("lib:acme:lib", {"lib:acme:lib"}, {"acme"}),
        ("lct:acme:lib:unit:u", {"lib:acme:lib"}, {"acme"}),
        ("lib-collection:acme:lib:c", {"lib:acme:lib"}, {"acme"}),
        (f"{COURSE} is mentioned in a text", set(), set()),
        (
            [Thing(COURSE), {"a": CourseKey.from_string("course-v1:acme+A+1")}],
            {COURSE, "course-v1:acme+A+1"},
            {"edX", "acme"},
        ),
        ({CourseKey.from_string(COURSE): 1}, {COURSE}, {"edX"}),
        ("no key", set(), set()),
    ],
)
def test_every_course_in_the_event_is_collected(value, courses, organizations):
    payload = read(value)
    assert payload.course_keys == tuple(sorted(courses))
    assert payload.organizations == tuple(sorted(organizations))


def test_the_payload_names_what_it_is():
    metadata = EventsMetadata(event_type=TYPE)
    payload = serialize("THING_MADE", TYPE, {"thing": Thing("n"), "other": 1}, metadata)
    assert (payload.name, payload.event_type, payload.message_id) == ("THING_MADE", TYPE, str(metadata.id))
    assert payload.class_names == {"thing": f"{__name__}.Thing", "other": "builtins.int"}
    assert "notes" not in payload.metadata
    with pytest.raises(dataclasses.FrozenInstanceError):
        payload.name = "x"  # type: ignore[misc]


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=4)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.complex_numbers()
    | st.sampled_from(
        [object, Hostile, HostileFields, BrokenMapping, User, lambda: Color.RED, lambda: len, lambda: range(5)]
    ).map(lambda make: [make()]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.booleans(), inner, max_size=4)
        | st.builds(Thing, name=inner, data=inner)
    ),
    max_leaves=25,
)


@unhurried
@given(value=anything, encoding=st.sampled_from(Encoding))
def test_no_object_breaks_an_event(value, encoding):
    payload = read(value)
    body = render(payload, encoding, max_body=4096)
    assert body.isascii()
    assert len(body) <= 4096
    assert payload.message_id in body
    if encoding not in (Encoding.FORM, Encoding.LEGACY_FORM):
        json.loads(body, parse_constant=pytest.fail)
