"""Credentials never leave."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.payloads.redaction import CREDENTIALS, is_credential, redact, redact_text
from tests.payloads.properties import unhurried


def test_an_account_as_the_platform_stores_it():
    account = {
        "user": {"id": 10, "password": "pbkdf2_sha256$600000$SALT$HASH", "username": "learner5"},
        "profile": {"meta": '{"session_id": "SESSION", "goals": ["x"]}', "bio": None},
    }
    assert redact(account) == {
        "user": {"id": 10, "username": "learner5"},
        "profile": {"meta": '{"goals": ["x"]}', "bio": None},
    }


@pytest.mark.parametrize("key", ["password", "PASSWORD", "Session-Id", "csrfmiddlewaretoken", "X-CSRFToken", "token",
                                 "confirm_password", "passwordAgain", "STRIPE_API_KEY", "aws_secret_access_key",
                                 "JWT-Signing-Key", "oidc_client_secret", "accessToken",
                                 "RECAPTCHA_PRIVATE_KEY"])  # fmt: skip
def test_keys_of_credentials(key):
    assert is_credential(key)


@pytest.mark.parametrize("key", ["token_count", "secretary", "sessions", "passing", "cookies_accepted", "", "id",
                                 "course_key", "usage_key", "block_key", "library_key",
                                 "file_keys", "sort_key", "key"])  # fmt: skip
def test_keys_that_only_resemble_one(key):
    assert not is_credential(key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ('{"a": 1}', '{"a": 1}'),
        ('{"a":1,  "password" : "x"}', '{"a": 1}'),
        ('[{"token": "x"}, {"b": "{\\"session_id\\": \\"y\\"}"}]', '[{}, {"b": "{}"}]'),
        ('{"a": "{\\"session_id\\": \\"y\\"}"}', '{"a": "{}"}'),
        ('{"confirm_password": "x", "a": 1}', '{"a": 1}'),
        ('{"a": "{\\"confirm-password\\": 1}"}', '{"a": "{}"}'),
        ('{"stripe_secret_key": "x", "a": 1}', '{"a": 1}'),
        ('{"a": "{\\"my-access-token\\": 1}"}', '{"a": "{}"}'),
        ('{"course_key": "x", "a": "my token"}', '{"course_key": "x", "a": "my token"}'),
        ('{"a": "forgot your password?"}', '{"a": "forgot your password?"}'),
        ('{"password": "cut sho', "[redacted]"),
        ("{not json at all}", "{not json at all}"),
        ('"password": "no JSON object"', '"password": "no JSON object"'),
    ],
)
def test_text_that_is_json(text, expected):
    assert redact_text(text) == expected


def test_the_value_itself_is_left_alone():
    value = {"password": "x", "list": [{"token": 1}]}
    redact(value)
    assert value == {"password": "x", "list": [{"token": 1}]}


keys = st.sampled_from([*sorted(CREDENTIALS), "name", "id"])
values = st.recursive(
    st.just("ordinary") | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=15,
)


@unhurried
@given(values)
def test_no_credential_s_key_is_left_at_any_depth(value):
    for text in (json.dumps(redact(value)), json.dumps(redact({"meta": json.dumps(value)}))):
        assert not any(f'"{key}' in text.replace("\\", "") for key in CREDENTIALS)
