"""Where agents are told to dial."""

import socket

import psutil

from boreas.server.settings import Address, Settings

_WILDCARDS = frozenset({"0.0.0.0", "::", ""})


def advertised(settings: Settings) -> Address:
    """`--advertise` if given; else the address listened on, or this machine's first one."""
    if settings.advertise is not None:
        return settings.advertise
    if settings.quic.host not in _WILDCARDS:
        return settings.quic
    return Address(host=_first_address() or "127.0.0.1", port=settings.quic.port)


def reached_locally(bound: Address, *, port: int) -> Address:
    """How a process of this machine dials: over loopback when everything is listened on."""
    host = "127.0.0.1" if bound.host in _WILDCARDS else bound.host
    return Address(host=host, port=port)


def _first_address() -> str | None:
    """The first IPv4 address of this machine that is not loopback."""
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            if each.family == socket.AF_INET and not each.address.startswith("127."):
                return each.address
    return None
