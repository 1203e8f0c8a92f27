"""What both ends of QUIC share: settings of the protocol, and a batched UDP socket.

The socket is qh3's GRO/GSO transport: it works through `add_reader`, so asyncio and uvloop alike.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any

from qh3.asyncio._transport import create_optimized_datagram_transport
from qh3.quic.configuration import QuicConfiguration

from boreas.transport.frames import ALPN

IDLE_TIMEOUT = 45.0
DATAGRAM_SIZE = 1280
CONNECTION_ID_LENGTH = 8
SOCKET_BUFFER = 8 * 1024 * 1024
KIB, MIB = 1024, 1024 * 1024

# The library warns about every goodbye of a peer; what matters of it reaches our own log.
logging.getLogger("quic").setLevel(logging.CRITICAL)


def server_configuration(certificate_pem: bytes, key_pem: bytes) -> QuicConfiguration:
    """Small windows: a server has many agents, and each stream has an application window anyway."""
    configuration = _configuration(is_client=False)
    configuration.max_stream_data, configuration.max_data = 1 * MIB, 4 * MIB
    configuration.load_cert_chain(certificate_pem, key_pem)
    return configuration


def client_configuration() -> QuicConfiguration:
    """An agent has one or two links and may be sent big files."""
    configuration = _configuration(is_client=True)
    configuration.max_stream_data, configuration.max_data = 4 * MIB, 16 * MIB
    return configuration


def _configuration(*, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[ALPN],
        connection_id_length=CONNECTION_ID_LENGTH,
        idle_timeout=IDLE_TIMEOUT,
        max_datagram_size=DATAGRAM_SIZE,
        # Probing for larger packets brings nothing that the log path needs, and costs surprises.
        probe_datagram_size=False,
    )


def udp_socket(family: int) -> socket.socket:
    """A UDP socket with the largest buffers that the kernel lets us have."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    for force, plain in (
        (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF),
        (getattr(socket, "SO_SNDBUFFORCE", 32), socket.SO_SNDBUF),
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, SOCKET_BUFFER)
        except OSError:
            # Not root: as much as net.core.rmem_max / wmem_max allows.
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, plain, SOCKET_BUFFER)
    return sock


async def open_datagrams(sock: socket.socket, protocol: asyncio.DatagramProtocol) -> Any:
    """Read and write `sock` in batches; a transport with `sendto_many(datagrams, address)`."""
    transport, _ = await create_optimized_datagram_transport(
        asyncio.get_running_loop(), lambda: protocol, sock, DATAGRAM_SIZE
    )
    return transport
