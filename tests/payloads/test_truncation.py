"""A body that is too large is cut by one rule: it always fits, always parses, and says what is missing."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openedx_events.data import EventsMetadata

from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads.events import Payload, serialize
from openedx_webhooks.payloads.formats import render
from tests.payloads.properties import unhurried

TYPE = "com.acme.thing.made.v1"
SMALLEST = 4096
FORMS = (Encoding.FORM, Encoding.LEGACY_FORM)


def read(**arguments: object) -> Payload:
    metadata = EventsMetadata(event_type=TYPE, source="openedx/lms/web", sourcehost="lms.example.com")
    return serialize("THING_MADE", TYPE, arguments, metadata)


def body(payload: Payload, max_body: int) -> dict[str, Any]:
    text = render(payload, Encoding.DEFAULT, max_body=max_body)
    assert len(text) <= max_body
    return json.loads(text)


def test_a_body_that_fits_is_not_touched():
    payload = read(post={"body": "x" * 3000})
    whole = render(payload, Encoding.DEFAULT, max_body=SMALLEST)
    assert render(payload, Encoding.DEFAULT, max_body=len(whole)) == whole
    assert "truncated" not in json.loads(whole)["event_metadata"]


def test_the_longest_text_goes_first():
    payload = read(post={"title": "t" * 500, "body": "b" * 100_000, "votes": list(range(50))})
    cut = body(payload, 20_000)
    assert cut["post"]["title"] == "t" * 500
    assert cut["post"]["votes"] == list(range(50))
    assert cut["post"]["body"] == "b" * 16_383 + "\u2026"
    assert cut["event_metadata"]["truncated"] is True
    assert cut["event_metadata"]["cut"] == ["post.body"]


def test_then_the_longest_lists_and_the_first_items_stay():
    payload = read(notification={"name": "n", "user_ids": list(range(5000)), "few": [1, 2, 3]})
    cut = body(payload, 8192)
    assert cut["notification"]["user_ids"] == list(range(1024))
    assert cut["notification"]["few"] == [1, 2, 3]
    assert cut["event_metadata"]["cut"] == ["notification.user_ids"]


def test_the_metadata_is_never_cut():
    payload = read(post={"body": "b" * 100_000})
    whole = json.loads(render(payload, Encoding.DEFAULT, max_body=10**6))["event_metadata"]
    cut = body(payload, SMALLEST)["event_metadata"]
    assert {key: cut[key] for key in whole} == whole


def test_the_cut_is_the_same_every_time():
    payload = read(post={"body": "b" * 100_000, "tags": ["t" * 100] * 500})
    assert render(payload, Encoding.DEFAULT, max_body=9000) == render(payload, Encoding.DEFAULT, max_body=9000)


def test_cloudevents_says_so_in_extension_attributes():
    text = render(read(post={"body": "b" * 100_000}), Encoding.CLOUDEVENTS, max_body=SMALLEST)
    event = json.loads(text)
    assert (event["truncated"], event["cut"]) == (True, "post.body")


@pytest.mark.parametrize("encoding", FORMS)
def test_forms_say_so_in_fields(encoding):
    text = render(read(post={"body": "b" * 100_000}), encoding, max_body=SMALLEST)
    form = dict(parse_qsl(text, strict_parsing=True, keep_blank_values=True))
    assert form["event_metadata_truncated"].lower() == "true"
    assert "post.body" in "".join(value for key, value in form.items() if key.startswith("event_metadata_cut"))


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(
    "argument",
    [
        {f"{'k' * 250}{n}": "\U0001f600" * 40 for n in range(200)},
        [[["\U0001f600" * 1000] * 50] * 10] * 10,
        {"a": {f"\u00e9{n}": [n] * 100 for n in range(300)}},
        "\U0001f600" * 200_000,
    ],
    ids=["long keys", "deep lists", "wide dicts", "one text"],
)
def test_the_worst_still_fits(argument, encoding):
    payload = read(**{f"argument{n}": argument for n in range(5)})
    text = render(payload, encoding, max_body=SMALLEST)
    assert len(text) <= SMALLEST
    assert quote(payload.message_id) in text


texts = st.text(max_size=40).map(lambda text: text * 60)
trees = st.recursive(
    texts | st.integers() | st.none() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=40,
)


@unhurried
@given(
    arguments=st.dictionaries(st.text("abcdef_", min_size=1, max_size=8), trees, max_size=3),
    encoding=st.sampled_from(Encoding),
    max_body=st.integers(SMALLEST, 4 * SMALLEST),
)
def test_it_always_fits_and_always_parses(arguments, encoding, max_body):
    payload = read(**arguments)
    text = render(payload, encoding, max_body=max_body)
    assert text.isascii()
    assert len(text) <= max_body
    if encoding in FORMS:
        form = dict(parse_qsl(text, strict_parsing=True, keep_blank_values=True))
        assert form["event_metadata_id"] == payload.message_id
    else:
        parsed = json.loads(text)
        assert (parsed if encoding is Encoding.CLOUDEVENTS else parsed["event_metadata"])["id"] == payload.message_id
