"""Which hosts a call may reach whose address a user gave: the public Internet, and what the installation allows by name.

The rule looks at the address that is connected to, never at a name: a name that resolves to somewhere else by the time of
the call is judged by where it leads then.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

REFUSED = "egress_refused"
WORDS = "The address leads into a network that messages of users may not reach."

# IPv6 addresses that stand for IPv4 ones (RFC 6052, 3056); what they lead to decides
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
# beyond what Python calls not global: translated private networks, Teredo, old site-local and IPv4-compatible addresses
_CLOSED = tuple(IPv6Network(one) for one in ("64:ff9b:1::/48", "2001::/32", "fec0::/10", "::/96"))
_OLD_RELAYS = IPv4Network("192.88.99.0/24")


class Egress:
    """`allow`: networks of the house that may be reached all the same."""

    def __init__(self, allow: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self.allow = tuple(allow)

    def permits(self, host: str) -> bool:
        """Whether a connection to this IP address may be made; False for everything that is none, names included."""
        try:
            found = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        meant = _meant(found)
        if any(meant.version == net.version and meant in net for net in self.allow):
            return True
        return _is_public(meant)


def _meant(found: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The address behind one that is only a way of writing it."""
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped is not None:
        return found.ipv4_mapped
    if found in _NAT64:
        return IPv4Address(int(found) & 0xFFFFFFFF)
    if found in _SIX_TO_FOUR:
        return IPv4Address(int(found) >> 80 & 0xFFFFFFFF)
    return found


def _is_public(found: IPv4Address | IPv6Address) -> bool:
    if not found.is_global or found.is_multicast or found.is_reserved:
        return False
    if isinstance(found, IPv4Address):
        return found not in _OLD_RELAYS
    return not any(found in net for net in _CLOSED)


PUBLIC = Egress()
