"""Which agent hangs on which server, and the registry of agents."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, exists, func, select, update

from boreas.domain.deployments import IN_FLIGHT
from boreas.domain.ids import AgentId, ExecutionId, OrderId, ServerId
from boreas.domain.outbox import OutboxKind, Place
from boreas.store import tables
from boreas.store.loading import EXECUTION
from boreas.store.mapping import document_of
from boreas.store.unit import Unit

_SEEN = (
    update(tables.agents)
    .where(tables.agents.c.id == bindparam("at_key"))
    .values(
        last_seen_at=bindparam("at"),
        facts=func.coalesce(bindparam("new_facts"), tables.agents.c.facts),
    )
)


class SqlAgentLinks:
    """Implements `boreas.runtime.ports.AgentLinks`."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def connected(
        self, agent_id: AgentId, *, server_id: ServerId, address: str, transport: str, now: datetime
    ) -> None:
        agents = tables.agents
        link: dict[str, Any] = {
            "server_id": server_id,
            "address": address,
            "transport": transport,
            "connected_at": now,
            "last_seen_at": now,
        }
        await self._unit.connection.execute(
            update(agents).where(agents.c.id == agent_id).values(link)
        )

    async def disconnected(
        self, agent_ids: Collection[AgentId], *, server_id: ServerId, now: datetime
    ) -> None:
        agents = tables.agents
        await self._unit.connection.execute(
            update(agents)
            .where(agents.c.id.in_(agent_ids), agents.c.server_id == server_id)
            .values(server_id=None, disconnected_at=now)
        )

    async def seen(
        self, facts: Mapping[AgentId, Mapping[str, object] | None], now: datetime
    ) -> None:
        rows = [
            {
                "at_key": agent_id,
                "at": now,
                "new_facts": None if news is None else document_of(news),
            }
            for agent_id, news in sorted(facts.items())
        ]
        if rows:
            await self._unit.connection.execute(_SEEN, rows)

    async def revoked_at(self, server_id: ServerId) -> Sequence[AgentId]:
        """Agents that hang on this server although they were revoked."""
        agents = tables.agents
        query = select(agents.c.id).where(
            agents.c.server_id == server_id, agents.c.revoked_at.is_not(None)
        )
        return [AgentId(id_) for (id_,) in await self._unit.connection.execute(query)]

    async def unfinished_orders(self, agent_id: AgentId) -> Sequence[OrderId]:
        await self._unit.pending.flush()
        executions, outbox = tables.executions, tables.outbox
        on_its_way = exists().where(
            and_(
                outbox.c.order_id == executions.c.order_id,
                outbox.c.kind == OutboxKind.ORDER.value,
            )
        )
        query = (
            select(executions.c.order_id)
            .where(executions.c.agent_id == agent_id, ~executions.c.final)
            .where(executions.c.state.in_([state.value for state in IN_FLIGHT]), ~on_its_way)
            .order_by(executions.c.deployment_id, executions.c.ordinal)
        )
        return [order_id for (order_id,) in await self._unit.connection.execute(query)]

    async def places(self, ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Place]:
        """Where these executions belong; unknown ones are left out."""
        await self._unit.pending.flush()
        executions, targets = tables.executions, tables.targets
        query = select(executions.c.document, executions.c.deployment_id, targets.c.name).join_from(
            executions, targets, targets.c.id == executions.c.target_id, isouter=True
        )
        rows = await self._unit.connection.execute(query.where(executions.c.id.in_(ids)))
        return {
            execution.id: Place(
                execution_id=execution.id,
                deployment_id=deployment_id,
                task_id=execution.task_id,
                target=name or execution.target_id,
                agent_id=execution.agent_id,
            )
            for execution, deployment_id, name in (
                (EXECUTION.value(document), deployment_id, name)
                for document, deployment_id, name in rows
            )
        }
