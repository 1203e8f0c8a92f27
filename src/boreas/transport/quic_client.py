"""The agent's QUIC endpoint: one connected UDP socket per link.

Connected, so that the kernel tells us when nobody listens on the port (ICMP): a refused port counts
at once instead of after a time-out.
"""

import asyncio
import socket
import ssl
from typing import Any

from qh3.quic.connection import QuicConnection

from boreas.transport.keys import SERVER_NAME
from boreas.transport.links import CloseKind, Closing, LinkClosed
from boreas.transport.quic_endpoint import client_configuration, open_datagrams, udp_socket
from boreas.transport.quic_link import Address, QuicLink


class _ClientSocket(asyncio.DatagramProtocol):
    """Feeds one link and closes the socket after it."""

    def __init__(self) -> None:
        self.link: QuicLink | None = None
        self.transport: Any = None

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.datagrams_received([data], addr)

    def datagrams_received(self, datagrams: list[bytes], addr: Address) -> None:
        if self.link is not None:
            self.link.receive(datagrams, addr)

    def error_received(self, exc: Exception) -> None:
        if self.link is not None and isinstance(exc, ConnectionRefusedError):
            self.link.fail(Closing(kind=CloseKind.REFUSED_PORT, reason="nobody listens there"))

    def send(self, datagrams: list[bytes], address: Address) -> None:
        self.transport.sendto_many(datagrams, address)

    def gone(self, link: QuicLink) -> None:
        self.transport.close()


async def connect_quic(host: str, port: int, *, ca_pem: bytes | None) -> QuicLink:
    """A link to the server, its TLS handshake complete. Raises `LinkClosed` or `OSError`.

    With `ca_pem` TLS has proven the server. Without it (first contact) nothing is proven yet: the
    caller must hold `server_leaf` against the pin of its token before it sends anything.
    """
    loop = asyncio.get_running_loop()
    *others, last = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    for family, _, _, _, address in others:
        try:
            return await _connect_to(family, address, ca_pem)
        except (LinkClosed, OSError) as error:
            # `localhost` and friends: nobody on ::1 says nothing about 127.0.0.1.
            if isinstance(error, LinkClosed) and error.closing.kind != CloseKind.REFUSED_PORT:
                raise
    return await _connect_to(last[0], last[4], ca_pem)


async def _connect_to(family: int, address: Address, ca_pem: bytes | None) -> QuicLink:
    sock = udp_socket(family)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    feeder = _ClientSocket()
    feeder.transport = await open_datagrams(sock, feeder)
    settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    link = QuicLink(
        QuicConnection(configuration=_trusting(ca_pem)),
        send_datagrams=feeder.send,
        settled=lambda _: _settle(settled),
        peer=address,
    )
    link.on_gone = feeder.gone
    feeder.link = link
    return await _settled_or_closed(link, settled)


async def _settled_or_closed(link: QuicLink, settled: "asyncio.Future[None]") -> QuicLink:
    link.when_closed(lambda closing: _settle(settled, LinkClosed(closing)))
    link.connect()
    try:
        await settled
    except asyncio.CancelledError:
        link.close()
        raise
    return link


def _settle(settled: "asyncio.Future[None]", error: LinkClosed | None = None) -> None:
    if settled.done():
        return
    if error is None:
        settled.set_result(None)
    else:
        settled.set_exception(error)


def _trusting(ca_pem: bytes | None) -> Any:
    configuration = client_configuration()
    configuration.server_name = SERVER_NAME
    if ca_pem is None:
        configuration.verify_mode = ssl.CERT_NONE
    else:
        configuration.verify_mode = ssl.CERT_REQUIRED
        configuration.load_verify_locations(cadata=ca_pem)
    return configuration
