"""Which addresses are inside: of this machine, of its network, or of no machine at all.

A server that calls where people tell it to must not be led there (its cloud's metadata, a database
without a password). `ipaddress.is_global` is no such filter: it believes forms that carry another
address inside them. Used by `boreas.server.outbound` for everything the server calls.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_INNER: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("168.63.129.16/32", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        # `::/96` has the unspecified address, loopback, and the old form of IPv4 addresses.
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16"),
        *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/9", "ff00::/8"),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_inner(address: Address) -> bool:
    """Whether this address, or one that it stands for, is not out on the internet.

    >>> is_inner(ipaddress.ip_address("64:ff9b::a9fe:a9fe"))  # 169.254.169.254 behind NAT64
    True
    >>> is_inner(ipaddress.ip_address("1.1.1.1"))
    False
    """
    return any(each in network for each in _forms(address) for network in _INNER)


def is_among(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether this address, or the one that it stands for, is in one of these networks."""
    return any(each in network for each in _forms(address) for network in allowed)


def _forms(address: Address) -> Iterator[Address]:
    """The address; for an IPv6 one that is only another way to write an IPv4 one, that one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
            return
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
            return
        if address.scope_id is not None:
            address = ipaddress.IPv6Address(int(address))
    yield address
