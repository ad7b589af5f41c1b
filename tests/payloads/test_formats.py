"""What each format promises beside its bytes, which the golden files pin."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openedx_events.data import EventsMetadata
from openedx_events.learning.data import UserData, UserPersonalData

from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads.events import serialize
from openedx_webhooks.payloads.formats import content_type, render
from tests.payloads.golden_events import EVENTS, enrollment, metadata
from tests.payloads.properties import unhurried

TYPE = "org.openedx.learning.course.enrollment.created.v1"


def enrolled(encoding: Encoding) -> str:
    payload = serialize("COURSE_ENROLLMENT_CREATED", TYPE, enrollment(is_active=True), metadata(TYPE))
    return render(payload, encoding, max_body=10**6)


def cloudevent(**changes: object) -> dict[str, object]:
    payload = serialize("X", TYPE, {}, EventsMetadata(event_type=TYPE, **changes))
    return json.loads(render(payload, Encoding.CLOUDEVENTS, max_body=10**6))


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (Encoding.DEFAULT, "application/json"),
        (Encoding.FORM, "application/x-www-form-urlencoded"),
        (Encoding.CLOUDEVENTS, "application/cloudevents+json"),
        (Encoding.LEGACY, "application/json"),
        (Encoding.LEGACY_FORM, "application/x-www-form-urlencoded"),
    ],
)
def test_content_types(encoding, expected):
    assert content_type(encoding) == expected


def test_default_has_one_key_per_argument_and_all_metadata():
    body = json.loads(enrolled(Encoding.DEFAULT))
    assert list(body) == ["enrollment", "event_metadata"]
    assert body["event_metadata"] == {
        "event_type": TYPE,
        "id": "e2fbb7a8-e63c-11f1-9818-02fc00000001",
        "minorversion": 0,
        "source": "openedx/lms/web",
        "sourcehost": "lms.example.com",
        "time": "2026-11-22T06:21:00.577024Z",
        "sourcelib": [10, 2, 1],
    }


def test_form_fields_are_called_as_documented():
    form = dict(parse_qsl(enrolled(Encoding.FORM), keep_blank_values=True))
    assert form["enrollment_user_id"] == "6"
    assert form["enrollment_user_email"] == "learner1@example.com"
    assert form["enrollment_user_is_active"] == "true"
    assert form["enrollment_created_by"] == ""
    assert form["event_metadata_time"] == "2026-11-22T06:21:00.577024Z"
    assert form["event_metadata_sourcelib_0"] == "10"


@pytest.mark.parametrize("name", EVENTS)
def test_cloudevents_attributes_are_valid(name):
    event_type, arguments = EVENTS[name]
    payload = serialize(name, event_type, arguments(), metadata(event_type))
    event = json.loads(render(payload, Encoding.CLOUDEVENTS, max_body=10**6))
    assert event["specversion"] == "1.0"
    assert event["type"] == event_type
    assert event["id"] == payload.message_id
    assert event["datacontenttype"] == "application/json"
    assert list(event["data"]) == list(arguments())
    attributes = {key: value for key, value in event.items() if key != "data"}
    assert all(re.fullmatch(r"[a-z0-9]{1,20}", key) for key in attributes)
    assert all(isinstance(value, (str, int, bool)) for value in attributes.values())
    assert datetime.fromisoformat(event["time"]).tzinfo is not None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("openedx/lms/web", "/openedx/lms/web"),
        ("/openedx/lms/web", "/openedx/lms/web"),
        ("openedx/my lms/web", "/openedx/my%20lms/web"),
        ("openedx/100%/web", "/openedx/100%25/web"),
        ("openedx/écol\u00e9/web", "/openedx/%C3%A9col%C3%A9/web"),
        ("https://lms.example.com/web", "https://lms.example.com/web"),
        ("", "/"),
    ],
)
def test_cloudevents_source_is_a_uri_reference(source, expected):
    assert cloudevent(source=source)["source"] == expected


@unhurried
@given(st.text(max_size=30))
def test_cloudevents_source_is_one_whatever_the_service_is_called(source):
    written = cloudevent(source=source)["source"]
    assert re.fullmatch(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-F]{2})+", written)
    urlsplit(written)


def test_cloudevents_text_has_no_control_characters():
    assert cloudevent(sourcehost="a\x00b\nc\ufffed")["sourcehost"] == "abcd"


def test_legacy_login_as_openedx_webhooks_20_sent_it():
    event_type = "org.openedx.learning.auth.session.login.completed.v1"
    user = UserData(
        id=6,
        is_active=True,
        pii=UserPersonalData(username="learner1", email="learner1@example.com", name="Name of learner1"),
    )
    sent = EventsMetadata(
        event_type=event_type,
        id=metadata(event_type).id,
        minorversion=0,
        source="openedx/lms/web",
        sourcehost="vm",
        time=datetime(2026, 11, 22, 6, 21, 0, 299920, tzinfo=UTC),
        sourcelib=(10, 2, 1),
    )
    payload = serialize("SESSION_LOGIN_COMPLETED", event_type, {"user": user}, sent)
    assert json.loads(render(payload, Encoding.LEGACY, max_body=10**6)) == {
        "openedx_events.learning.data.UserData": {
            "id": 6,
            "is_active": True,
            "pii": {"username": "learner1", "email": "learner1@example.com", "name": "Name of learner1"},
        },
        "event_metadata": {
            "event_type": event_type,
            "id": "e2fbb7a8-e63c-11f1-9818-02fc00000001",
            "minorversion": 0,
            "source": "openedx/lms/web",
            "sourcehost": "vm",
            "time": "2026-11-22 06:21:00.299920+00:00",
            "sourcelib": [10, 2, 1],
        },
    }
    assert render(payload, Encoding.LEGACY_FORM, max_body=10**6) == (
        "openedx_events.learning.data.UserData_id=6"
        "&openedx_events.learning.data.UserData_is_active=True"
        "&openedx_events.learning.data.UserData_pii_username=learner1"
        "&openedx_events.learning.data.UserData_pii_email=learner1%40example.com"
        "&openedx_events.learning.data.UserData_pii_name=Name+of+learner1"
        "&event_metadata_event_type=org.openedx.learning.auth.session.login.completed.v1"
        "&event_metadata_id=e2fbb7a8-e63c-11f1-9818-02fc00000001"
        "&event_metadata_minorversion=0"
        "&event_metadata_source=openedx%2Flms%2Fweb"
        "&event_metadata_sourcehost=vm"
        "&event_metadata_time=2026-11-22+06%3A21%3A00.299920%2B00%3A00"
        "&event_metadata_sourcelib=%2810%2C+2%2C+1%29"
    )


def test_legacy_keeps_two_arguments_of_one_class_apart():
    event = {"first": UserData(1, True, None), "second": UserData(2, True, None)}
    payload = serialize("X", TYPE, event, metadata(TYPE))
    body = json.loads(render(payload, Encoding.LEGACY, max_body=10**6))
    assert body["openedx_events.learning.data.UserData"]["id"] == 1
    assert body["openedx_events.learning.data.UserData_second"]["id"] == 2


def test_legacy_form_shows_times_in_lists_as_text():
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    payload = serialize("X", TYPE, {"thing": {"times": [moment, {"at": moment}], "none": None}}, metadata(TYPE))
    form = dict(parse_qsl(render(payload, Encoding.LEGACY_FORM, max_body=10**6)))
    assert form["builtins.dict_times"] == "['2026-01-02 03:04:00+00:00', {'at': '2026-01-02 03:04:00+00:00'}]"
    assert form["builtins.dict_none"] == "None"
