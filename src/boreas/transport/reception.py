"""Where agents arrive: UDP and TCP on one address, and the door behind them.

`open_reception` is what the gateway uses; every admitted agent gets a task there.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from cryptography import x509

from boreas.kit.bulkhead import Bulkhead
from boreas.kit.clock import Clock
from boreas.kit.tasks import TaskGroup
from boreas.transport.admission import AdmittedAgent, Doorkeeper, admit_agent
from boreas.transport.authority import ServerCertificate
from boreas.transport.links import CloseCode, Link
from boreas.transport.quic_server import QuicListener, listen_quic
from boreas.transport.tcp_server import TcpListener, listen_tcp

# Decisions made at a time: after a restart thousands of agents come at once, and each asks the
# database.
MAX_HANDSHAKES = 64
# Links without a Welcome. More is a flood; agents that are sent away dial again later.
MAX_WAITING = 2048
_STOPPING = "the server stops"

log = structlog.get_logger()

OnAgent = Callable[[AdmittedAgent], Awaitable[None]]


class Reception:
    """Listens until the block of `open_reception` is left."""

    def __init__(
        self, doorkeeper: Doorkeeper, on_agent: OnAgent, ca: x509.Certificate, clock: Clock
    ) -> None:
        self._doorkeeper = doorkeeper
        self._on_agent = on_agent
        self._ca = ca
        self._clock = clock
        self._turns = asyncio.Semaphore(MAX_HANDSHAKES)
        self._waiting = 0
        self._tasks: TaskGroup | None = None
        self.quic: QuicListener | None = None
        self.tcp: TcpListener | None = None

    @property
    def port(self) -> int:
        """The one port number of UDP and TCP."""
        assert self.quic is not None
        return self.quic.port

    def use_certificate(self, certificate: ServerCertificate) -> None:
        """Show a renewed server certificate to whoever connects from now on."""
        for listener in (self.quic, self.tcp):
            if listener is not None:
                listener.use_certificate(certificate)

    def arrive(self, link: Link) -> None:
        """Take a link whose TLS is up; also for links that tests bring."""
        if self._tasks is None:
            link.close(CloseCode.GOING_AWAY, _STOPPING)
        elif self._waiting >= MAX_WAITING:
            link.close(CloseCode.GOING_AWAY, "too many agents arrive at once; dial again later")
        else:
            self._tasks.start(lambda: self._receive(link), name=f"agent at {link.peer_address}")

    async def _receive(self, link: Link) -> None:
        try:
            # A fault must not end the task group, and with it the links of all the others.
            with Bulkhead(log, "agent not received", peer=link.peer_address) as hull:
                agent = await self._admit(link)
                if agent is not None:
                    await self._on_agent(agent)
            if hull.fault is not None:
                link.close(CloseCode.GOING_AWAY, "an error on the server ended this session")
        finally:
            link.close()

    async def _admit(self, link: Link) -> AdmittedAgent | None:
        self._waiting += 1
        try:
            return await admit_agent(
                link, self._doorkeeper, ca=self._ca, clock=self._clock, turns=self._turns
            )
        finally:
            self._waiting -= 1


@asynccontextmanager
async def open_reception(
    host: str,
    port: int,
    *,
    certificate: ServerCertificate,
    doorkeeper: Doorkeeper,
    on_agent: OnAgent,
    clock: Clock,
) -> AsyncIterator[Reception]:
    """Listen on UDP and TCP at `host:port` (0: any port free for both).

    `on_agent` runs in a task of its own for each admitted agent; the link is closed when it ends.
    An error that escapes it is logged and ends that link only. Leaving the block says goodbye to
    everybody and cancels those tasks.
    """
    ca = x509.load_der_x509_certificate(certificate.ca_der)
    reception = Reception(doorkeeper, on_agent, ca, clock)
    async with TaskGroup("reception") as tasks:
        reception._tasks = tasks
        quic, tcp = await _listen_both(host, port, certificate, reception.arrive)
        reception.quic, reception.tcp = quic, tcp
        try:
            yield reception
        finally:
            reception._tasks = None
            quic.close(CloseCode.GOING_AWAY, _STOPPING)
            tcp.close(CloseCode.GOING_AWAY, _STOPPING)


async def _listen_both(
    host: str, port: int, certificate: ServerCertificate, on_link: Callable[[Link], None]
) -> tuple[QuicListener, TcpListener]:
    tries = 1 if port else 20
    while True:
        quic = await listen_quic(host, port, certificate, on_link)
        try:
            return quic, await listen_tcp(host, quic.port, certificate, on_link)
        except OSError as error:
            quic.close()
            tries -= 1
            if error.errno != errno.EADDRINUSE or not tries:
                raise
