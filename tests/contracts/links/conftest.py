"""Every kind of link, as a pair whose two ends write down what they hear."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.kit.until import Hint
from boreas.transport.authority import CertificateAuthority
from boreas.transport.keys import pem
from boreas.transport.links import Closing, Link
from boreas.transport.memory import memory_pair
from boreas.transport.quic_client import connect_quic
from boreas.transport.quic_server import listen_quic
from boreas.transport.tcp_client import connect_tcp
from boreas.transport.tcp_server import listen_tcp


@dataclass
class End:
    """One end of a link that keeps what it hears."""

    link: Link
    received: dict[int, bytearray] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    resets: list[tuple[int, int]] = field(default_factory=list)
    stops: list[tuple[int, int]] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    changed: Hint = field(default_factory=Hint)

    def on_data(self, stream: int, data: bytes, *, end: bool) -> None:
        self.received.setdefault(stream, bytearray()).extend(data)
        if end:
            self.ended.append(stream)
        self.changed.raise_()

    def on_reset(self, stream: int, code: int) -> None:
        self.resets.append((stream, code))
        self.changed.raise_()

    def on_stop(self, stream: int, code: int) -> None:
        self.stops.append((stream, code))
        self.changed.raise_()

    def on_close(self, closing: Closing) -> None:
        self.closings.append(closing)
        self.changed.raise_()

    async def until(self, is_so: Callable[[], object]) -> None:
        while not is_so():
            assert await self.changed.wait(at_most=10), "nothing happened for ten seconds"


Pair = tuple[End, End]


@asynccontextmanager
async def memory_ends(directory: Path) -> AsyncIterator[Pair]:
    yield attached(*memory_pair())


@asynccontextmanager
async def quic_ends(directory: Path) -> AsyncIterator[Pair]:
    async with socket_ends(directory, listen_quic, connect_quic) as pair:
        yield pair


@asynccontextmanager
async def tcp_ends(directory: Path) -> AsyncIterator[Pair]:
    async with socket_ends(directory, listen_tcp, connect_tcp) as pair:
        yield pair


@asynccontextmanager
async def socket_ends(
    directory: Path, listen: Callable[..., Awaitable], connect: Callable[..., Awaitable[Link]]
) -> AsyncIterator[Pair]:
    now = SystemClock().now()
    authority = CertificateAuthority.open(directory, now)
    links: list[Link] = []
    certificate = authority.server_certificate(directory, now)
    listener = await listen("127.0.0.1", 0, certificate, links.append)
    ca_pem = pem(authority.certificate)
    agent = await connect("127.0.0.1", listener.port, ca_pem=ca_pem)
    ends = End(agent)
    agent.attach(ends)
    agent.send(agent.open_bidi(), b"")
    while not links:
        await SystemClock().sleep(0.001)
    yield ends, attached_one(links[0])
    agent.close()
    listener.close()


def attached(agent: Link, server: Link) -> Pair:
    pair = attached_one(agent), attached_one(server)
    agent.open_bidi()
    return pair


def attached_one(link: Link) -> End:
    end = End(link)
    link.attach(end)
    return end


@pytest.fixture(params=[memory_ends, quic_ends, tcp_ends], ids=["memory", "quic", "tcp"])
async def pair(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Pair]:
    """`(agent's end, server's end)`; the control stream 0 is open."""
    async with request.param(tmp_path) as ends:
        yield ends
