"""The server's TLS/TCP listener, on the same port number as QUIC."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from boreas.transport.authority import ServerCertificate
from boreas.transport.links import CloseCode, Link
from boreas.transport.tcp_link import HANDSHAKE_SECONDS, TcpLink, tls_context


class TcpListener:
    """Accepts TCP links until `close`; make it with `listen_tcp`."""

    def __init__(self, certificate: ServerCertificate, on_link: Callable[[Link], None]) -> None:
        self._leaf = certificate.leaf_der
        self._on_link = on_link
        self._links: set[TcpLink] = set()
        self._context = tls_context(ssl.PROTOCOL_TLS_SERVER)
        self._context.num_tickets = 0
        self._server: asyncio.Server | None = None
        self.use_certificate(certificate)

    @property
    def port(self) -> int:
        """The TCP port this listener is bound to."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def links(self) -> frozenset[TcpLink]:
        """Every connection whose TLS handshake is complete."""
        return frozenset(self._links)

    def use_certificate(self, certificate: ServerCertificate) -> None:
        """Show a renewed certificate to whoever connects from now on."""
        self._context.load_cert_chain(certificate.certificate_path, certificate.key_path)
        self._leaf = certificate.leaf_der

    async def open(self, host: str, port: int) -> None:
        """Bind and start to accept."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _, _, _, address = found[0]
        self._server = await loop.create_server(
            self._new_link,
            sock=_bound(family, address),
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            backlog=1024,
        )

    def close(self, code: int = CloseCode.GOING_AWAY, reason: str = "") -> None:
        """Say goodbye on every link and stop accepting."""
        if self._server is not None:
            self._server.close()
        for link in self.links:
            link.close(code, reason)

    def _new_link(self) -> TcpLink:
        return TcpLink(
            is_server=True,
            server_leaf=self._leaf,
            settled=self._settled,
            gone=self._links.discard,
        )

    def _settled(self, link: TcpLink) -> None:
        self._links.add(link)
        self._on_link(link)


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    # Bound by hand: asyncio makes every IPv6 socket deaf to IPv4, and UDP hears both on `::`.
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


async def listen_tcp(
    host: str, port: int, certificate: ServerCertificate, on_link: Callable[[Link], None]
) -> TcpListener:
    """Accept TLS links on `host:port` (0: any port)."""
    listener = TcpListener(certificate, on_link)
    await listener.open(host, port)
    return listener
