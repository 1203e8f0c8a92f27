"""Move requests from the old container to the new one behind HAProxy, without losing any.

Uses the runtime API on HAProxy's admin socket. The backend has two servers; one takes requests, the
other waits in maintenance. A switch fills the waiting one, lets it take new requests, drains the
other, and tells when no old request is left. Every step looks first, so doing it twice is harmless.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boreas.domain.errors import Unavailable
from boreas.domain.proxies import HaproxySpec
from boreas.drivers.files import write_whole
from boreas.kit.clock import Clock

Address = tuple[str, int]

_ANSWER_SECONDS: Final = 10.0
_LOOK_AGAIN_SECONDS: Final = 0.1
# HAProxy's bits of srv_admin_state: forced and inherited maintenance, forced and inherited drain,
# maintenance for an unresolved name. 0x04 only says that the configuration began with `disabled`.
_OUT_OF_USE: Final = 0x01 | 0x02 | 0x08 | 0x10 | 0x20


class ProxyTrouble(Unavailable):
    """The reverse proxy does not do what it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One of the backend's two servers."""

    name: str
    address: Address
    takes_requests: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Which slot shall take the requests, and which ones shall give them up."""

    fill: str
    empty: tuple[str, ...]


def plan_switch(slots: tuple[Slot, ...], address: Address) -> Switch:
    """Pure: the slot that has the address already, else one that is out of use.

    When both take requests (a switch was cut short) the first one is emptied on the way.
    """
    there = [one.name for one in slots if one.address == address]
    idle = [one.name for one in slots if not one.takes_requests]
    fill = (there or idle or [slots[0].name])[0]
    return Switch(fill=fill, empty=tuple(one.name for one in slots if one.name != fill))


class Haproxy:
    """The runtime API of one HAProxy, as far as one backend needs it."""

    def __init__(
        self, spec: HaproxySpec, clock: Clock, say: Callable[[str], Awaitable[None]]
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._say = say

    async def slots(self) -> tuple[Slot, ...]:
        """The two servers as they are now."""
        answer = await self._ask(f"show servers state {self._spec.backend}")
        found = parse_servers_state(answer)
        missing = [name for name in self._spec.servers if name not in found]
        if missing:
            told = f"HAProxy has no server {missing[0]} in the backend {self._spec.backend}"
            raise ProxyTrouble(told)
        return tuple(found[name] for name in self._spec.servers)

    async def switch_to(self, address: Address) -> None:
        """All new requests go to this address; returns when the old ones have ended.

        Old ones that take longer than `drain_seconds` are said and left to their fate.
        """
        slots = await self.slots()
        plan = plan_switch(slots, address)
        await self._fill(next(one for one in slots if one.name == plan.fill), address)
        for one in slots:
            if one.name in plan.empty:
                await self._empty(one)
        await self._remember()

    async def _fill(self, slot: Slot, address: Address) -> None:
        if slot.address == address and slot.takes_requests:
            return
        server = f"{self._spec.backend}/{slot.name}"
        if slot.address != address:
            # Out of use first: what is still open to the old address must not be mixed up with it.
            await self._tell(f"set server {server} state maint")
            await self._tell(f"set server {server} addr {address[0]} port {address[1]}")
        await self._tell(f"set server {server} state ready")
        await self._say(f"HAProxy sends new requests to {slot.name} at {address[0]}:{address[1]}.")

    async def _empty(self, slot: Slot) -> None:
        server = f"{self._spec.backend}/{slot.name}"
        if slot.takes_requests:
            await self._tell(f"set server {server} state drain")
        left = await self._drained(slot.name)
        if left:
            waited = f"{self._spec.drain_seconds:g} s"
            await self._say(f"{left} requests to {slot.name} were still open after {waited}.")
        await self._tell(f"set server {server} state maint")

    async def _drained(self, name: str) -> int:
        """Wait until no request to this server is open; the number left when time is up."""
        until = self._clock.monotonic() + self._spec.drain_seconds
        while True:
            left = open_sessions(await self._ask("show stat"), self._spec.backend, name)
            if left == 0 or self._clock.monotonic() >= until:
                return left
            await self._clock.sleep(_LOOK_AGAIN_SECONDS)

    async def _remember(self) -> None:
        """Let a restarted HAProxy know where requests go, if its configuration reads the file."""
        if self._spec.state_file is not None:
            state = await self._ask("show servers state")
            # Readable by HAProxy's own user; there is no secret in it.
            write_whole(Path(self._spec.state_file), state.encode(), mode=0o644)

    async def _tell(self, command: str) -> None:
        answer = (await self._ask(command)).strip()
        # Some changes are confirmed in words; everything else that is not empty is a refusal.
        if answer and "changed" not in answer and "no need to change" not in answer:
            raise ProxyTrouble(f"HAProxy refused `{command}`: {answer}")

    async def _ask(self, command: str) -> str:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._spec.socket)
                try:
                    writer.write(command.encode() + b"\n")
                    await writer.drain()
                    return (await reader.read()).decode("utf-8", "replace")
                finally:
                    writer.close()
        except TimeoutError as error:
            raise ProxyTrouble(f"HAProxy does not answer on {self._spec.socket}") from error
        except OSError as error:
            told = f"HAProxy cannot be reached on {self._spec.socket}: {error.strerror or error}"
            raise ProxyTrouble(told) from error


def parse_servers_state(text: str) -> dict[str, Slot]:
    """Read `show servers state`: a version, a line of column names, a line per server."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = next((line for line in lines if line.startswith("#")), None)
    if header is None:
        raise ProxyTrouble(f"HAProxy answered: {text.strip() or 'nothing'}")
    names = header.removeprefix("#").split()
    found = {}
    for line in lines[lines.index(header) + 1 :]:
        row = dict(zip(names, line.split(), strict=False))
        found[row["srv_name"]] = Slot(
            name=row["srv_name"],
            address=(row["srv_addr"], int(row["srv_port"])),
            takes_requests=not int(row["srv_admin_state"]) & _OUT_OF_USE,
        )
    return found


def open_sessions(text: str, backend: str, server: str) -> int:
    """Requests that a server still has open or waiting, from `show stat`'s CSV."""
    lines = text.splitlines()
    names = lines[0].removeprefix("# ").split(",") if lines else []
    for line in lines[1:]:
        row = dict(zip(names, line.split(","), strict=False))
        if (row.get("pxname"), row.get("svname")) == (backend, server):
            return int(row.get("scur") or 0) + int(row.get("qcur") or 0)
    return 0
