"""How URLs are read, and which are refused with which sentence."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from openedx_webhooks.egress.policy import Target, parse_url
from openedx_webhooks.exceptions import InvalidURL


def test_a_url_is_read_into_its_parts() -> None:
    assert parse_url("HTTPS://Hooks.Example.com:8443/a?b=c#d") == Target(
        scheme="https",
        host="hooks.example.com",
        port=8443,
        is_literal=False,
        url="https://hooks.example.com:8443/a?b=c",
    )


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://example.com", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com./", "http://example.com/"),
        ("http://example.com?a", "http://example.com/?a"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://my_service:5678/", "http://my_service:5678/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[0:0::1]:81/", "http://[::1]:81/"),
        ("http://example.com/ä b", "http://example.com/%C3%A4%20b"),
        ("http://example.com/a|b", "http://example.com/a%7Cb"),
        ("http://example.com/@?u=http://b@c/", "http://example.com/@?u=http://b@c/"),
    ],
)
def test_urls_are_normalised(url: str, normal: str) -> None:
    assert parse_url(url).url == normal
    assert parse_url(normal).url == normal


@pytest.mark.parametrize(
    ("url", "host"), [("http://127.0.0.1/", "127.0.0.1"), ("http://[2606:4700::0]/", "2606:4700::")]
)
def test_addresses_are_literals(url: str, host: str) -> None:
    target = parse_url(url)
    assert (target.host, target.is_literal) == (host, True)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("", "scheme"),
        ("example.com", "scheme"),
        ("//example.com/", "scheme"),
        ("ftp://example.com/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("http:example.com", "http://"),
        ("http:/example.com", "http://"),
        ("http://", "host is empty"),
        ("http:///path", "host is empty"),
        ("http://:80/", "host is empty"),
        ("http://?a", "host is empty"),
        ("http://./", "host is empty"),
        ("http://good@127.0.0.1/", "user name"),
        ("http://user:pass@example.com/", "user name"),
        ("http://@example.com/", "user name"),
        ("http://example.com\\@evil.example/", "user name"),
        ("http://example.com\\.evil.example/", "backslash"),
        ("http://exa\x00mple.com/", "control character"),
        ("http://example.com/\x00", "control character"),
        ("http://example.com/a\r\nX: y", "control character"),
        ("http://exa\tmple.com/", "control character"),
        (" http://example.com/", "scheme"),
        ("http://exa mple.com/", "not a host name"),
        ("http://example.com /", "not a host name"),
        ("http://%31%32%37.0.0.1/", "not a host name"),
        ("http://exam!ple.com/", "not a host name"),
        ("http://-a.example/", "not a host name"),
        ("http://a..example/", "not a host name"),
        ("http://example.com../", "not a host name"),
        ("http://\u200b.example/", "host"),
        (f"http://{'a' * 64}.example/", "not a host name"),
        (f"http://{'.'.join(['a' * 60] * 5)}/", "longer than 253"),
        ("http://127.1/", "IPv4 address in its usual form"),
        ("http://0/", "IPv4 address in its usual form"),
        ("http://2130706433/", "IPv4 address in its usual form"),
        ("http://0x7f000001/", "IPv4 address in its usual form"),
        ("http://0X7F.1/", "IPv4 address in its usual form"),
        ("http://0x/", "IPv4 address in its usual form"),
        ("http://0177.0.0.1/", "IPv4 address in its usual form"),
        ("http://127.0.0.1./", "IPv4 address in its usual form"),
        ("http://127.0.0.256/", "IPv4 address in its usual form"),
        ("http://1.2.3.4.5/", "IPv4 address in its usual form"),
        ("http://a.1/", "IPv4 address in its usual form"),
        ("http://\uff11\uff12\uff17.0.0.1/", "IPv4 address in its usual form"),  # full-width digits
        ("http://127\u30020\u30020\u30021/", "IPv4 address in its usual form"),  # ideographic full stops
        ("http://①②⑦.0.0.1/", "IPv4 address in its usual form"),
        ("http://::1/", "brackets"),
        ("http://[::1/", "bracket"),
        ("http://[127.0.0.1]/", "not an IPv6 address"),
        ("http://[example.com]/", "not an IPv6 address"),
        ("http://[v1.a]/", "not an IPv6 address"),
        ("http://[::1]x/", "bracket"),
        ("http://[fe80::1%25eth0]/", "zone id"),
        ("http://[fe80::1%eth0]/", "zone id"),
        ("http://example.com:0/", "port"),
        ("http://example.com:65536/", "port"),
        ("http://example.com:-1/", "port"),
        ("http://example.com:8o/", "port"),
        ("http://example.com:99999999999999999999/", "port"),
        ("http://example.com:٨٠/", "port"),
        ("http://example.com/\ud800", "surrogate"),
        ("http://exa\ud800mple.com/", "host"),
    ],
)
def test_what_is_no_url_is_refused_by_its_part(url: str, part: str) -> None:
    with pytest.raises(InvalidURL) as error:
        parse_url(url)
    assert part in str(error.value)
    assert str(error.value).endswith(".")


@given(st.text(max_size=60), st.sampled_from(["http://", "https://", "http://a.example/", "http://[", "http://1", ""]))
def test_whatever_is_typed_is_read_or_refused(text: str, before: str) -> None:
    try:
        target = parse_url(before + text)
    except InvalidURL:
        return
    assert target.url.isascii()
    assert parse_url(target.url) == target


@given(st.text(alphabet="abc.:/@[]%\\?#0179xX-_ \u3002\uff11é", max_size=30))
def test_no_parser_sees_another_host(text: str) -> None:
    """What is judged is what every other reader of the normalised URL connects to."""
    try:
        target = parse_url("http://" + text)
    except InvalidURL:
        return
    assert urlsplit(target.url).hostname == target.host
    assert URL(target.url, encoded=True).raw_host == target.host
    assert (urlsplit(target.url).port or 80) == target.port
    assert urlsplit(target.url).username is None


@given(st.ip_addresses())
def test_every_address_is_read_as_itself(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    shown = f"[{address}]" if address.version == 6 else str(address)
    if "%" not in shown:
        target = parse_url(f"http://{shown}/")
        assert target.is_literal
        assert ipaddress.ip_address(target.host) == address
