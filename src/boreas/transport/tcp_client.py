"""The agent's TLS/TCP connection."""

import asyncio
import ssl

from boreas.transport.keys import SERVER_NAME
from boreas.transport.links import LinkClosed
from boreas.transport.tcp_link import HANDSHAKE_SECONDS, TcpLink, tls_context


async def connect_tcp(host: str, port: int, *, ca_pem: bytes | None) -> TcpLink:
    """A link to the server, its TLS handshake complete. Raises `LinkClosed` or `OSError`.

    `ca_pem` means the same as in `connect_quic`: without it nothing is proven yet.
    """
    _, link = await asyncio.get_running_loop().create_connection(
        lambda: TcpLink(is_server=False),
        host,
        port,
        ssl=_trusting(ca_pem),
        server_hostname=SERVER_NAME,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
    )
    if link.closing is not None:
        raise LinkClosed(link.closing)
    return link


def _trusting(ca_pem: bytes | None) -> ssl.SSLContext:
    context = tls_context(ssl.PROTOCOL_TLS_CLIENT)
    if ca_pem is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(cadata=ca_pem.decode())
    return context
