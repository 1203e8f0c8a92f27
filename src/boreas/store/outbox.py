"""The promises to agents, kept until the agent has them.

Numbers grow for one deployment's promises in the order of its commits. Those of two deployments may
become visible out of order on PostgreSQL, so whoever sends remembers which numbers it sent, not
the highest one.
"""

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import delete, select

from boreas.domain.ids import AgentId
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.kit.values import replace
from boreas.store import dialects, tables
from boreas.store.unit import Unit

# Numbers that one transaction draws at a time: a round that starts a hundred orders asks twice,
# and what is left over is a gap that nobody minds.
NUMBERS_AT_A_TIME: Final = 50


class SqlOutbox:
    """Implements `boreas.runtime.ports.Outbox`."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def put(self, rows: Sequence[OutboxRow]) -> Sequence[OutboxRow]:
        numbers = self._unit.outbox_numbers
        if len(numbers) < len(rows):
            more = max(NUMBERS_AT_A_TIME, len(rows))
            numbers.extend(await dialects.draw(self._unit.connection, tables.OUTBOX, more))
        stored = [replace(row, id=number) for row, number in zip(rows, numbers, strict=False)]
        del numbers[: len(rows)]
        self._unit.pending.outbox(stored)
        return stored

    async def for_agent(self, agent_id: AgentId) -> Sequence[OutboxRow]:
        await self._unit.pending.flush()
        table = tables.outbox
        query = select(table).where(table.c.agent_id == agent_id).order_by(table.c.id)
        return [
            OutboxRow(
                id=row.id,
                agent_id=row.agent_id,
                kind=OutboxKind(row.kind),
                order_id=row.order_id,
                deployment_id=row.deployment_id,
                scope=row.scope,
                fence=row.fence,
                body=bytes(row.body),
            )
            for row in await self._unit.connection.execute(query)
        ]

    async def agents(self) -> Collection[AgentId]:
        await self._unit.pending.flush()
        waiting = select(tables.outbox.c.agent_id).distinct()
        return {AgentId(row.agent_id) for row in await self._unit.connection.execute(waiting)}

    async def taken(self, ids: Collection[int]) -> None:
        await self._unit.pending.flush()
        table = tables.outbox
        await self._unit.connection.execute(delete(table).where(table.c.id.in_(ids)))
