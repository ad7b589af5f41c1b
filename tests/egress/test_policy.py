"""Which addresses are refused, which entry opens which, and the properties that hold for all of them."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openedx_webhooks.egress.policy import AllowedNetworks, judge, judge_unresolved, parse_url
from openedx_webhooks.egress.ranges import RANGES
from openedx_webhooks.exceptions import AddressRefused

NOTHING = AllowedNetworks()

# Written out here, not taken from the code's own table: IANA's special-purpose registries, multicast and reserved
# space, what carries an IPv4 address, and metadata services.
SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29 192.0.0.8/32
192.0.0.9/32 192.0.0.10/32 192.0.0.170/31 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16
192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 255.255.255.255/32
168.63.129.16/32 100.100.100.200/32
::/128 ::1/128 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23
2001::/32 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48 2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28
2001:30::/28 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fd00:ec2::254/128 fe80::/10
fec0::/10 ff00::/8
""".split()  # noqa: SIM905 - a table

JUST_OUTSIDE = """
1.0.0.0 9.255.255.255 11.0.0.0 100.63.255.254 100.63.255.255 100.128.0.0 100.128.0.1 126.255.255.255 128.0.0.0
169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 191.255.255.255 192.0.1.0 192.0.3.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255 168.63.129.15
168.63.129.17 8.8.8.8
64:ff9c::1 2001:200:: 2001:db7:ffff:: 2001:db9:: 2003:: 3ffe:ffff:: 4000::1 2606:4700:4700::1111 2620:4f:8001::
""".split()  # noqa: SIM905 - a table


def corners(network: str) -> list[str]:
    parsed = ipaddress.ip_network(network)
    return [str(parsed[0]), str(parsed[parsed.num_addresses // 2]), str(parsed[-1])]


@pytest.mark.parametrize("address", [corner for network in SPECIAL for corner in corners(network)])
def test_special_ranges_are_refused_from_end_to_end(address: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        judge("hooks.example.com", address, NOTHING)
    assert refusal.value.address == address
    assert refusal.value.reason.startswith("it ")
    judge("hooks.example.com", address, AllowedNetworks.parse([refusal.value.allow]))


@pytest.mark.parametrize("address", JUST_OUTSIDE)
def test_the_neighbours_are_open(address: str) -> None:
    judge("hooks.example.com", address, NOTHING)


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b:1::127.0.0.1",
        "64:ff9b:1:7f00:0:100::",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2001:0:7f00:1:8000:63bf:f7f7:f7f7",
    ],
)
def test_the_ipv4_address_inside_is_judged_too(address: str) -> None:
    """A network that was opened for its tunnel does not open what lies behind the tunnel."""
    carrier = next(str(row.network) for row in RANGES if ipaddress.ip_address(address) in row.network)
    allowed = AllowedNetworks.parse([carrier])
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1, which is loopback"):
        judge("hooks.example.com", address, allowed)
    judge("hooks.example.com", address, AllowedNetworks.parse([carrier, "127.0.0.0/8"]))


def test_a_site_behind_nat64_opens_it_with_one_entry() -> None:
    with pytest.raises(AddressRefused) as refusal:
        judge("hooks.example.com", "64:ff9b::8.8.8.8", NOTHING)
    allowed = AllowedNetworks.parse([refusal.value.allow])
    judge("hooks.example.com", "64:ff9b::1.1.1.1", allowed)
    with pytest.raises(AddressRefused):
        judge("hooks.example.com", "64:ff9b::10.0.0.1", allowed)


METADATA = ["169.254.169.254", "169.254.170.2", "fe80::a9fe:a9fe", "fd00:ec2::254", "168.63.129.16"]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_is_opened_by_its_exact_address_alone(address: str) -> None:
    parsed = ipaddress.ip_address(address)
    for length in range(parsed.max_prefixlen):
        wider = str(ipaddress.ip_network((address, length), strict=False))
        with pytest.raises(AddressRefused) as refusal:
            judge("hooks.example.com", address, AllowedNetworks.parse([wider]))
        assert refusal.value.allow == address
    judge("hooks.example.com", address, AllowedNetworks.parse([address]))
    judge("hooks.example.com", address, AllowedNetworks.parse([f"{address}/{parsed.max_prefixlen}"]))
    judge("imds.internal", address, AllowedNetworks.parse(["imds.internal"]))


def test_the_name_of_a_metadata_service_is_not_opened_by_a_network() -> None:
    name, address = "metadata.google.internal", "10.0.0.1"
    with pytest.raises(AddressRefused, match="metadata"):
        judge(name, address, AllowedNetworks.parse(["10.0.0.0/8"]))
    with pytest.raises(AddressRefused, match="metadata"):
        judge(name, "8.8.8.8", NOTHING)
    judge(name, address, AllowedNetworks.parse([address]))
    judge(name, address, AllowedNetworks.parse([name]))


@pytest.mark.parametrize("address", ["fe80::1%eth0", "127.1", "0x7f000001", "2130706433", "localhost", "", "::1]"])
def test_what_is_not_an_address_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused):
        judge("hooks.example.com", address, NOTHING)


def test_a_target_is_judged_like_its_host() -> None:
    target = parse_url("https://N8N.internal/hook")
    with pytest.raises(AddressRefused):
        judge(target, "10.0.0.1", NOTHING)
    judge(target, "10.0.0.1", AllowedNetworks.parse(["n8n.internal"]))


def test_before_a_lookup_only_literals_are_judged() -> None:
    judge_unresolved(parse_url("http://localhost/"), NOTHING, by_proxy=False)
    with pytest.raises(AddressRefused):
        judge_unresolved(parse_url("http://127.0.0.1/"), NOTHING, by_proxy=False)


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "metadata.google.internal"])
def test_behind_a_proxy_some_names_are_judged(host: str) -> None:
    target = parse_url(f"http://{host}/")
    with pytest.raises(AddressRefused) as refusal:
        judge_unresolved(target, NOTHING, by_proxy=True)
    judge_unresolved(target, AllowedNetworks.parse([refusal.value.allow]), by_proxy=True)
    judge_unresolved(parse_url("http://hooks.example.com/"), NOTHING, by_proxy=True)


