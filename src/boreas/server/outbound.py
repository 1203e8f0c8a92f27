"""Where this server may call when people tell it an address: out, and inside only where allowed.

Everything that the server calls for somebody asks here first, and then connects to the address that
it got, not to the name: a name may mean another machine a moment later (DNS rebinding).
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from boreas.domain.errors import BoreasError, invalid
from boreas.domain.inner_addresses import Address, Network, is_among, is_inner

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_SECONDS: Final = 10.0
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]+")


async def by_the_system(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, in the system's order; also of `2130706433` and its like."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """The rule; `allowed` are inner networks that an admin has opened by `--allow-inner`."""

    allowed: tuple[Network, ...] = ()
    resolve: Resolve = by_the_system

    async def address_of(self, host: str, port: int, *, field: str) -> str:
        """The address to connect to. Raises `InvalidInput` naming `field`."""
        host = host.removeprefix("[").removesuffix("]")
        if not _HOST.fullmatch(host):
            raise invalid(field, f"{host!r} is not the name of a host", "write it in plain letters")
        addresses = await self._resolved(host, port, field)
        for address in addresses:
            if not is_inner(address) or is_among(address, self.allowed):
                return str(address)
        raise self._is_inside(host, addresses[0], field)

    async def _resolved(self, host: str, port: int, field: str) -> Sequence[Address]:
        try:
            async with asyncio.timeout(_SECONDS):
                found = [ipaddress.ip_address(each) for each in await self.resolve(host, port)]
        except (OSError, UnicodeError, ValueError):
            found = []
        if not found:
            raise invalid(field, f"the name {host!r} has no address here", "check the name")
        return found

    def _is_inside(self, host: str, address: Address, field: str) -> BoreasError:
        told = str(address) if host == str(address) else f"{host} ({address})"
        width = 32 if address.version == 4 else 128
        mend = f"an admin can open it: boreas server --allow-inner {address}/{width}"
        return invalid(field, f"{told} is an inner address, which this server does not call", mend)
