"""The registry of agents, and the tokens that let agents in."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, delete, func, literal, select, update

from boreas.domain.errors import Conflict, Unauthenticated
from boreas.domain.fleet import Agent, EnrolToken
from boreas.domain.ids import AgentId, ServerId
from boreas.store import dialects, shelves, tables, usage
from boreas.store.columns import UtcTime
from boreas.store.mapping import Form, document_of
from boreas.store.nouns import WANTED, SqlNoun, not_found
from boreas.store.unit import Unit

_FACTS = Form(dict[str, Any])


class SqlAgents(SqlNoun[Agent]):
    """Agents by name. `online` is looked up: a link to a server whose lease still runs."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.AGENTS)

    async def with_key(self, key_sha256: str) -> Agent | None:
        """The agent that was enrolled with this public key."""
        query = self._once("with key", lambda: self._where("key_sha256"))
        return await self._first(query, {WANTED: key_sha256})

    async def called(self, name_or_id: str) -> Agent | None:
        """By id, else by name."""
        return await self.find(name_or_id) or await self.named(name_or_id)

    async def unfinished(self, ids: Collection[AgentId]) -> Mapping[AgentId, int]:
        """How many executions wait for each of these agents or run on it; none is left out."""
        table = tables.executions
        query = select(table.c.agent_id, func.count()).where(
            table.c.agent_id.in_(ids), ~table.c.final
        )
        rows = await self._connection.execute(query.group_by(table.c.agent_id))
        return {AgentId(agent_id): int(count) for agent_id, count in rows}

    async def revoke(self, agent_id: AgentId, now: datetime) -> None:
        """Its certificate counts no more; who is already revoked stays so since then."""
        agents = self._table
        changed = await self._connection.execute(
            update(agents)
            .where(agents.c.id == agent_id)
            .values(revoked_at=func.coalesce(agents.c.revoked_at, literal(now, UtcTime)))
        )
        if changed.rowcount == 0:
            raise not_found(self._shelf, agent_id)

    async def remove(self, key: str) -> None:
        """And the promises to it; `Conflict` while a target or an active deployment needs it."""
        await self._unit.pending.flush()
        connection, targets, outbox = self._connection, tables.targets, tables.outbox
        await usage.lock_row(connection, self._table, key)
        used = usage.with_execution(agent_id=key, final=False)
        await usage.refuse_if_active(connection, "agent", used)
        reached = select(targets.c.name).where(targets.c.agent_id == key).order_by(targets.c.name)
        target = await connection.scalar(reached.limit(1))
        if target is not None:
            raise reaches(str(target))
        await connection.execute(delete(outbox).where(outbox.c.agent_id == key))
        await super().remove(key)

    def _select(self) -> Select[Any]:
        agents, servers = tables.agents, tables.servers
        alive = and_(
            servers.c.id == agents.c.server_id,
            servers.c.lease_until > dialects.clock(self._connection),
        )
        return select(agents, servers.c.id.label("live_server_id")).join_from(
            agents, servers, alive, isouter=True
        )

    def _value(self, row: Any) -> Agent:
        fixed = self._form.value(row.document)
        return Agent(
            id=fixed.id,
            name=fixed.name,
            labels=fixed.labels,
            version=fixed.version,
            key_sha256=row.key_sha256,
            enrolled_at=fixed.enrolled_at,
            enrolled_by=fixed.enrolled_by,
            online=row.live_server_id is not None,
            server_id=None if row.live_server_id is None else ServerId(row.live_server_id),
            connected_at=row.connected_at,
            last_seen_at=row.last_seen_at,
            address=row.address,
            transport=row.transport,
            revoked_at=row.revoked_at,
            facts=_FACTS.value(row.facts),
        )

    def _row(self, value: Agent) -> dict[str, Any]:
        """Only what people and enrolment set; the link's columns belong to the links."""
        return {
            "id": value.id,
            "name": value.name,
            "key_sha256": value.key_sha256,
            "revoked_at": value.revoked_at,
            "document": document_of(value),
        }


class SqlEnrolTokens(SqlNoun[EnrolToken]):
    """Tokens that let agents in, known by the hash of their secret."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.ENROL_TOKENS)

    async def use(self, secret_sha256: str, now: datetime) -> EnrolToken:
        """Use it once; `Unauthenticated` if it is unknown, used up or too old.

        One statement decides: of any number of uses at the same time, no more than allowed pass.
        """
        tokens = self._table
        used = (
            update(tokens)
            .where(
                tokens.c.secret_sha256 == secret_sha256,
                tokens.c.uses_left > 0,
                tokens.c.expires_at > now,
            )
            .values(uses_left=tokens.c.uses_left - 1)
            .returning(tokens.c.document, tokens.c.uses_left)
        )
        row = (await self._connection.execute(used)).first()
        if row is None:
            raise Unauthenticated("This enrol token is unknown, used up or too old.")
        return self._value(row)


def reaches(target: str) -> Conflict:
    """A target would be left without its agent."""
    return Conflict(
        f"This agent is how target `{target}` is reached; remove that target or give it another "
        "agent first. To only shut the agent out, revoke it.",
        parameters={"target": target},
    )
