"""System checks: each wrong setting is named with its mend, and none of them stops a command."""

import pytest
from django.core.checks import WARNING, run_checks
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, connections
from django.test import override_settings

from openedx_webhooks import app_settings, checks


def ours():
    return [message for message in run_checks() if str(message.id).startswith("openedx_webhooks.")]


WRONG = [
    ("DISPATCH", "rabbit", "must be one of auto, celery, thread, none"),
    ("CELERY_QUEUE", 5, "must be text or None"),
    ("MAX_DRAINS", 0, "must be a whole number from 1 to 16"),
    ("MAX_DRAINS", True, "must be a whole number"),
    ("CONFIG_TTL", "5", "must be a number of seconds"),
    ("TIMEOUT", 0, "must be a number of seconds from 0.1 to 60"),
    ("TIMEOUT", 61, "must be a number of seconds from 0.1 to 60"),
    ("RETRY_SCHEDULE", [], "must be a list of seconds"),
    ("RETRY_SCHEDULE", [0, -1], "must be a number of seconds"),
    ("DISABLE_AFTER", None, "must be a number of seconds"),
    ("ALLOWED_NETWORKS", "10.0.0.0/8", "must be a list of text"),
    ("PROXY", 8080, "must be text or None"),
    ("MAX_BODY", 1, "must be a whole number"),
    ("RETENTION_DAYS", 0.5, "must be a whole number from 1 to 3650"),
    ("LERNITO_REQUIRE_STANDARD", 1, "must be True or False"),
    ("LERNITO_CHECK_ACCESS", "no", "must be True or False"),
    ("LERNITO_THROTTLE_RATE", "often", "must be a number per second, minute, hour or day"),
    ("LERNITO_MAX_BODY", 1, "must be a whole number from 1024 to 1048576"),
    ("LERNITO_MAX_COURSES", 0, "must be a whole number from 1 to 1000"),
    ("FROM_EVENT_BUS", "yes", "must be True or False"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_value_is_a_warning_that_names_the_setting_and_the_mend(name, value, sentence):
    with override_settings(**{f"OPENEDX_WEBHOOKS_{name}": value}):
        (message,) = ours()

    assert message.id == checks.W001_SETTING
    assert message.level == WARNING
    assert message.msg.startswith(f"OPENEDX_WEBHOOKS_{name} {sentence}")
    assert repr(getattr(app_settings, name).default) in message.hint


@pytest.mark.parametrize("secret", [["s3cr3t-one", ""], ["s3cr3t-one", None], "s3cr3t-\ud800", {"s3cr3t-one": 1}])
def test_an_unusable_secret_is_named_and_not_shown(secret):
    with override_settings(LERNITO_WEBHOOK_SECRET=secret):
        (message,) = ours()

    assert message.msg.startswith("LERNITO_WEBHOOK_SECRET must be a text")
    assert "s3cr3t" not in f"{message.msg} {message.hint}"


@pytest.mark.parametrize("secret", [None, "", []])
def test_a_site_without_lernito_is_told_nothing(secret):
    with override_settings(LERNITO_WEBHOOK_SECRET=secret):
        assert ours() == []


@pytest.mark.parametrize(
    ("entries", "sentences"),
    [
        (["10.0.0.1/8"], ["write '10.0.0.0/8'"]),
        (["127.0.0.1", "10.0.0.0/33"], ["'10.0.0.0/33'"]),
        (["not a host", "fe80::1%eth0"], ["'not a host'", "zone id"]),
    ],
)
def test_each_entry_that_opens_nothing_is_named(entries, sentences):
    with override_settings(OPENEDX_WEBHOOKS_ALLOWED_NETWORKS=entries):
        messages = ours()

    assert [message.id for message in messages] == [checks.W002_NETWORK] * len(sentences)
    for message, sentence in zip(messages, sentences, strict=True):
        assert "OPENEDX_WEBHOOKS_ALLOWED_NETWORKS" in message.msg
        assert sentence in message.msg


def test_the_defaults_are_right():
    assert ours() == []


def test_another_database_is_named(monkeypatch):
    monkeypatch.setattr(type(connections[DEFAULT_DB_ALIAS]), "vendor", "postgresql")

    (message,) = checks.check_database()

    assert message.id == checks.W003_DATABASE
    assert "postgresql" in message.msg


def test_no_hint_leads_to_an_outbox_in_another_database(monkeypatch):
    """It would break the first promise: what the platform rolls back is not rolled back there."""
    monkeypatch.setattr(type(connections[DEFAULT_DB_ALIAS]), "vendor", "postgresql")

    (message,) = checks.check_database()

    assert "route" not in message.hint.lower()


def test_an_outbox_in_another_database_is_named(outbox_elsewhere):
    (message,) = ours()

    assert message.id == checks.W004_ELSEWHERE
    assert f"'{outbox_elsewhere}'" in message.msg
    assert "rolled back" in message.msg
    assert "DATABASE_ROUTERS" in message.hint


@pytest.mark.django_db
def test_a_wrong_value_does_not_stop_a_command(capsys):
    with override_settings(OPENEDX_WEBHOOKS_TIMEOUT="soon"):
        call_command("check")

    assert "OPENEDX_WEBHOOKS_TIMEOUT" in capsys.readouterr().err
