"""The gateway's view of the store: each question in a transaction of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from boreas.domain.deployments import TERMINAL
from boreas.domain.errors import Conflict, NotFound
from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId, DeploymentId, ExecutionId, OrderId, ServerId
from boreas.domain.outbox import OutboxRow, Place
from boreas.runtime.ports import CHANNEL_AGENTS
from boreas.store import SqlStore, SqlTransaction


class StoreRegistry:
    """Fits `server.gateway.ports.Registry`."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def enrol(self, *, secret_sha256: str, agent: Agent, now: datetime) -> Agent:
        """Spend one use of the token and add the agent; repeatable for the same key."""
        async with self._store.transaction() as tx:
            known = await tx.agents.with_key(agent.key_sha256)
            if known is not None and known.revoked_at is None:
                return known
            token = await tx.enrol_tokens.use(secret_sha256, now)
            if known is not None:
                await _make_room(tx, known)
            namesake = await tx.agents.named(agent.name)
            if namesake is not None:
                await _make_room(tx, namesake)
            labels = {**agent.labels, **token.labels}
            enrolled = replace(agent, labels=labels, enrolled_by=token.id)
            await tx.agents.add(enrolled)
            await tx.announce(CHANNEL_AGENTS, agent.id)
            return enrolled

    async def agent(self, agent_id: AgentId) -> Agent | None:
        """The agent as it stands, revoked or not."""
        async with self._store.reading() as tx:
            return await tx.agents.find(agent_id)

    async def places(self, ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Place]:
        """The places of these executions; unknown ones are left out."""
        async with self._store.reading() as tx:
            return await tx.links.places(ids)

    async def promises(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        """Everything the agent has not acknowledged, oldest first."""
        async with self._store.reading() as tx:
            return await tx.outbox.for_agent(agent_id)

    async def promised(self) -> Collection[AgentId]:
        """Agents that have not acknowledged something."""
        async with self._store.reading() as tx:
            return await tx.outbox.agents()

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        """Orders the agent acknowledged and has not finished."""
        async with self._store.reading() as tx:
            return await tx.links.unfinished_orders(agent_id)

    async def server_addresses(self) -> Sequence[str]:
        """Where agents can reach the servers that live."""
        async with self._store.reading() as tx:
            return await tx.servers.addresses()

    async def agents_of_servers(self) -> Mapping[ServerId, int]:
        """How many agents hang on each server that lives."""
        async with self._store.reading() as tx:
            return await tx.servers.agents()

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        """Agents that hang there although they were revoked."""
        async with self._store.reading() as tx:
            return await tx.links.revoked_at(server_id)

    async def finished_among(self, ids: Collection[DeploymentId]) -> Collection[DeploymentId]:
        """Which of these deployments are final, or exist no more."""
        async with self._store.reading() as tx:
            return [each for each in ids if await _is_finished(tx, each)]


async def _make_room(tx: SqlTransaction, former: Agent) -> None:
    """A revoked agent leaves its name and key to who comes anew, and nothing else: not its id."""
    if former.revoked_at is None:
        raise Conflict(f"an agent named {former.name!r} is enrolled already")
    mark = f"revoked {former.id}"
    name, key = f"{former.name} ({mark})", f"{mark}: {former.key_sha256}"
    await tx.agents.change(replace(former, name=name, key_sha256=key))


async def _is_finished(tx: SqlTransaction, deployment_id: DeploymentId) -> bool:
    try:
        return (await tx.deployments.get(deployment_id)).state in TERMINAL
    except NotFound:
        return True
