"""TLS over TCP as a `Link`: the fallback for networks that block UDP. Shared by both sides."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from boreas.transport.frames import ALPN
from boreas.transport.links import CloseCode, CloseKind, Closing
from boreas.transport.mux import MuxLink

HANDSHAKE_SECONDS = 5.0
# Little in the kernel and in asyncio: what is queued there can no longer be overtaken by an order.
_WRITE_ROOM = 64 * 1024
_NOT_SENT_LOWAT = 64 * 1024
# The kernel ends a dead connection as QUIC's idle timeout would.
_DEAD_AFTER_MS = 45_000


class TcpLink(MuxLink, asyncio.Protocol):
    """A `Link` over one TLS connection; `settled` is called after the TLS handshake."""

    kind = "tcp"

    def __init__(
        self,
        *,
        is_server: bool,
        server_leaf: bytes = b"",
        settled: "Callable[[TcpLink], None]" = lambda link: None,
        gone: "Callable[[TcpLink], None]" = lambda link: None,
    ) -> None:
        super().__init__(is_server=is_server, peer_address="", server_leaf=server_leaf)
        self._settled = settled
        self._gone = gone
        self._transport: Any = None
        self._writable = True

    # --- asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_WRITE_ROOM, low=_WRITE_ROOM // 4)
        tune(transport.get_extra_info("socket"))
        host, port = transport.get_extra_info("peername")[:2]
        self._peer_address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        tls = transport.get_extra_info("ssl_object")
        if not self._is_server:
            self._server_leaf = tls.getpeercert(binary_form=True)
        if tls.selected_alpn_protocol() != ALPN:
            self.close(CloseCode.PROTOCOL_VIOLATION, f"this port speaks {ALPN} only")
            return
        self._settled(self)

    def data_received(self, data: bytes) -> None:
        self._arrived(data)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self.closing is None:
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        kind = CloseKind.IDLE if isinstance(exc, TimeoutError) else CloseKind.LOST
        reason = str(exc) if exc else "the connection ended without a goodbye"
        self._lost(Closing(kind=kind, reason=reason))
        self._gone(self)

    # --- the pipe ---------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _pipe_has_room(self) -> bool:
        return self._writable

    def _finish_pipe(self) -> None:
        self._transport.close()


def tune(sock: socket.socket) -> None:
    """Options that may be missing on some kernels; the link works without any of them."""
    options = (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 4), 15),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 5), 10),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 6), 3),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", 18), _DEAD_AFTER_MS),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_NOTSENT_LOWAT", 25), _NOT_SENT_LOWAT),
    )
    for level, option, value in options:
        with contextlib.suppress(OSError):
            sock.setsockopt(level, option, value)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_CONGESTION", 13), b"bbr")


def tls_context(purpose: int) -> ssl.SSLContext:
    """TLS 1.3 only, our protocol only, no tickets: every connection proves itself anew."""
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.options |= ssl.OP_NO_TICKET
    return context
