"""Keeps the agent connected: dials, enrols once, serves the link, comes back when it is gone.

Dials every server it has ever been told of, in turn. A refusal that no waiting can mend ends the
agent with a clear word; commands that run go on, and the next agent adopts them.
"""

import json
from pathlib import Path

import structlog

from boreas.agent.giving_up import FINAL_REFUSALS, GivingUp
from boreas.agent.journal import Journal
from boreas.agent.layout import Layout
from boreas.agent.link import AgentLink, Parts
from boreas.agent.output_files import OutputFiles
from boreas.agent.uploads import Uploads
from boreas.agent.way import Way
from boreas.domain.errors import BoreasError
from boreas.kit.ids import jittered
from boreas.kit.tasks import TaskGroup
from boreas.transport.dial import Dialled
from boreas.transport.frames import Report
from boreas.transport.links import CloseCode, CloseKind, LinkClosed
from boreas.transport.refusals import Refusal, ServerNotTrusted

logger = structlog.get_logger(__name__)

# Thousands of agents come back at once when a server restarts: they spread themselves over this.
IDLE_RETRY_CAP_SECONDS = 30.0
# With something under way, or a moment ago, the server must learn of it within seconds.
BUSY_RETRY_SECONDS = (0.2, 1.0)
# A server that has been away for about ten minutes is no longer just being restarted.
QUICK_RETRIES = 1000

# On the fallback the better way is tried again now and then, beside the link that works.
UPGRADE_LOOK_SECONDS = 300.0


