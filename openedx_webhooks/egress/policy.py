"""May this address be called? Pure: the clients ask for every address at the moment they connect to it.

By default everything that is not globally routable unicast is refused. ``OPENEDX_WEBHOOKS_ALLOWED_NETWORKS``
opens networks, addresses or exact host names. Link-local and cloud metadata are opened by the exact address or
the exact name alone, never by a wider network.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from openedx_webhooks.egress.ranges import METADATA, METADATA_HOSTS, IPAddress, IPNetwork, inner, special
from openedx_webhooks.egress.targets import Target, encode_name, parse_url
from openedx_webhooks.exceptions import AddressRefused, InvalidURL

__all__ = ["AllowedNetworks", "Target", "judge", "judge_unresolved", "parse_url"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedNetworks:
    """What the operator opened, read from ``OPENEDX_WEBHOOKS_ALLOWED_NETWORKS``."""

    networks: tuple[IPNetwork, ...] = ()
    addresses: frozenset[IPAddress] = frozenset()
    """Networks of one address are exact: they open link-local and metadata too."""
    hosts: frozenset[str] = frozenset()
    """Exact names, as ``encode_name`` writes them; they open whatever they resolve to."""

    @classmethod
    def parse(cls, entries: Sequence[str]) -> AllowedNetworks:
        """Read CIDRs (``10.0.0.0/8``), addresses (``10.1.2.3``, ``fd00::1``) and exact host names (``n8n.internal``).

        Raises ValueError that names the entry and the mend.
        """
        allowed, problems = cls.usable(entries)
        if problems:
            raise ValueError(" ".join(problems))
        return allowed

    @classmethod
    def usable(cls, entries: Sequence[str]) -> tuple[AllowedNetworks, tuple[str, ...]]:
        """Return what can be read, and one sentence for each entry that cannot.

        For the clients: a slip in one entry must neither stop all deliveries nor open anything.
        """
        return _read(tuple(entries))

    def opens(self, address: IPAddress, *, exact_only: bool) -> bool:
        """Return whether an entry for addresses opens this one."""
        if address in self.addresses:
            return True
        return not exact_only and any(address.version == n.version and address in n for n in self.networks)


def judge(target: Target | str, address: str, allowed: AllowedNetworks) -> None:
    """Return if the address may be called for this target (or host name); raise AddressRefused if not.

    An IPv6 address that carries an IPv4 address is judged by both. What cannot be read as an address is refused.
    """
    host = target if isinstance(target, str) else target.host
    if host in allowed.hosts:
        return
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise AddressRefused(address, "it is not an address in its usual form", address) from None
    if parsed in allowed.addresses:
        return
    refusing = _refusing(parsed, metadata=host in METADATA_HOSTS, allowed=allowed)
    if refusing is not None:
        raise AddressRefused(address, refusing, _opening(parsed))


def judge_unresolved(target: Target, allowed: AllowedNetworks, *, by_proxy: bool) -> None:
    """Judge what can be judged before a name is looked up; raise AddressRefused.

    A literal address always. With a proxy, which looks names up where we cannot see it, the names of this host and
    of metadata services too; what other names resolve to is the proxy's to guard.
    """
    if target.is_literal:
        judge(target, target.host, allowed)
    elif by_proxy and target.host not in allowed.hosts:
        if target.host in METADATA_HOSTS:
            raise AddressRefused(target.host, f"it is {METADATA.reason}", target.host)
        if target.host == "localhost" or target.host.endswith(".localhost"):
            raise AddressRefused(target.host, "it is loopback", target.host)


def _refusing(address: IPAddress, *, metadata: bool, allowed: AllowedNetworks) -> str | None:
    """Return the reason to refuse, or None."""
    row = METADATA if metadata else special(address)
    if row is not None and not allowed.opens(address, exact_only=row.exact_only):
        return f"it is {row.reason}"
    for carried in inner(address):
        row = special(carried)
        if row is not None and not allowed.opens(carried, exact_only=row.exact_only):
            return f"it carries {carried}, which is {row.reason}"
    return None


def _opening(address: IPAddress) -> str:
    """Return the entry that opens a refused address: the address itself.

    NAT64 around a public address is the one exception: a site that has it needs all of it.
    """
    if address.version == _NAT64.version and address in _NAT64 and all(special(i) is None for i in inner(address)):
        return str(_NAT64)
    return str(address)


@functools.lru_cache(maxsize=64)
def _read(entries: tuple[str, ...]) -> tuple[AllowedNetworks, tuple[str, ...]]:
    networks: list[IPNetwork] = []
    hosts: set[str] = set()
    problems: list[str] = []
    for entry in entries:
        try:
            found = _entry(entry)
        except ValueError as error:
            problems.append(str(error))
            continue
        if isinstance(found, str):
            hosts.add(found)
        else:
            networks.append(found)
    allowed = AllowedNetworks(
        networks=tuple(network for network in networks if network.num_addresses > 1),
        addresses=frozenset(network[0] for network in networks if network.num_addresses == 1),
        hosts=frozenset(hosts),
    )
    return allowed, tuple(problems)


def _entry(text: str) -> IPNetwork | str:
    """Return the network or the name that an entry means."""
    text = text.strip()
    if "%" in text:
        raise ValueError(f"{text!r} holds a zone id; leave it out.")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            meant = ipaddress.ip_network(text, strict=False)
            raise ValueError(f"{text!r} is an address with a network's length; write {str(meant)!r}.") from None
    try:
        return encode_name(text)
    except InvalidURL:
        raise ValueError(
            f"{text!r} is not a network (10.0.0.0/8), an address (10.1.2.3) or an exact host name (n8n.internal)."
        ) from None
