"""The special-purpose address ranges, each with the reason why no webhook is sent there by default.

Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries, the multicast and reserved space beside them,
and the addresses at which clouds hand out credentials. Python's ``is_global`` alone is not enough: it says True
for multicast, site-local, and most IPv6 forms that carry an IPv4 address inside.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import NamedTuple

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Range(NamedTuple):
    """One row: the addresses, what they are, and whether only their exact address opens them."""

    network: IPNetwork
    reason: str
    exact_only: bool = False
    """True for what hands out credentials or reaches the wire next door: a wider CIDR never opens it."""


_METADATA = "a cloud's metadata service, which hands out credentials"
_LINK_LOCAL = "link-local; cloud metadata services live there"

# The first row that holds an address gives the reason: the narrow ones come first.
_ROWS: tuple[tuple[str, str, bool], ...] = (
    # Metadata services outside the link-local ranges.
    ("168.63.129.16/32", _METADATA, True),  # Azure; an address of the public range
    ("100.100.100.200/32", _METADATA, True),  # Alibaba
    ("192.0.0.192/32", _METADATA, True),  # Oracle, classic
    ("fd00:ec2::254/128", _METADATA, True),  # AWS
    ("fd00:ec2::23/128", _METADATA, True),  # AWS, credentials of EKS pods
    ("fd20:ce::254/128", _METADATA, True),  # Google
    ("fd00:42::42/128", _METADATA, True),  # Scaleway
    # IPv4.
    ("0.0.0.0/8", "this host itself", False),
    ("10.0.0.0/8", "a private network", False),
    ("100.64.0.0/10", "shared address space behind a carrier's NAT", False),
    ("127.0.0.0/8", "loopback", False),
    ("169.254.0.0/16", _LINK_LOCAL, True),
    ("172.16.0.0/12", "a private network", False),
    ("192.0.0.0/24", "reserved for protocol assignments", False),
    ("192.0.2.0/24", "reserved for documentation", False),
    ("192.31.196.0/24", "the AS112 sink for stray DNS queries", False),
    ("192.52.193.0/24", "automatic multicast tunnelling", False),
    ("192.88.99.0/24", "6to4 relay anycast, withdrawn", False),
    ("192.168.0.0/16", "a private network", False),
    ("192.175.48.0/24", "the AS112 sink for stray DNS queries", False),
    ("198.18.0.0/15", "reserved for benchmarks of network devices", False),
    ("198.51.100.0/24", "reserved for documentation", False),
    ("203.0.113.0/24", "reserved for documentation", False),
    ("224.0.0.0/4", "multicast", False),
    ("255.255.255.255/32", "broadcast", False),
    ("240.0.0.0/4", "reserved for future use", False),
    # IPv6.
    ("::/128", "this host itself", False),
    ("::1/128", "loopback", False),
    ("::/96", "an IPv4-compatible address, withdrawn", False),
    ("::ffff:0:0/96", "an IPv4-mapped address", False),
    ("::ffff:0:0:0/96", "an IPv4-translated address", False),
    ("64:ff9b::/96", "NAT64, which hides an IPv4 address", False),
    ("64:ff9b:1::/48", "local-use NAT64, which hides an IPv4 address", False),
    ("100::/64", "the discard-only range", False),
    ("100:0:0:1::/64", "the dummy prefix", False),
    ("2001::/32", "Teredo, which hides an IPv4 address", False),
    ("2001:2::/48", "reserved for benchmarks of network devices", False),
    ("2001:10::/28", "ORCHID identifiers, which are not routed", False),
    ("2001:20::/28", "ORCHIDv2 identifiers, which are not routed", False),
    ("2001::/23", "reserved for protocol assignments", False),
    ("2001:db8::/32", "reserved for documentation", False),
    ("2002::/16", "6to4, which hides an IPv4 address", False),
    ("2620:4f:8000::/48", "the AS112 sink for stray DNS queries", False),
    ("3fff::/20", "reserved for documentation", False),
    ("5f00::/16", "segment routing identifiers", False),
    ("fc00::/7", "a private network (unique local)", False),
    ("fe80::/10", _LINK_LOCAL, True),
    ("fec0::/10", "a private network (site-local, withdrawn)", False),
    ("ff00::/8", "multicast", False),
)
RANGES: tuple[Range, ...] = tuple(Range(ipaddress.ip_network(text), why, exact) for text, why, exact in _ROWS)

METADATA_HOSTS = frozenset({"metadata.google.internal", "metadata.goog", "metadata"})
"""Names of metadata services: whatever they resolve to is opened by the exact address or name alone."""
METADATA = Range(RANGES[0].network, _METADATA, exact_only=True)

_UNKNOWN = "not a globally routable unicast address"


def special(address: IPAddress) -> Range | None:
    """Return the row that holds the address, or None where it is globally routable unicast.

    What the table does not name and Python's own tables deny is refused too.
    """
    for row in RANGES:
        if address.version == row.network.version and address in row.network:
            return row
    if address.is_multicast or not address.is_global:
        return Range(ipaddress.ip_network(address), _UNKNOWN)
    return None


def inner(address: IPAddress) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address carries; a tunnel or translator would send there.

    Source: RFC 4291 (mapped, compatible), RFC 2765 (translated), RFC 6052 (NAT64), RFC 3056 (6to4),
    RFC 4380 (Teredo: the server, and the client with its bits inverted).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    bits = int(address)
    if bits <= 1:  # :: and ::1 carry nothing
        return ()
    for network, carried in _CARRIERS:
        if address in network:
            return tuple(ipaddress.IPv4Address(number & 0xFFFFFFFF) for number in carried(bits))
    return ()


def _last(bits: int) -> tuple[int, ...]:
    return (bits,)


def _nat64_48(bits: int) -> tuple[int, ...]:
    """Read both layouts: at the end (a /96 inside), and behind the /48 with bits 64 to 71 left out.

    The one that is not meant reads as 0 and is left out.
    """
    both = bits & 0xFFFFFFFF, (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF
    return tuple(number for number in both if number) or (0,)


_CARRIERS: tuple[tuple[ipaddress.IPv6Network, Callable[[int], tuple[int, ...]]], ...] = (
    (ipaddress.IPv6Network("::/96"), _last),
    (ipaddress.IPv6Network("::ffff:0:0/96"), _last),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), _last),
    (ipaddress.IPv6Network("64:ff9b::/96"), _last),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), _nat64_48),
    (ipaddress.IPv6Network("2002::/16"), lambda bits: (bits >> 80,)),
    (ipaddress.IPv6Network("2001::/32"), lambda bits: (bits >> 64, bits ^ 0xFFFFFFFF)),
)
