"""Puts a server together from its parts, starts it, and takes it apart in order.

The order matters at the end: the web goes first (nobody may ask for new work), then agents are told
goodbye, then the loop ends its round, the lease is given back, and files and database are closed.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from boreas.credentials.vault import Vault
from boreas.domain.ids import AgentId, ServerId
from boreas.kit.clock import Clock, SystemClock
from boreas.kit.ids import new_id
from boreas.kit.tasks import TaskGroup
from boreas.logs.store import LogStore
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, AMONG_MANY, Membership
from boreas.server.addresses import advertised, reached_locally
from boreas.server.app import create_app
from boreas.server.auth.setup_token import SetupToken
from boreas.server.commit_log import CommitLog
from boreas.server.gateway.files import OrderFiles
from boreas.server.gateway.gateway import Gateway
from boreas.server.gateway.parts import GatewayParts
from boreas.server.gateway.places import Places
from boreas.server.gateway.secrecy import Secrecy
from boreas.server.git_refs import LsRemote
from boreas.server.housekeeping import keep_house
from boreas.server.local_agent import LocalAgent
from boreas.server.log_keeper import LogKeeper
from boreas.server.observing import StoredObserving
from boreas.server.order_secrets import OrderSecrets
from boreas.server.outbound import Outbound
from boreas.server.pki import shared_authority
from boreas.server.registry import StoreRegistry
from boreas.server.services import ServiceBundle
from boreas.server.settings import Address, Settings
from boreas.server.task_files import TaskFiles
from boreas.server.vault_keeper import keep_vault, unlocked_vault
from boreas.server.web import listening_socket, serve_web
from boreas.store import SqlStore
from boreas.transport.authority import CertificateAuthority
from boreas.transport.reception import Reception
from boreas.transport.tokens import EnrolToken

_CERTIFICATE_LOOK_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """What people need to know of a server that is up."""

    http: Address
    agents: Address
    setup_token: str | None
    data_dir: str
    warnings: tuple[str, ...] = ()

    def greeting(self) -> str:
        """The lines that are printed once everything listens."""
        lines = [
            f"Boreas is up: http://{self.http} (agents: {self.agents}, UDP and TCP)",
            f"Data lies in {self.data_dir}",
        ]
        if self.setup_token:
            lines.append(
                f"First start. Make the admin with this one-time token: {self.setup_token}"
            )
        return "\n".join([*lines, *self.warnings])


class ServerWakes:
    """Fits `server.services.Wakes`: hints from the routes to the loop and the gateway."""

    def __init__(self, loop: Loop, gateway: Gateway) -> None:
        self._loop = loop
        self._gateway = gateway

    def due(self) -> None:
        """Some deployment is due now."""
        self._loop.wake()

    def revoked(self, agent_id: AgentId) -> None:
        """The agent may not stay connected."""
        self._gateway.shut_out(agent_id)


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[RunningServer]:
    """A whole server for the length of the block."""
    clock = SystemClock()
    _own(settings.data_dir)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(
            SqlStore.open(settings.database_url, settings.data_dir, clock=clock)
        )
        vault = await unlocked_vault(store, settings.secret_keys, clock)
        server = await _Assembly(settings, store, clock, vault).start(stack)
        yield server


def _own(data_dir: Path) -> None:
    """Keys and logs lie here: nobody else looks in."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)


