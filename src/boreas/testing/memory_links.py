"""The in-memory store's promises, servers and links of agents."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boreas.domain.deployments import IN_FLIGHT, Deployment, Execution
from boreas.domain.ids import AgentId, ExecutionId, OrderId, ServerId, TargetId
from boreas.domain.outbox import OutboxKind, OutboxRow, Place
from boreas.kit.clock import Clock
from boreas.store.servers import lost_lease
from boreas.testing.memory_tables import Draft, ServerLife


class MemoryOutbox:
    """See `boreas.runtime.ports.Outbox`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def put(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        stored = [replace(row, id=self._draft.count_up("outbox")) for row in rows]
        if stored:
            self._draft.write("outbox").update({row.id: row for row in stored})
        return stored

    async def for_agent(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        rows = [row for row in self._draft.outbox.values() if row.agent_id == agent_id]
        return sorted(rows, key=lambda row: row.id)

    async def agents(self) -> Collection[AgentId]:
        return {row.agent_id for row in self._draft.outbox.values()}

    async def taken(self, ids: Collection[int]) -> None:
        outbox = self._draft.write("outbox")
        for id_ in ids:
            outbox.pop(id_, None)


class MemoryServers:
    """See `boreas.runtime.ports.Servers`; any number of servers, as on PostgreSQL."""

    def __init__(self, draft: Draft, clock: Clock) -> None:
        self._draft = draft
        self._clock = clock

    async def register(self, server_id: ServerId, *, address: str, lease_seconds: float) -> int:
        epoch = self._draft.count_up("server_epoch")
        self._draft.write("servers")[server_id] = ServerLife(
            server_id=server_id,
            epoch=epoch,
            address=address,
            lease_until=self._after(lease_seconds),
        )
        return epoch

    def _after(self, seconds: float) -> datetime:
        return self._clock.now() + timedelta(seconds=seconds)

    async def renew(self, server_id: ServerId, epoch: int, *, lease_seconds: float) -> None:
        await self.check(server_id, epoch)
        life = self._mine(server_id, epoch)
        renewed = replace(life, lease_until=self._after(lease_seconds))
        self._draft.write("servers")[server_id] = renewed

    def _mine(self, server_id: ServerId, epoch: int) -> ServerLife:
        life: ServerLife | None = self._draft.servers.get(server_id)
        if life is None or life.epoch != epoch:
            raise lost_lease(server_id)
        return life

    async def check(self, server_id: ServerId, epoch: int) -> None:
        if self._mine(server_id, epoch).lease_until <= self._clock.now():
            raise lost_lease(server_id)

    async def bury_dead(self, now: datetime) -> Sequence[AgentId]:
        lives: Mapping[ServerId, ServerLife] = self._draft.servers
        dead = {id_ for id_, life in lives.items() if life.lease_until <= self._clock.now()}
        if not dead:
            return []
        servers = self._draft.write("servers")
        for id_ in dead:
            del servers[id_]
        return take_offline(self._draft, lambda agent: agent.server_id in dead, now)

    async def retire(self, server_id: ServerId, epoch: int) -> None:
        life = self._draft.servers.get(server_id)
        if life is not None and life.epoch == epoch:
            ended = replace(life, lease_until=self._clock.now())
            self._draft.write("servers")[server_id] = ended

    async def addresses(self) -> Sequence[str]:
        now = self._clock.now()
        alive = [life for life in self._draft.servers.values() if life.lease_until > now]
        return [life.address for life in sorted(alive, key=lambda life: life.server_id)]

    async def agents(self) -> Mapping[ServerId, int]:
        now = self._clock.now()
        alive = [it.server_id for it in self._draft.servers.values() if it.lease_until > now]
        found = Counter(agent.server_id for agent in self._draft.shelf("agents").values())
        return {server_id: found[server_id] for server_id in alive}


def take_offline(draft: Draft, gone: Any, now: datetime) -> list[AgentId]:
    """Cut the links of these agents."""
    ids = [id_ for id_, agent in draft.shelf("agents").items() if gone(agent)]
    if ids:
        agents, since = draft.write_shelf("agents"), draft.write("gone_offline")
        for id_ in ids:
            agents[id_] = replace(agents[id_], server_id=None)
            since[id_] = now
    return [AgentId(id_) for id_ in ids]


class MemoryLinks:
    """See `boreas.runtime.ports.AgentLinks`."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    async def connected(
        self, agent_id: AgentId, *, server_id: ServerId, address: str, transport: str, now: datetime
    ) -> None:
        agents = self._draft.write_shelf("agents")
        if agent_id in agents:
            agents[agent_id] = replace(
                agents[agent_id],
                server_id=server_id,
                address=address,
                transport=transport,
                connected_at=now,
                last_seen_at=now,
            )

    async def disconnected(
        self, agent_ids: Collection[AgentId], *, server_id: ServerId, now: datetime
    ) -> None:
        ours = set(agent_ids)
        take_offline(
            self._draft, lambda agent: agent.id in ours and agent.server_id == server_id, now
        )

    async def seen(
        self, facts: Mapping[AgentId, Mapping[str, object] | None], now: datetime
    ) -> None:
        agents = self._draft.write_shelf("agents")
        for agent_id, news in facts.items():
            if agent_id in agents:
                agent = agents[agent_id]
                facts_now = agent.facts if news is None else news
                agents[agent_id] = replace(agent, last_seen_at=now, facts=facts_now)

    async def on_server(self, server_id: ServerId) -> Sequence[AgentId]:
        return [it.id for it in self._draft.shelf("agents").values() if it.server_id == server_id]

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        agents = self._draft.shelf("agents").values()
        return [it.id for it in agents if it.server_id == server_id and it.revoked_at]

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        on_the_way = {
            row.order_id
            for row in self._draft.outbox.values()
            if row.kind is OutboxKind.ORDER and row.agent_id == agent_id
        }
        rows = sorted(self._draft.deployments.items())
        return [
            execution.order_id
            for _, row in rows
            for execution in row.deployment.executions
            if execution.agent_id == agent_id
            and execution.state in IN_FLIGHT
            and execution.order_id not in on_the_way
        ]

    async def places(self, ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Place]:
        return {
            execution.id: Place(
                execution_id=execution.id,
                deployment_id=execution_deployment,
                task_id=execution.task_id,
                target=self._target_name(execution.target_id),
                agent_id=execution.agent_id,
                **self._needs(execution, row.deployment),
            )
            for execution_deployment, row in self._draft.deployments.items()
            for execution in row.deployment.executions
            if execution.id in ids
        }

    def _needs(self, execution: Execution, deployment: Deployment) -> dict[str, Any]:
        """The secrets of its order."""
        release = self._draft.releases.get(execution.release_id) if execution.release_id else None
        if release is None:
            return {"secret_variables": deployment.variables.secret}
        body = release.body
        of_build = {f"build {use}": it for use, it in body.build_credentials.items()}
        credentials = {**body.credentials, **of_build}
        return {"secret_variables": body.variables.secret, "credentials": credentials}

    def _target_name(self, target_id: TargetId) -> str:
        target = self._draft.shelf("targets").get(target_id)
        return str(target.name) if target else target_id
