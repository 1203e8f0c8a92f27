"""Which agent hangs on which server, and the registry of agents."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import and_, bindparam, exists, func, select, update

from boreas.domain.delivery import CredentialUse
from boreas.domain.deployments import IN_FLIGHT, Execution
from boreas.domain.ids import AgentId, DeploymentId, ExecutionId, OrderId, ServerId
from boreas.domain.outbox import OutboxKind, Place
from boreas.domain.secrets import SecretRef
from boreas.domain.variables import NO_VARIABLES, VariableSnapshot
from boreas.store import tables
from boreas.store.loading import EXECUTION, read_releases
from boreas.store.mapping import Form, document_of
from boreas.store.unit import Unit

_SEEN = (
    update(tables.agents)
    .where(tables.agents.c.id == bindparam("at_key"))
    .values(
        last_seen_at=bindparam("at"),
        facts=func.coalesce(bindparam("new_facts"), tables.agents.c.facts),
    )
)


class _Head(msgspec.Struct):
    """What a deployment's document says of its variables."""

    variables: VariableSnapshot = NO_VARIABLES


class _Needs(NamedTuple):
    """What must be opened for an order."""

    secret_variables: Mapping[str, SecretRef]
    credentials: Mapping[str, CredentialUse]


_HEAD = Form(_Head)


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

    async def on_server(self, server_id: ServerId) -> Sequence[AgentId]:
        agents = tables.agents
        query = select(agents.c.id).where(agents.c.server_id == server_id)
        return [AgentId(id_) for (id_,) in await self._unit.connection.execute(query)]

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
        found = [(EXECUTION.value(document), owner, name) for document, owner, name in rows]
        needs = await self._needs([(execution, owner) for execution, owner, _ in found])
        return {
            execution.id: Place(
                execution_id=execution.id,
                deployment_id=owner,
                task_id=execution.task_id,
                target=name or execution.target_id,
                agent_id=execution.agent_id,
                secret_variables=needs[execution.id].secret_variables,
                credentials=needs[execution.id].credentials,
            )
            for execution, owner, name in found
        }

    async def _needs(
        self, executions: Sequence[tuple[Execution, DeploymentId]]
    ) -> Mapping[ExecutionId, _Needs]:
        """All that their orders may have got, and perhaps some more: it is for masking."""
        connection, recall = self._unit.connection, self._unit.recall
        ids = {it.release_id for it, _ in executions if it.release_id}
        releases = await read_releases(connection, recall, ids) if ids else {}
        alone = {owner for it, owner in executions if it.release_id not in releases}
        heads = {}
        if alone:
            table = tables.deployments
            query = select(table.c.id, table.c.document).where(table.c.id.in_(alone))
            heads = {
                id_: _HEAD.value(document) for id_, document in await connection.execute(query)
            }
        found = {}
        for execution, owner in executions:
            if execution.release_id is not None and execution.release_id in releases:
                body = releases[execution.release_id][0]
                of_build = {f"build {use}": it for use, it in body.build_credentials.items()}
                credentials = {**body.credentials, **of_build}
                found[execution.id] = _Needs(body.variables.secret, credentials)
            else:
                variables = heads[owner].variables if owner in heads else NO_VARIABLES
                found[execution.id] = _Needs(variables.secret, {})
        return found
