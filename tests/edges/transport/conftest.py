"""A server's reception with a doorkeeper that remembers, and agents that dial it for real."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.transport.admission import Admission, AdmittedAgent
from boreas.transport.authority import CertificateAuthority, ServerCertificate, public_key_of
from boreas.transport.dial import Dialled, Dialler, TransportMode
from boreas.transport.frames import PROTOCOL, Hello, Welcome
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentIdentity, AgentVault
from boreas.transport.keys import der
from boreas.transport.proof import ProvenAgent
from boreas.transport.reception import Reception, open_reception
from boreas.transport.refusals import Refusal, RefusalCode
from boreas.transport.session import Session
from boreas.transport.tokens import EnrolToken

CLOCK = SystemClock()


def a_hello(name: str = "node-1", protocol: int = PROTOCOL) -> Hello:
    return Hello(protocol=protocol, agent_version="0.1.0", name=name, labels={}, instance="i1")


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a state of real sockets and files; fails after ten seconds without it."""
    async with asyncio.timeout(10):
        while not is_so():
            await CLOCK.sleep(0.002)


@dataclass
class RememberingDoorkeeper:
    """Lets in whoever holds an open secret or an enrolled key, and keeps a list of everybody."""

    authority: CertificateAuthority
    secrets: set[str] = field(default_factory=set)
    enrolled: dict[str, bytes] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def enrol(
        self, hello: Hello, *, token_secret: str, csr_pem: bytes, peer_address: str
    ) -> Admission:
        self.asked.append("enrol")
        if token_secret not in self.secrets:
            raise Refusal(RefusalCode.TOKEN_USED, "the token is used or unknown", "make a new one")
        self.secrets.remove(token_secret)
        public_key_of(csr_pem)
        agent_id = f"agt_{len(self.enrolled) + 1}"
        certificate = self.authority.sign_agent(csr_pem, agent_id, CLOCK.now())
        self.enrolled[agent_id] = der(certificate)
        return Admission(welcome=a_welcome(agent_id), certificate_der=der(certificate))

    async def admit(self, hello: Hello, *, agent: ProvenAgent, peer_address: str) -> Admission:
        self.asked.append("admit")
        if agent.agent_id in self.revoked:
            raise Refusal(RefusalCode.AGENT_REVOKED, "this agent was revoked")
        if agent.agent_id not in self.enrolled:
            raise Refusal(RefusalCode.AGENT_UNKNOWN, "no such agent")
        return Admission(welcome=a_welcome(agent.agent_id))


def a_welcome(agent_id: str) -> Welcome:
    return Welcome(
        agent_id=agent_id,
        server_id="srv_1",
        server_time=0.0,
        heartbeat_seconds=15.0,
        busy_heartbeat_seconds=2.0,
        servers=(),
    )


@dataclass
class Place:
    """A server to dial, and what it saw."""

    reception: Reception
    doorkeeper: RememberingDoorkeeper
    authority: CertificateAuthority
    certificate: ServerCertificate
    arrived: asyncio.Queue[AdmittedAgent]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.reception.port}"

    def token(self) -> EnrolToken:
        return self.token_for(self.address)

    def token_for(self, address: str, secret: str = "s3cret") -> EnrolToken:
        self.doorkeeper.secrets.add(secret)
        return EnrolToken(server=address, ca_pin=self.authority.pin, secret=secret)

    async def enrol(
        self, directory: Path, mode: TransportMode = TransportMode.QUIC
    ) -> tuple[Dialled, AgentIdentity]:
        """A new agent, enrolled and connected."""
        vault = AgentVault(directory)
        credentials = Enrolling(token=self.token(), csr_pem=vault.csr())
        dialled = await self.dial(credentials, mode)
        assert dialled.welcomed.certificate_der is not None
        return dialled, vault.keep(dialled.welcomed.certificate_der, dialled.welcomed.ca)

    async def dial(
        self, credentials: Enrolling | AgentIdentity, mode: TransportMode = TransportMode.QUIC
    ) -> Dialled:
        dialler = Dialler(hello=a_hello(), credentials=credentials, clock=CLOCK)
        return await dialler.dial(self.address, mode=mode)

    async def sessions(self, directory: Path, mode: TransportMode) -> tuple[Session, Session]:
        """`(agent's, server's)` session of a new agent."""
        dialled, _ = await self.enrol(directory, mode)
        return dialled.session, (await self.arrived.get()).session


@asynccontextmanager
async def a_place(directory: Path, *, host: str = "127.0.0.1") -> AsyncIterator[Place]:
    authority = CertificateAuthority.open(directory, CLOCK.now())
    certificate = authority.server_certificate(directory, CLOCK.now())
    doorkeeper = RememberingDoorkeeper(authority)
    arrived: asyncio.Queue[AdmittedAgent] = asyncio.Queue()

    async def stay(agent: AdmittedAgent) -> None:
        arrived.put_nowait(agent)
        await agent.session.wait_closed()

    async with open_reception(
        host,
        0,
        certificate=certificate,
        doorkeeper=doorkeeper,
        on_agent=stay,
        clock=CLOCK,
    ) as reception:
        yield Place(reception, doorkeeper, authority, certificate, arrived)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(a_place(tmp_path / "server"))


@pytest.fixture(params=[TransportMode.QUIC, TransportMode.TCP], ids=["quic", "tcp"])
def mode(request: pytest.FixtureRequest) -> TransportMode:
    return TransportMode(request.param)
