"""The bytes that receivers get, pinned: a change in them is a change of the interface.

After a change made on purpose, write the files anew and read the difference before committing it::

    WEBHOOKS_REWRITE_GOLDEN=1 pytest tests/payloads/test_golden.py && git diff tests/payloads/golden
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from openedx_webhooks.catalog import events
from openedx_webhooks.data import Encoding
from openedx_webhooks.payloads.events import serialize
from openedx_webhooks.payloads.formats import render
from tests.payloads.golden_events import EVENTS, metadata

GOLDEN = Path(__file__).parent / "golden"
FORMS = {Encoding.FORM, Encoding.LEGACY_FORM}


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("name", EVENTS)
def test_the_bytes_are_the_golden_file_s(name, encoding):
    event_type, arguments = EVENTS[name]
    payload = serialize(name, event_type, arguments(), metadata(event_type))
    body = render(payload, encoding, max_body=256 * 1024).encode("ascii")
    file = GOLDEN / f"{name}.{encoding}.{'txt' if encoding in FORMS else 'json'}"
    if os.environ.get("WEBHOOKS_REWRITE_GOLDEN"):
        file.write_bytes(body)
    assert body == file.read_bytes()


@pytest.mark.parametrize("name", EVENTS)
def test_the_golden_events_are_real(name):
    event_type, arguments = EVENTS[name]
    (entry,) = events.find(name)
    assert entry.event_type == event_type
    entry.signal.send_event(**arguments())


def test_no_golden_file_is_left_over():
    expected = {
        f"{name}.{encoding}.{'txt' if encoding in FORMS else 'json'}" for name in EVENTS for encoding in Encoding
    }
    assert {file.name for file in GOLDEN.iterdir()} == expected
