"""Ports and UDP: is a port free or does Boreas answer there, and do QUIC packets come through?"""

import asyncio
import socket
from typing import Final

from boreas.cli.checkup.finding import Finding, bad, good, note

PATIENCE_SECONDS: Final = 2.0
_UNKNOWN_VERSION: Final = b"\x1a\x2a\x3a\x4a"


def version_probe() -> bytes:
    """A QUIC packet of a version nobody speaks: every QUIC server answers with those it does.

    (RFC 9000, 6.1; padded to 1200 bytes, below which servers keep silent.)
    """
    header = b"\xc0" + _UNKNOWN_VERSION + b"\x08" + b"boreasdr" + b"\x08" + b"doctor01"
    return header.ljust(1200, b"\0")


def is_version_answer(packet: bytes) -> bool:
    """Is this a Version Negotiation packet (version 0) to our probe?"""
    return len(packet) > 7 and bool(packet[0] & 0x80) and packet[1:5] == b"\0\0\0\0"


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, answered: asyncio.Future[bytes]) -> None:
        self._answered = answered

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._answered.done():
            self._answered.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


async def check_quic(host: str, port: int) -> Finding:
    """Does a QUIC server answer at this UDP port?"""
    about = f"UDP {host}:{port}"
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[bytes] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Listener(answered), remote_addr=(host, port)
        )
    except OSError as error:
        return bad(about, f"cannot be reached: {error.strerror or error}", "check the host's name")
    try:
        transport.sendto(version_probe())
        answer = await asyncio.wait_for(answered, PATIENCE_SECONDS)
    except TimeoutError:
        return bad(
            about,
            "no answer: UDP is blocked on the way, or no server listens",
            "open UDP in the firewall; agents fall back to TCP of the same number meanwhile",
        )
    except OSError:
        return bad(about, "nobody listens", "start the server, or name its --quic port")
    finally:
        transport.close()
    if is_version_answer(answer):
        return good(about, "a QUIC server answers")
    return bad(about, "something else than QUIC answers", "choose another port: --quic HOST:PORT")


async def check_tcp_fallback(host: str, port: int) -> Finding:
    """Does the agents' way around blocked UDP listen?"""
    about = f"TCP {host}:{port}"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return note(about, "the agents' fallback does not listen", "open TCP in the firewall too")
    writer.close()
    return good(about, "the agents' fallback listens")


def check_free(host: str, port: int, *, udp: bool) -> Finding:
    """May a server that is to start here take this port?"""
    kind = "UDP" if udp else "TCP"
    about = f"{kind} {host}:{port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
        if not udp:
            # As servers do: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return bad(about, f"is taken: {error.strerror}", "choose another: --http or --quic")
    return good(about, "is free")