# The setting.


def test_entries_may_be_networks_addresses_and_names() -> None:
    allowed = AllowedNetworks.parse(["10.0.0.0/8", " fd00::/64 ", "192.168.1.7", "N8N.Internal.", "bücher.internal"])
    for address in ("10.255.0.1", "fd00::1", "192.168.1.7"):
        judge("hooks.example.com", address, allowed)
    judge("n8n.internal", "172.16.0.1", allowed)
    judge("xn--bcher-kva.internal", "172.16.0.1", allowed)
    for address in ("192.168.1.8", "fd00:0:0:1::1", "11.0.0.0"):
        assert is_refused(address, allowed) == is_refused(address, NOTHING)


@pytest.mark.parametrize(
    ("entry", "mend"),
    [
        ("10.0.0.5/8", "'10.0.0.0/8'"),
        ("10.0.0.0/33", "network"),
        ("*.internal", "exact host name"),
        ("http://n8n.internal", "exact host name"),
        ("n8n.internal:5678", "exact host name"),
        ("fe80::1%eth0", "zone id"),
        ("127.1", "exact host name"),
        ("", "exact host name"),
    ],
)
def test_a_wrong_entry_is_named_with_the_mend(entry: str, mend: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        AllowedNetworks.parse(["127.0.0.1", entry])
    assert repr(entry) in str(error.value)
    assert mend in str(error.value)


def test_one_wrong_entry_neither_opens_nor_closes_anything() -> None:
    allowed, problems = AllowedNetworks.usable(["10.0.0.5/8", "127.0.0.1"])
    assert len(problems) == 1
    judge("hooks.example.com", "127.0.0.1", allowed)
    assert is_refused("10.0.0.5", allowed)


# Properties.


def is_refused(address: object, allowed: AllowedNetworks = NOTHING) -> bool:
    try:
        judge("hooks.example.com", str(address), allowed)
    except AddressRefused:
        return True
    return False


@st.composite
def addresses(draw: st.DrawFn) -> Any:
    """Any address, and often one inside or right beside a special range."""
    if draw(st.booleans()):
        return draw(st.ip_addresses())
    network = ipaddress.ip_network(draw(st.sampled_from(SPECIAL)))
    first, last = int(network[0]), int(network[-1])
    number = draw(st.one_of(st.integers(first, last), st.sampled_from([first - 1, last + 1])))
    kind = type(network[0])
    return kind(max(0, min(number, int(kind("255.255.255.255" if network.version == 4 else "ff" * 2 + ":ffff" * 7)))))


@st.composite
def networks(draw: st.DrawFn) -> Any:
    address = draw(addresses())
    length = draw(st.integers(0, address.max_prefixlen))
    return ipaddress.ip_network((str(address), length), strict=False)


@given(addresses())
def test_nothing_that_python_denies_is_accepted(address: Any) -> None:
    assume(not is_refused(address))
    assert address.is_global
    denied = (address.is_multicast, address.is_private, address.is_loopback, address.is_link_local)
    assert not any((*denied, address.is_unspecified))
    assert not getattr(address, "is_site_local", False)
    assert getattr(address, "ipv4_mapped", None) is None


@given(addresses())
def test_the_entry_of_a_refusal_opens_what_was_refused(address: Any) -> None:
    try:
        judge("hooks.example.com", str(address), NOTHING)
    except AddressRefused as refusal:
        judge("hooks.example.com", str(address), AllowedNetworks.parse([refusal.allow]))


@given(networks(), addresses())
def test_an_entry_opens_nothing_outside_itself(network: Any, address: Any) -> None:
    allowed = AllowedNetworks.parse([str(network)])
    inside = address.version == network.version and address in network
    # An IPv4 entry is also asked about the address inside an IPv6 one; alone it never opens the outer one.
    if not inside:
        assert is_refused(address, allowed) == is_refused(address, NOTHING)


@given(networks(), st.data())
def test_an_entry_opens_what_it_says(network: Any, data: st.DataObject) -> None:
    address = network[data.draw(st.integers(0, network.num_addresses - 1))]
    row = next((row for row in RANGES if row.network.version == address.version and address in row.network), None)
    assume(row is None or not row.exact_only)
    opened = not is_refused(address, AllowedNetworks.parse([str(network)]))
    if network.num_addresses == 1 or address.version == 4:
        assert opened
    elif not opened:  # only for the sake of an IPv4 address inside
        assert row is not None
        assert is_refused(address, NOTHING)


@given(st.text(max_size=50))
def test_text_is_never_an_address_by_accident(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert is_refused(text)