class _Assembly:
    """The parts of one server, made in the order in which they need each other."""

    def __init__(self, settings: Settings, store: SqlStore, clock: Clock, vault: Vault) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.server_id = ServerId(new_id("srv"))
        self.vault = vault
        self.agents_at = advertised(settings)
        self.outbound = Outbound(allowed=settings.allow_inner)
        self.logs = LogStore(settings.log_dir, clock)
        self.registry = StoreRegistry(store)
        self.membership = Membership(
            store=store,
            server_id=self.server_id,
            address=str(self.agents_at),
            clock=clock,
            times=ALONE if store.is_sqlite else AMONG_MANY,
        )
        self.observing = StoredObserving(store, clock, every_seconds=settings.observe_seconds)
        self.loop = Loop(store=store, membership=self.membership, clock=clock)
        self.keeper = LogKeeper(
            logs=self.logs, store=store, finished_among=self.registry.finished_among, clock=clock
        )

    async def start(self, stack: AsyncExitStack) -> RunningServer:
        """Start everything; `stack` stops it in reverse."""
        authority = await shared_authority(
            self.store, self.settings.data_dir / "pki", self.clock.now(), self.vault
        )
        await self.membership.join()
        stack.push_async_callback(self.membership.leave)
        stack.push_async_callback(self.logs.aclose)
        gateway = self._gateway(authority)
        tasks = await stack.enter_async_context(TaskGroup("server"))
        self._start_tasks(tasks, gateway)
        certificate = authority.server_certificate(self.settings.data_dir / "pki", self.clock.now())
        quic = self.settings.quic
        reception = await stack.enter_async_context(
            gateway.reception(quic.host, quic.port, certificate)
        )
        tasks.start(lambda: self._keep_certificate(reception, authority), name="certificate")
        # What people were told to advertise stands, also behind a forwarded port.
        agents_at = replace(self.agents_at, port=self.agents_at.port or reception.port)
        services = self._services(gateway, authority, agents_at)
        if self.settings.with_agent:
            self._start_local_agent(tasks, services, reception.port)
        return await self._serve(stack, services, agents_at)

    def _gateway(self, authority: CertificateAuthority) -> Gateway:
        places = Places(self.registry)
        parts = GatewayParts(
            news=self.loop.news,
            registry=self.registry,
            places=places,
            logs=self.logs,
            log_keeper=self.keeper,
            files=OrderFiles(TaskFiles(self.settings.file_dir), places),
            authority=authority,
            clock=self.clock,
            observing=self.observing,
            secrecy=Secrecy(OrderSecrets(self.store, self.vault, self.clock), self.clock),
        )
        return Gateway(parts=parts, server_id=self.server_id, store=self.store)

    def _start_tasks(self, tasks: TaskGroup, gateway: Gateway) -> None:
        tasks.start(lambda: self.loop.run(gateway), name="loop")
        tasks.start(self.loop.listen, name="due")
        tasks.start(self.membership.keep, name="lease")
        tasks.start(gateway.listen, name="agents' news")
        tasks.start(gateway.keep_looking, name="promises nobody told of")
        tasks.start(gateway.keep_balance, name="agents shared fairly")
        tasks.start(self.keeper.listen, name="finished deployments")
        tasks.start(self.keeper.close_finished, name="log closing")
        tasks.start(self.observing.keep_writing, name="what agents saw")
        tasks.start(self._prune_logs, name="log retention")
        tasks.start(partial(keep_house, self.store, self.clock), name="housekeeping")
        tasks.start(partial(keep_vault, self.store, self.vault, self.clock), name="vault")

    async def _keep_certificate(
        self, reception: Reception, authority: CertificateAuthority
    ) -> None:
        """A server that runs for a year shows a new certificate before the old one ends."""
        while True:
            await self.clock.sleep(_CERTIFICATE_LOOK_SECONDS)
            pki = self.settings.data_dir / "pki"
            reception.use_certificate(authority.server_certificate(pki, self.clock.now()))

    async def _prune_logs(self) -> None:
        await self.keeper.prune(
            max_age=timedelta(days=self.settings.log_keep_days),
            max_bytes=self.settings.log_keep_bytes,
        )

    def _services(
        self, gateway: Gateway, authority: CertificateAuthority, agents_at: Address
    ) -> ServiceBundle:
        return ServiceBundle(
            settings=self.settings,
            store=self.store,
            logs=self.logs,
            wakes=ServerWakes(self.loop, gateway),
            git=LsRemote(
                self.clock, self.outbound, known_hosts=self.settings.data_dir / "known_hosts"
            ),
            commits=CommitLog(
                self.settings.data_dir / "git-mirrors",
                self.clock,
                self.outbound,
                known_hosts=self.settings.data_dir / "known_hosts",
            ),
            clock=self.clock,
            ids=new_id,
            mint_enrol_token=partial(_mint_enrol_token, authority, agents_at),
            setup_token=SetupToken(self.settings.setup_token_file),
            vault=self.vault,
            loop_alive=self.loop.is_alive,
            has_all_logs_of=self.keeper.has_all_of,
            misses_logs_of=self.keeper.misses_any_of,
        )

    async def _serve(
        self, stack: AsyncExitStack, services: ServiceBundle, agents_at: Address
    ) -> RunningServer:
        async with self.store.reading() as tx:
            offered = services.setup_token.offer(users_exist=await tx.users.count() > 0)
        listening = listening_socket(self.settings.http)
        await stack.enter_async_context(serve_web(create_app(services), listening))
        port = listening.getsockname()[1]
        return RunningServer(
            http=Address(host=self.settings.http.host, port=port),
            agents=agents_at,
            setup_token=offered,
            data_dir=str(self.settings.data_dir),
            warnings=() if self.vault.trouble is None else (self.vault.trouble.message,),
        )

    def _start_local_agent(self, tasks: TaskGroup, services: ServiceBundle, port: int) -> None:
        local = LocalAgent(
            store=self.store,
            data_dir=self.settings.data_dir / "agent",
            server=reached_locally(self.settings.quic, port=port),
            mint=services.mint_enrol_token,
            clock=self.clock,
        )
        tasks.start(local.keep_running, name="agent of this machine")


def _mint_enrol_token(authority: CertificateAuthority, agents_at: Address, secret: str) -> str:
    return EnrolToken(server=str(agents_at), ca_pin=authority.pin, secret=secret).reveal()
