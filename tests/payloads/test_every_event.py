"""Every event that is installed: its sample can be sent, and its bodies are what they claim to be."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl

import pytest
from openedx_events.data import EventsMetadata

from openedx_webhooks.catalog import events
from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads import schema
from openedx_webhooks.payloads.events import serialize
from openedx_webhooks.payloads.fields import fields_of
from openedx_webhooks.payloads.formats import render

ENTRIES = sorted(events.all_events().values(), key=lambda entry: entry.event_type)
every_event = pytest.mark.parametrize("entry", ENTRIES, ids=[entry.name for entry in ENTRIES])


def send(entry):
    """Send the sample through the real signal; return what a receiver makes of it."""
    received = []

    def receiver(signal, sender, metadata, from_event_bus, **arguments):
        received.append(serialize(entry.name, signal.event_type, arguments, metadata))

    entry.signal.connect(receiver, weak=False, dispatch_uid="test")
    try:
        entry.signal.send_event(**schema.sample(entry))
    finally:
        entry.signal.disconnect(dispatch_uid="test")
    (payload,) = received
    return payload


@every_event
def test_the_sample_can_be_sent_and_is_read_whole(entry):
    payload = send(entry)
    assert payload.event_type == entry.event_type
    assert list(payload.tree) == [argument.name for argument in entry.arguments]
    assert payload.class_names == {argument.name: argument.qualified_class for argument in entry.arguments}
    assert "notes" not in payload.metadata


@every_event
def test_the_body_validates_against_the_schema(entry):
    jsonschema = pytest.importorskip("jsonschema")
    described = schema.json_schema(entry)
    jsonschema.Draft202012Validator.check_schema(described)
    validator = jsonschema.Draft202012Validator(described)
    validator.validate(json.loads(render(send(entry), Encoding.DEFAULT, max_body=10**6)))
    assert not validator.is_valid({"event_metadata": {}})


@every_event
def test_the_schema_names_exactly_what_the_body_holds(entry):
    described = schema.json_schema(entry)
    body = json.loads(schema.sample_body(entry, Encoding.DEFAULT))
    assert list(body) == described["required"]
    for name, value in body.items():
        definition = described["$defs"][described["properties"][name]["$ref"].removeprefix("#/$defs/")]
        assert list(value) == definition["required"]


@every_event
def test_the_schema_allows_null_in_every_field(entry):
    """The platform does send None in fields that are declared otherwise."""
    jsonschema = pytest.importorskip("jsonschema")
    empty = {
        argument.name: argument.data_class(
            **{field.init: None for field in fields_of(argument.data_class) if field.init}
        )
        for argument in entry.arguments
    }
    payload = serialize(entry.name, entry.event_type, empty, EventsMetadata(event_type=entry.event_type))
    body = json.loads(render(payload, Encoding.DEFAULT, max_body=10**6))
    assert all(set(body[name].values()) == {None} for name in empty)
    jsonschema.Draft202012Validator(schema.json_schema(entry)).validate(body)


@every_event
@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_is_ascii_and_parses(entry, encoding):
    body = schema.sample_body(entry, encoding)
    assert body.isascii()
    assert body == schema.sample_body(entry, encoding)
    if encoding in (Encoding.FORM, Encoding.LEGACY_FORM):
        fields = parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        assert ("event_metadata_event_type", entry.event_type) in fields
    else:
        assert isinstance(json.loads(body), dict)
