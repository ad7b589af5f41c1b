"""The table of changes, row by row, and for any JSON: refused or of the same type, and nothing changed in place."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime
from typing import Any

import attr
import pytest
from django.http import QueryDict
from django.test import override_settings
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st
from opaque_keys.edx.keys import CourseKey, UsageKey

from openedx_webhooks.catalog.contracts import Contract
from openedx_webhooks.exceptions import ReplyError
from openedx_webhooks.webfilters.changes import changed
from openedx_webhooks.webfilters.spots import Change, Spot
from tests.webfilters.arguments import BLOCK, COURSE, Fragment, Opaque
from tests.webfilters.test_replies import json_values


@attr.frozen
class Point:
    x: int
    name: str = "p"
    _hidden: str = ""


def apply(current: Any, wanted: Any, path: str = "value", *, allow_html: bool = False) -> Any:
    return changed(Spot(path, Contract(), allow_html), current, wanted)


@pytest.mark.parametrize(
    ("current", "wanted", "expected"),
    [
        ("old", "new", "new"),
        (gettext_lazy("old"), "new", "new"),
        (None, "new", "new"),
        (True, False, False),
        (1, 2, 2),
        (1, 2.0, 2),
        (1.0, 2, 2.0),
        (datetime(2026, 1, 1, tzinfo=UTC), "2027-02-03T04:05:06Z", datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (datetime(2026, 1, 1, tzinfo=UTC), "2027-02-03T04:05:06", datetime(2027, 2, 3, 4, 5, 6, tzinfo=UTC)),
        (datetime(2026, 1, 1), "2027-02-03T05:05:06+01:00", datetime(2027, 2, 3, 4, 5, 6)),
        (date(2026, 1, 1), "2027-02-03", date(2027, 2, 3)),
        (COURSE, "course-v1:edX+B+1", CourseKey.from_string("course-v1:edX+B+1")),
        (
            BLOCK,
            str(BLOCK).replace("block@v1", "block@v2"),
            UsageKey.from_string(str(BLOCK).replace("block@v1", "block@v2")),
        ),
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}, "e": None}, {"a": 1, "b": {"c": 3, "d": 2}, "e": None}),
        ({"a": None}, {"a": {"b": [1]}}, {"a": {"b": [1]}}),
        ({"a", "b"}, ["c"], {"c"}),
        (frozenset({"a"}), ["b"], frozenset({"b"})),
        ([1, 2], [3], [3]),
        ((1, 2), [3], (3,)),
        ([{"a": 1}], [{"b": 2}], [{"b": 2}]),
        (Point(1), {"x": 2}, Point(2)),
    ],
)
def test_a_value_of_the_same_type(current: Any, wanted: Any, expected: Any) -> None:
    before = copy.deepcopy(current)
    new = apply(current, wanted)
    assert new == expected
    assert type(new) is type(expected)
    assert current == before


@pytest.mark.parametrize(
    ("current", "wanted"),
    [
        ("old", 1),
        ("old", None),
        ("old", ["new"]),
        (None, 1),
        (None, {"a": 1}),
        (True, "true"),
        (True, 1),
        (1, True),
        (1, "2"),
        (1, 2.5),
        (1.0, 10**400),
        (datetime(2026, 1, 1, tzinfo=UTC), "tomorrow"),
        (datetime(2026, 1, 1, tzinfo=UTC), 1700000000),
        (COURSE, "nonsense"),
        (COURSE, 7),
        ({"a": 1}, ["a"]),
        ({"a": 1}, {"a": "1"}),
        ({"a": {"b": 1}}, {"a": 1}),
        ({"course": Opaque()}, {"course": "x"}),
        ({"csrftoken": "a"}, {"csrftoken": "b"}),
        ({}, {"password": "b"}),
        ({"a"}, [1]),
        ({"a"}, "a"),
        ([Opaque()], ["x"]),
        ([{"a": 1}], ["x"]),
        (Point(1), {"y": 2}),
        (Point(1), {"x": "2"}),
        (Point(1), [1]),
        (Fragment("a"), {"resources": []}),
        (Fragment("a"), "b"),
        (Opaque(), {"a": 1}),
        (Opaque(), "x"),
    ],
)
def test_what_is_refused(current: Any, wanted: Any) -> None:
    with pytest.raises(ReplyError):
        apply(current, wanted)


def test_html_of_a_fragment_only_where_it_is_allowed() -> None:
    fragment = Fragment("<p>Old</p>")
    with pytest.raises(ReplyError, match="HTML"):
        apply(fragment, {"content": "<p>New</p>"})
    new = apply(fragment, {"content": "<p>New</p>"}, allow_html=True)
    assert (new.content, fragment.content) == ("<p>New</p>", "<p>Old</p>")


class TestForms:
    FORM = "name=Old&username=ada&email=ada%40example.com&tag=a&tag=b"

    def apply(self, wanted: dict[str, Any]) -> QueryDict:
        form = QueryDict(self.FORM)
        new = apply(form, wanted, "form_data")
        assert form == QueryDict(self.FORM)
        return new

    @pytest.mark.parametrize(
        ("wanted", "field", "expected"),
        [
            ({"name": "New"}, "name", ["New"]),
            ({"year": 1990}, "year", ["1990"]),
            ({"honor_code": True}, "honor_code", ["true"]),
            ({"tag": ["c"]}, "tag", ["c"]),
            ({"company": "ACME"}, "company", ["ACME"]),
            ({"username": "ada", "email": "ada@example.com"}, "name", ["Old"]),
        ],
    )
    def test_a_field(self, wanted: dict[str, Any], field: str, expected: list[str]) -> None:
        new = self.apply(wanted)
        assert new.getlist(field) == expected
        new["more"] = "is mutable, as the platform needs it"

    @pytest.mark.parametrize(
        "wanted",
        [
            {"username": "other"},
            {"email": "other@example.com"},
            {"Email": "other@example.com"},
            {"password": "x"},
            {"new_password2": "x"},
            {"is_staff": "true"},
            {"name": None},
            {"name": {"a": 1}},
            {"name": [["a"]]},
        ],
    )
    def test_what_is_refused(self, wanted: dict[str, Any]) -> None:
        with pytest.raises(ReplyError):
            self.apply(wanted)

    def test_what_the_site_opens(self) -> None:
        with override_settings(OPENEDX_WEBHOOKS_WRITABLE_FIELDS=["username"]):
            assert self.apply({"username": "other"})["username"] == "other"
            with pytest.raises(ReplyError):
                self.apply({"email": "other@example.com"})


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("url", "ftp://example.com/"),
        ("course_home_url", "//example.com"),
        ("redirect_url", "nowhere"),
        ("template_name", "../../etc/passwd"),
        ("template_name", "/etc/passwd"),
        ("mode", "a b"),
    ],
)
def test_text_that_means_something(path: str, wanted: str) -> None:
    with pytest.raises(ReplyError):
        apply("old", wanted, path)
    assert apply({"inner": "old"}, {"inner": wanted}, "context") == {"inner": wanted}


def test_every_changed_leaf_is_noted() -> None:
    spot = Spot("context", Contract(), allow_html=False)
    changed(spot, {"a": 1, "b": {"c": COURSE}, "d": 4}, {"a": 2, "b": {"c": "course-v1:edX+B+1"}, "d": 4, "e": [1]})
    assert spot.changes == [
        Change(path="context.a", before=1, after=2),
        Change(path="context.b.c", before=str(COURSE), after="course-v1:edX+B+1"),
        Change(path="context.e", before=None, after=[1]),
    ]


PRESENT = st.sampled_from(
    [
        *("old", True, 7, 0.5, COURSE, BLOCK, (), Point(1), QueryDict("name=a&b=c")),
        *(datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), {"a"}, frozenset(), ["a"], [{"a": 1}]),
        *({"a": 1, "b": {"c": "d"}}, {"a": Opaque(), "b": [Opaque()]}),
    ]
)


@given(PRESENT, json_values | st.dictionaries(st.sampled_from("abcx"), json_values))
def test_any_json_is_refused_or_becomes_the_same_type(current: Any, wanted: Any) -> None:
    before = repr(current)
    try:
        new = apply(current, wanted)
    except ReplyError:
        new = current
    assert type(new) is type(current)
    assert repr(current) == before


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=3), st.dictionaries(st.text(max_size=4), json_values))
def test_only_keys_that_are_named_change(current: dict[str, Any], wanted: dict[str, Any]) -> None:
    try:
        new = apply(current, wanted)
    except ReplyError:
        return
    assert {key: value for key, value in new.items() if key not in wanted} == {
        key: value for key, value in current.items() if key not in wanted
    }
