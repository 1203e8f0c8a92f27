"""The server's QUIC endpoint: one UDP socket, many links.

Routes datagrams by connection id in constant time, admits new connections only after a Retry, and
gives each link to `on_link` once its TLS handshake is complete. A link owns its ids, so a thousand
closes at once cost a thousand small removals and no scan.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Any

from qh3._hazmat import pull_quic_header
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection
from qh3.quic.packet import (
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
)

from boreas.transport.authority import ServerCertificate
from boreas.transport.links import CloseCode, CloseKind, Closing, Link
from boreas.transport.quic_endpoint import (
    CONNECTION_ID_LENGTH,
    open_datagrams,
    server_configuration,
    udp_socket,
)
from boreas.transport.quic_link import Address, QuicLink
from boreas.transport.retry import RetryTokens

# Handshakes that have passed Retry and are not complete. More than this means a flood; clients
# repeat their Initial, so dropping one costs an honest agent a second.
MAX_UNSETTLED = 256
# Without it a few hundred half-open handshakes would keep everybody out for the idle timeout.
SETTLE_SECONDS = 5.0
_MIN_INITIAL = 1200
_LONG_HEADER = 0x80


class QuicListener(asyncio.DatagramProtocol):
    """Accepts QUIC links until `close`."""

    def __init__(self, certificate: ServerCertificate, on_link: Callable[[Link], None]) -> None:
        self._certificate = certificate
        self._configuration = _load(certificate)
        self._on_link = on_link
        self._links: dict[bytes, QuicLink] = {}
        self._unsettled: set[QuicLink] = set()
        self._tokens = RetryTokens()
        self._transport: Any = None
        self._loop = asyncio.get_running_loop()

    @property
    def port(self) -> int:
        """The UDP port this listener is bound to."""
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def links(self) -> frozenset[QuicLink]:
        """Every connection that is alive, settled or not."""
        return frozenset(self._links.values())

    def use_certificate(self, certificate: ServerCertificate) -> None:
        """Show a renewed certificate to whoever connects from now on."""
        self._certificate, self._configuration = certificate, _load(certificate)

    async def open(self, host: str, port: int) -> None:
        """Bind and start to read."""
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        sock = udp_socket(family)
        try:
            sock.bind(address)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"{error.strerror} (UDP {host}:{port})") from error
        self._transport = await open_datagrams(sock, self)

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Say goodbye on every link and stop reading."""
        for link in self.links:
            link.close(code, reason)
        self._transport.close()

    # --- datagrams in -----------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.datagrams_received([data], addr)

    def datagrams_received(self, datagrams: list[bytes], addr: Address) -> None:
        """A batch from one address; nearly always all of it is for one connection."""
        start, current = 0, None
        for position, datagram in enumerate(datagrams):
            link = self._links.get(_destination(datagram)) or self._admit(datagram, addr)
            if link is not current:
                if current is not None:
                    current.receive(datagrams[start:position], addr)
                start, current = position, link
        if current is not None:
            current.receive(datagrams[start:], addr)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error for one of many peers says nothing about the others."""

    # --- new connections --------------------------------------------------------------------

    def _admit(self, datagram: bytes, address: Address) -> QuicLink | None:
        if len(datagram) < _MIN_INITIAL or not datagram[0] & _LONG_HEADER:
            return None
        try:
            header = pull_quic_header(datagram, 0, CONNECTION_ID_LENGTH)
        except ValueError:
            return None
        version, packet_type, destination, source, token = (*header[:2], *header[3:6])
        if version is None:
            return None
        if version not in self._configuration.supported_versions:
            self._offer_versions(destination, source, address)
            return None
        if packet_type != QuicPacketType.INITIAL or len(self._unsettled) >= MAX_UNSETTLED:
            return None
        if not token:
            self._ask_to_retry(version, destination, source, address)
            return None
        cids = self._tokens.check(address, token, self._loop.time())
        if cids is None or cids[1] != destination:
            return None
        return self._new_link(cids, address)

    def _offer_versions(self, destination: bytes, source: bytes, address: Address) -> None:
        versions = list(self._configuration.supported_versions)
        self._transport.sendto(
            encode_quic_version_negotiation(destination, source, versions), address
        )

    def _ask_to_retry(
        self, version: int, destination: bytes, source: bytes, address: Address
    ) -> None:
        fresh = secrets.token_bytes(CONNECTION_ID_LENGTH)
        token = self._tokens.make(address, destination, fresh, self._loop.time())
        self._transport.sendto(
            encode_quic_retry(version, fresh, source, destination, token), address
        )

    def _new_link(self, cids: tuple[bytes, bytes], address: Address) -> QuicLink:
        connection = QuicConnection(
            configuration=self._configuration,
            original_destination_connection_id=cids[0],
            retry_source_connection_id=cids[1],
        )
        link = QuicLink(
            connection,
            send_datagrams=self._transport.sendto_many,
            settled=self._settled,
            server_leaf=self._certificate.leaf_der,
            peer=address,
        )
        link.on_connection_id = self._route
        link.on_connection_id_gone = self._unroute
        link.on_gone = self._gone
        self._unsettled.add(link)
        self._loop.call_later(SETTLE_SECONDS, self._drop_if_unsettled, link)
        self._route(cids[1], link)
        self._route(connection.host_cid, link)
        return link

    def _route(self, cid: bytes, link: QuicLink) -> None:
        self._links[cid] = link
        link.connection_ids.add(cid)

    def _unroute(self, cid: bytes) -> None:
        link = self._links.pop(cid, None)
        if link is not None:
            link.connection_ids.discard(cid)

    def _settled(self, link: QuicLink) -> None:
        self._unsettled.discard(link)
        self._on_link(link)

    def _drop_if_unsettled(self, link: QuicLink) -> None:
        if link in self._unsettled:
            link.fail(Closing(kind=CloseKind.IDLE, reason="the handshake was not finished"))

    def _gone(self, link: QuicLink) -> None:
        self._unsettled.discard(link)
        for cid in link.connection_ids:
            self._links.pop(cid, None)
        link.connection_ids.clear()


async def listen_quic(
    host: str, port: int, certificate: ServerCertificate, on_link: Callable[[Link], None]
) -> QuicListener:
    """Accept QUIC links on `host:port` (0: any port)."""
    listener = QuicListener(certificate, on_link)
    await listener.open(host, port)
    return listener


def _load(certificate: ServerCertificate) -> QuicConfiguration:
    return server_configuration(
        certificate.certificate_path.read_bytes(), certificate.key_path.read_bytes()
    )


def _destination(datagram: bytes) -> bytes:
    if not datagram:
        return b""
    if datagram[0] & _LONG_HEADER:
        return datagram[6 : 6 + datagram[5]] if len(datagram) > 6 else b""
    return datagram[1 : 1 + CONNECTION_ID_LENGTH]