class KnownServers:
    """Addresses to try, those given first; what a server tells is remembered on disk."""

    def __init__(self, given: tuple[str, ...], path: Path) -> None:
        self._given = given
        self._path = path
        self._told = self._read()
        self._next = 0

    def next(self) -> str:
        """The one to try now; each call moves on."""
        everyone = self.all()
        server = everyone[self._next % len(everyone)]
        self._next += 1
        return server

    def all(self) -> tuple[str, ...]:
        """Given and told, without doubles."""
        return tuple(dict.fromkeys((*self._given, *self._told)))

    def stay(self) -> None:
        """The last one was good: try it first again."""
        self._next -= 1

    def told(self, servers: tuple[str, ...]) -> None:
        """A Welcome named these."""
        if servers and servers != self._told:
            self._told = servers
            try:
                self._path.write_text(json.dumps(servers))
            except OSError as error:
                logger.warning("servers not kept", action="servers_not_kept", error=str(error))

    def _read(self) -> tuple[str, ...]:
        try:
            return tuple(str(server) for server in json.loads(self._path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return ()


class Uplink:
    """The one connection of an agent, made anew as often as it must be."""

    def __init__(
        self, way: Way, servers: KnownServers, *, journal: Journal, layout: Layout, parts: Parts
    ) -> None:
        self._way = way
        self._servers = servers
        self._journal = journal
        self._layout = layout
        self._parts = parts
        self._link: AgentLink | None = None
        self._failures = 0
        self._wait_at_least = 0.0
        self._giving_up = GivingUp()

    def tell(self, report: Report) -> None:
        """Send a durable report now if there is a link; a later link sends what was not taken."""
        if self._link is not None:
            self._link.tell(report)

    def output_came(self, order_dir: Path) -> None:
        """A command printed something: send it."""
        if self._link is not None:
            self._link.output_came(order_dir)

    async def stay_connected(self) -> None:
        """For ever; raises `Refusal` or `ServerNotTrusted` when trying again cannot help."""
        while True:
            server = self._servers.next()
            try:
                dialled: Dialled | None = await self._connect(server)
            except (LinkClosed, OSError) as error:
                self._failed(server, str(error))
            except (Refusal, ServerNotTrusted) as refusal:
                if self._must_end(refusal):
                    raise
                self._failed(server, refusal.message)
            else:
                while dialled is not None:
                    dialled = await self._serve(dialled, server)
            await self._parts.clock.sleep(self._pause())

    async def _connect(self, server: str) -> Dialled:
        vault = self._parts.vault
        identity = vault.identity() if vault else None
        try:
            dialled = await self._way.dial(server, identity)
        except Refusal as refusal:
            if identity is None or refusal.refusal_code not in FINAL_REFUSALS:
                raise
            dialled = await self._enrol_again(server, refusal)
        if vault and dialled.welcomed.certificate_der:
            vault.keep(dialled.welcomed.certificate_der, dialled.welcomed.ca)
            logger.info("enrolled", action="enrolled", server=server)
        return dialled

    async def _enrol_again(self, server: str, refusal: Refusal) -> Dialled:
        """The identity is no good any more; a fresh token may be at hand."""
        try:
            return await self._way.dial(server, None)
        except (BoreasError, OSError):
            raise refusal from None

    async def _serve(self, dialled: Dialled, server: str) -> Dialled | None:
        """Until the link has ended; the session that took its place, if one did."""
        log = logger.bind(server=server, transport=dialled.kind)
        welcome = dialled.welcomed.welcome
        log.info("connected", action="connected", agent=welcome.agent_id)
        self._failures, self._wait_at_least = 0, 0.0
        self._giving_up.welcomed()
        self._servers.stay()
        self._servers.told(welcome.servers)
        link = self._link = self._new_link(dialled)
        try:
            async with TaskGroup("uplink") as tasks:
                better = tasks.start(lambda: self._upgrade(dialled, server), name="upgrade")
                await link.serve()
        finally:
            self._link = None
        self._learn_end(dialled, link)
        log.info("disconnected", action="disconnected", why=str(dialled.session.closing))
        return better.result() if better.done() and not better.cancelled() else None

    def _new_link(self, dialled: Dialled) -> AgentLink:
        uploads = Uploads(
            dialled.session,
            journal=self._journal,
            layout=self._layout,
            clock=self._parts.clock,
            settle=self._parts.desk.settle_log,
        )
        files = OutputFiles(
            dialled.session,
            journal=self._journal,
            layout=self._layout,
            sent_all=self._parts.desk.files_sent,
        )
        return AgentLink(
            dialled.session,
            dialled.welcomed.welcome,
            uploads=uploads,
            files=files,
            parts=self._parts,
            on_proof=self._way.proven,
        )

    async def _upgrade(self, dialled: Dialled, server: str) -> Dialled:
        """A session over a better transport, once it is to be had; then the old one is closed."""
        vault = self._parts.vault
        while True:
            await self._parts.clock.sleep(jittered(UPGRADE_LOOK_SECONDS, by=0.2))
            identity = vault.identity() if vault else None
            try:
                better = await self._way.upgrade(server, identity, dialled.kind)
            except (BoreasError, OSError):
                continue
            if better is not None:
                dialled.session.close(CloseCode.REPLACED, "a better way was found")
                return better

    def _learn_end(self, dialled: Dialled, link: AgentLink) -> None:
        closing = dialled.session.closing
        if link.was_silent:
            self._way.ended(dialled.kind, CloseKind.IDLE)
        elif closing is not None:
            self._way.ended(dialled.kind, closing.kind)
        if link.goodbye is not None:
            self._wait_at_least = link.goodbye.retry_after
            self._servers.next()

    def _must_end(self, refusal: Refusal | ServerNotTrusted) -> bool:
        if isinstance(refusal, Refusal):
            self._wait_at_least = refusal.retry_after or 0.0
        is_newcomer = self._parts.vault is None or self._parts.vault.identity() is None
        now = self._parts.clock.monotonic()
        return self._giving_up.is_due(refusal, is_newcomer=is_newcomer, now=now)

    def _failed(self, server: str, reason: str) -> None:
        self._failures += 1
        logger.warning("not connected", action="dial_failed", server=server, reason=reason)

    def _pause(self) -> float:
        """Full jitter, growing; short while there is something that the server waits for."""
        desk = self._parts.desk
        if desk.was_awaited_lately and self._failures < QUICK_RETRIES:
            low, high = BUSY_RETRY_SECONDS
            quick = jittered((low + high) / 2, by=(high - low) / (high + low))
            return quick if desk.is_awaited else max(quick, self._wait_at_least)
        cap = min(IDLE_RETRY_CAP_SECONDS, 1.0 * 2 ** min(self._failures, 6))
        return max(jittered(cap / 2, by=1.0), self._wait_at_least)
