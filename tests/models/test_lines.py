"""What an operator writes one per line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openedx_webhooks.exceptions import InvalidHeaders
from openedx_webhooks.models.lines import RESERVED_HEADERS, parse_headers, parse_patterns


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", {}),
        (None, {}),
        ("\n  \r\n", {}),
        ("X-Tenant: edx", {"X-Tenant": "edx"}),
        ("Authorization: Bearer a:b:c\r\nX-Empty:\r\n", {"Authorization": "Bearer a:b:c", "X-Empty": ""}),
        ("  X-Padded :\t value \t", {"X-Padded": "value"}),
        ("X-Inside: a  b", {"X-Inside": "a  b"}),
    ],
)
def test_headers_are_read_in_their_order_and_spelling(text, headers):
    assert parse_headers(text) == headers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no colon", "Line 1: write 'Name: value'"),
        (": value", "Line 1: write 'Name: value'"),
        ("X Space: v", "Line 1: write 'Name: value'"),
        ("Ünicode: v", "Line 1: write 'Name: value'"),
        ("X-A: 1\nx-a: 2", "Line 2: x-a stands twice"),
        ("X-A: 1\n\nHost: evil", "Line 3: Host is set by the delivery itself"),
        ("Webhook-Signature: v1,x", "Webhook-Signature is set by the delivery itself"),
        ("webhook-anything: x", "webhook-anything is set by the delivery itself"),
        ("X-A: caf\u00e9", "printable ASCII"),
        ("X-A: \u65e5\u672c", "printable ASCII"),
        ("X-A: one\rX-B: two", "printable ASCII"),
        ("X-A: nul\0", "printable ASCII"),
        ("X-A: vertical\x0btab", "printable ASCII"),
        ("X-A: line\u2028separator", "printable ASCII"),
        ("X-A: " + "a" * 5000, "longer than 4096"),
        ("\n".join(f"X-{n}: v" for n in range(51)), "at most 50"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_line_and_the_mend(text, sentence):
    with pytest.raises(InvalidHeaders, match=sentence):
        parse_headers(text)


@pytest.mark.parametrize("name", sorted(RESERVED_HEADERS))
def test_reserved_headers_are_refused_in_any_spelling(name):
    with pytest.raises(InvalidHeaders, match="set by the delivery itself"):
        parse_headers(f"{name.upper()}: x")


def test_the_refusal_never_holds_the_value():
    with pytest.raises(InvalidHeaders) as refusal:
        parse_headers("Authorization: hunter2\u00e9")
    assert "hunter2" not in str(refusal.value)


@given(st.text())
def test_whatever_passes_can_be_sent_on_one_line(text):
    try:
        headers = parse_headers(text)
    except InvalidHeaders:
        return
    for name, value in headers.items():
        line = f"{name}: {value}"
        assert line.isascii()
        assert not set(line) & set("\r\n\0")


def test_patterns_lose_their_blanks_and_blank_lines():
    assert parse_patterns(" course-v1:edX+* \r\n\r\nedX/*\n") == ("course-v1:edX+*", "edX/*")
    assert parse_patterns(None) == ()
