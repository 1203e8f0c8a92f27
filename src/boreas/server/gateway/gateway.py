"""All agents that hang on this server: who is here, and the way to them.

Fits `runtime.loop.Post`: the loop hands over what it has committed; agents that hang on another
server are told by that server, which hears of it through the database.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import structlog

from boreas.domain.errors import NoSpace, Unavailable
from boreas.domain.ids import AgentId, ServerId
from boreas.domain.outbox import OutboxRow
from boreas.domain.secrets import CHANNEL_SECRETS
from boreas.kit import lean
from boreas.kit.bulkhead import Bulkhead
from boreas.kit.ids import jittered
from boreas.kit.tasks import TaskGroup
from boreas.runtime.ports import CHANNEL_AGENTS, CHANNEL_OUTBOX, Store
from boreas.server.gateway.agent_session import AgentSession
from boreas.server.gateway.balance import surplus
from boreas.server.gateway.doorkeeper import RegistryDoorkeeper
from boreas.server.gateway.parts import GatewayParts
from boreas.transport.admission import AdmittedAgent
from boreas.transport.authority import ServerCertificate
from boreas.transport.links import CloseCode
from boreas.transport.reception import Reception, open_reception

log = structlog.get_logger(__name__)

# After a stop, agents come back spread over time: about 300 handshakes a second at most.
_RETURNS_PER_SECOND = 300
_LOOK_EVERY_SECONDS = 5.0
_LISTEN_FOR_SILENCE_SECONDS = 1.0
_A_CROWD = 100
BALANCE_EVERY_SECONDS = 15.0
_LOOKS_FOR_IDLE_ONES = 10
# An agent that was handed on and is soon back cannot reach the others: leave it alone for a while.
_SOON_BACK_SECONDS = 60.0
_STAYS_SECONDS = 600.0


class Gateway:
    """The sessions of this server, by agent."""

    def __init__(self, *, parts: GatewayParts, server_id: ServerId, store: Store) -> None:
        self._parts = parts
        self._server_id = server_id
        self._store = store
        self._sessions: dict[AgentId, AgentSession] = {}
        self._came = 0
        self._handed_on: dict[AgentId, float] = {}
        self._stays: dict[AgentId, float] = {}

    @asynccontextmanager
    async def reception(
        self, host: str, port: int, certificate: ServerCertificate
    ) -> AsyncIterator[Reception]:
        """Listen for agents while the block lasts."""
        doorkeeper = RegistryDoorkeeper(
            registry=self._parts.registry,
            authority=self._parts.authority,
            server_id=self._server_id,
            clock=self._parts.clock,
            another_answers=self._another_answers,
        )
        async with (
            open_reception(
                host,
                port,
                certificate=certificate,
                doorkeeper=doorkeeper,
                on_agent=self._stay_with,
                clock=self._parts.clock,
            ) as reception,
            TaskGroup("gateway") as tasks,
        ):
            tasks.start(self._end_silent_links, name="silence")
            try:
                yield reception
            finally:
                self._say_goodbye()

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Send committed promises to those agents that are here."""
        for row in rows:
            session = self._sessions.get(row.agent_id)
            if session is not None:
                session.deliver(row)

    async def listen(self) -> None:
        """Follow what any server says: new promises, revocations, secrets of a new value."""
        channels = (CHANNEL_OUTBOX, CHANNEL_AGENTS, CHANNEL_SECRETS)
        async for channel, payload in self._store.listen(*channels):
            if channel == CHANNEL_SECRETS:
                self._parts.secrecy.look_again()
            elif channel == CHANNEL_OUTBOX:
                agent_id, _, server_id = payload.partition(" ")
                # Our own loop delivers what it promised; a query for each of a thousand orders
                # would cost more than sending them. `keep_looking` finds what it could not.
                if server_id != self._server_id:
                    self.fetch_for(AgentId(agent_id))
            elif session := self._sessions.get(AgentId(payload)):
                await self._close_if_revoked(session)

    async def keep_looking(self) -> None:
        """Look from time to time for promises that nobody told of, for ever.

        A NOTIFY is lost while the connection that listens is down, and so is the news of a commit
        whose answer was lost: that must cost seconds, never the order.
        """
        while True:
            await self._parts.clock.sleep(jittered(_LOOK_EVERY_SECONDS, by=0.2))
            try:
                await self.fetch_promised()
                for agent_id in await self._parts.registry.revoked_at(self._server_id):
                    self.shut_out(agent_id)
            except (Unavailable, NoSpace) as outage:
                log.warning("promises not seen", action="look_failed", reason=outage.message)

    async def _end_silent_links(self) -> None:
        """One look at all of them: a timer for each of thousands would cost more than the look."""
        while True:
            came = self._came
            await self._parts.clock.sleep(_LISTEN_FOR_SILENCE_SECONDS)
            for session in list(self._sessions.values()):
                session.close_if_silent()
            if self._came == came >= _A_CROWD:
                # What their handshakes needed is free again, in pieces all over the heap.
                lean.give_back()
                self._came = 0

    async def keep_balance(self) -> None:
        """Hand agents on to servers that have fewer, for ever; busy ones once they are idle."""
        while True:
            await self._parts.clock.sleep(jittered(BALANCE_EVERY_SECONDS, by=0.2))
            try:
                left = await self.hand_on_surplus()
            except (Unavailable, NoSpace) as outage:
                log.warning("balance not seen", action="look_failed", reason=outage.message)
                continue
            for _ in range(_LOOKS_FOR_IDLE_ONES if left else 0):
                await self._parts.clock.sleep(1.0)
                left -= self._hand_on(left)

    async def hand_on_surplus(self) -> int:
        """Say goodbye to what this server has more than its share; how many were busy."""
        count = surplus(self._server_id, await self._parts.registry.agents_of_servers())
        now = self._parts.clock.monotonic()
        _forget_older(self._handed_on, now - _SOON_BACK_SECONDS)
        _forget_older(self._stays, now - _STAYS_SECONDS)
        return count - self._hand_on(count)

    def _hand_on(self, count: int) -> int:
        """Idle ones only: the log of an order that runs would go on at the other server."""
        kept = self._handed_on.keys() | self._stays.keys()
        sessions = self._sessions.values()
        idle = (it for it in sessions if not it.is_busy and it.agent_id not in kept)
        gone = list(islice(idle, count))
        for session in gone:
            log.info("agent handed on", action="agent_handed_on", agent=session.name)
            self._handed_on[session.agent_id] = self._parts.clock.monotonic()
            session.say_goodbye(retry_after=0.0, reason="another server has fewer agents")
        return len(gone)

    async def fetch_promised(self) -> None:
        """Have every agent here fetch what it has not acknowledged; what was sent is not resent."""
        for agent_id in await self._parts.registry.promised():
            self.fetch_for(agent_id)

    def fetch_for(self, agent_id: AgentId) -> None:
        """The database may hold promises for this agent."""
        session = self._sessions.get(agent_id)
        if session is not None:
            session.fetch()

    def shut_out(self, agent_id: AgentId) -> None:
        """The agent was revoked: end its link at once."""
        session = self._sessions.get(agent_id)
        if session is not None:
            session.close(CloseCode.REVOKED, "this agent was revoked")

    @property
    def connected(self) -> int:
        """How many agents are here."""
        return len(self._sessions)

    async def _stay_with(self, admitted: AdmittedAgent) -> None:
        session = AgentSession(admitted, self._parts)
        before = self._sessions.get(session.agent_id)
        self._sessions[session.agent_id] = session
        self._came += 1
        now = self._parts.clock.monotonic()
        if now - self._handed_on.get(session.agent_id, -_STAYS_SECONDS) < _SOON_BACK_SECONDS:
            self._stays[session.agent_id] = now
        if before is not None:
            before.close(CloseCode.REPLACED, "the agent came back on another link")
        try:
            with Bulkhead(log, "session broke", action="session_broke", agent=session.name):
                await session.run()
        finally:
            # Only the last session of an agent takes it offline.
            if self._sessions.get(session.agent_id) is session:
                del self._sessions[session.agent_id]
                self._parts.news.departed(session.agent_id)

    async def _another_answers(self, agent_id: AgentId, instance: str) -> bool:
        session = self._sessions.get(agent_id)
        if session is None or session.instance == instance:
            return False
        return await session.answers()

    async def _close_if_revoked(self, session: AgentSession) -> None:
        try:
            agent = await self._parts.registry.agent(session.agent_id)
        except Unavailable:
            return  # the next announcement or the next connect finds out
        if agent is None or agent.revoked_at is not None:
            self.shut_out(session.agent_id)

    def _say_goodbye(self) -> None:
        spread = len(self._sessions) / _RETURNS_PER_SECOND
        for session in self._sessions.values():
            session.say_goodbye(retry_after=jittered(spread / 2, by=1.0))


def _forget_older(moments: dict[AgentId, float], oldest: float) -> None:
    for agent_id in [it for it, moment in moments.items() if moment < oldest]:
        del moments[agent_id]
