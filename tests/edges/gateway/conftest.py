"""A gateway on real QUIC over the in-memory store, and agents that speak its protocol by hand."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from bench.installation import create_chain, found

from boreas.domain.fleet import Agent, EnrolToken
from boreas.domain.ids import AgentId, ServerId
from boreas.kit.clock import SystemClock
from boreas.kit.ids import new_id
from boreas.kit.tasks import TaskGroup
from boreas.logs.store import LogStore
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, Membership
from boreas.server.gateway.files import OrderFiles
from boreas.server.gateway.gateway import Gateway
from boreas.server.gateway.parts import GatewayParts
from boreas.server.gateway.places import Places
from boreas.server.gateway.ports import Registry, Secrets
from boreas.server.gateway.secrecy import NoVault, Secrecy
from boreas.server.log_keeper import LogKeeper
from boreas.server.registry import StoreRegistry
from boreas.server.task_files import TaskFiles
from boreas.testing.memory_store import MemoryStore
from boreas.transport.authority import CertificateAuthority
from boreas.transport.dial import Dialled, Dialler
from boreas.transport.frames import PROTOCOL, Hello
from boreas.transport.handshake import Enrolling
from boreas.transport.identity import AgentIdentity, AgentVault
from boreas.transport.tokens import EnrolToken as TokenText
from boreas.transport.tokens import secret_hash

SERVER = ServerId("srv")
SECRET = "a secret that is long enough"


@dataclass
class AgentByHand:
    """An agent's identity; `dial` enrols at the first call and proves itself later."""

    directory: Path
    address: str
    pin: bytes
    name: str = "n1"
    instance: str = field(default_factory=lambda: new_id("ins"))

    @property
    def vault(self) -> AgentVault:
        return AgentVault(self.directory)

    async def dial(self) -> Dialled:
        vault = self.vault
        identity = vault.identity()
        text = TokenText(server=self.address, ca_pin=self.pin, secret=SECRET)
        credentials: Enrolling | AgentIdentity = identity or Enrolling(
            token=text, csr_pem=vault.csr()
        )
        hello = Hello(
            protocol=PROTOCOL,
            agent_version="test",
            name=self.name,
            labels={},
            instance=self.instance,
        )
        dialler = Dialler(hello=hello, credentials=credentials, clock=SystemClock())
        dialled = await dialler.dial(self.address)
        if dialled.welcomed.certificate_der:
            vault.keep(dialled.welcomed.certificate_der, dialled.welcomed.ca)
        return dialled


class House:
    """The server's side: gateway, loop, logs, store."""

    def __init__(
        self,
        directory: Path,
        *,
        make_places: Callable[[Registry], Places] = Places,
        secrets: Secrets | None = None,
    ) -> None:
        self.directory = directory
        self.clock = SystemClock()
        self.store = MemoryStore()
        self.logs = LogStore(directory / "logs", self.clock)
        membership = Membership(
            store=self.store, server_id=SERVER, address="here:1", clock=self.clock, times=ALONE
        )
        self.membership = membership
        self.loop = Loop(store=self.store, membership=membership, clock=self.clock)
        self.authority = CertificateAuthority.open(directory / "pki", self.clock.now())
        registry = StoreRegistry(self.store)  # type: ignore[arg-type]  # the double
        places = self.places = make_places(registry)
        self.keeper = LogKeeper(
            logs=self.logs,
            store=self.store,
            finished_among=registry.finished_among,
            clock=self.clock,
        )
        parts = GatewayParts(
            news=self.loop.news,
            registry=registry,
            places=places,
            logs=self.logs,
            log_keeper=self.keeper,
            files=OrderFiles(TaskFiles(directory / "files"), places),
            authority=self.authority,
            clock=self.clock,
            secrecy=Secrecy(secrets or NoVault(), self.clock),
        )
        self.gateway = Gateway(parts=parts, server_id=SERVER, store=self.store)
        self.address = ""

    async def open(self, stack: AsyncExitStack) -> None:
        await self.membership.join()
        tasks = await stack.enter_async_context(TaskGroup("house"))
        tasks.start(lambda: self.loop.run(self.gateway), name="loop")
        tasks.start(self.gateway.listen, name="gateway")
        certificate = self.authority.server_certificate(self.directory / "pki", self.clock.now())
        reception = await stack.enter_async_context(
            self.gateway.reception("127.0.0.1", 0, certificate)
        )
        self.address = f"127.0.0.1:{reception.port}"

    async def add_token_again(self) -> None:
        async with self.store.transaction() as tx:
            await tx.enrol_tokens.remove("tok")
        await self.add_token()

    async def add_token(self, *, uses: int = 1) -> None:
        now = self.clock.now()
        token = EnrolToken(
            id="tok",
            secret_sha256=secret_hash(SECRET),
            uses_left=uses,
            labels={"rack": "7"},
            created_at=now,
            expires_at=now + timedelta(hours=1),
        )
        async with self.store.transaction() as tx:
            await tx.enrol_tokens.add(token)

    def agent(self, name: str = "n1") -> AgentByHand:
        return AgentByHand(self.directory / name, self.address, self.authority.pin, name)

    async def known(self, name: str = "n1") -> Agent | None:
        async with self.store.reading() as tx:
            return await tx.agents.named(name)

    async def revoke(self, agent: Agent) -> None:
        async with self.store.transaction() as tx:
            await tx.agents.revoke(agent.id, self.clock.now())
            await tx.announce("boreas_agents", agent.id)

    async def deploy_to(self, agent_id: AgentId, *, tasks: int = 1) -> None:
        """A deployment whose only target is behind this agent."""
        now = self.clock.now()
        await found(self.store, SERVER, applications=1, now=now, agent_id=agent_id)
        async with self.store.transaction() as tx:
            await create_chain(tx, 0, tasks=tasks, now=now, agent_id=agent_id)
        self.loop.wake()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        made = House(tmp_path)
        await made.open(stack)
        await made.add_token()
        yield made
        await made.logs.aclose()
