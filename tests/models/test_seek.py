"""Rows found by time through the primary key."""

from datetime import UTC, datetime, timedelta

import pytest

from openedx_webhooks.models import Event
from openedx_webhooks.models.seek import first_id_since

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def events():
    """Hourly events, their keys with gaps as a purge and rolled-back transactions leave them."""
    keys = [3, 4, 10, 11, 12, 50, 51, 900, 901, 1000]
    return [
        Event.objects.create(
            pk=key, message_id=str(key), name="N", event_type="t", created=START + timedelta(hours=n), body="{}"
        )
        for n, key in enumerate(keys)
    ]


def test_every_moment_finds_what_a_scan_finds(events):
    for minutes in range(-30, 11 * 60, 15):
        moment = START + timedelta(minutes=minutes)
        found = set(Event.objects.filter(pk__gte=first_id_since(Event, moment)).values_list("pk", flat=True))
        assert found == {event.pk for event in events if event.created >= moment}


def test_an_empty_table_has_nothing():
    assert not Event.objects.filter(pk__gte=first_id_since(Event, START)).exists()
