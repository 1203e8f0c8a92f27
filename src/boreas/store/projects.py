"""Projects and what they own, with what goes along when one is removed.

Removing a project takes its applications, environments, targets, versions and finished deployments
with it (foreign keys do most of it). Nothing that an active deployment uses can be removed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, delete, select, text, update

from boreas.domain.errors import Conflict, InvalidInput
from boreas.domain.fleet import LiveRecord, Target
from boreas.domain.ids import ProjectId
from boreas.domain.permissions import Sight
from boreas.domain.projects import Application, Block, Environment, Project, Version
from boreas.store import dialects, shelves, tables, usage
from boreas.store.loading import live_record
from boreas.store.mapping import document_of
from boreas.store.members import seen_projects
from boreas.store.nouns import SqlNoun
from boreas.store.paging import USUAL_PER_PAGE, Page
from boreas.store.plain_reads import rows
from boreas.store.release_tables import observations
from boreas.store.secrets import SqlSecrets
from boreas.store.unit import Unit

VERSION_COUNTER: Final = "version_sequence"
_LIVE: Final = (
    select(tables.live_records)
    .where(
        tables.live_records.c.target_id.in_(
            select(tables.targets.c.id).where(
                tables.targets.c.environment_id == bindparam("environment")
            )
        )
    )
    .order_by(tables.live_records.c.application_id, tables.live_records.c.target_id)
)


class SqlProjects(SqlNoun[Project]):
    """Projects by name."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.PROJECTS)

    async def seen(
        self, sight: Sight, *, cursor: str | None = None, limit: int = USUAL_PER_PAGE
    ) -> Page[Project]:
        """A page of those that somebody sees, by name."""
        shown = seen_projects(sight, self._table.c.id)
        return await self.page(cursor=cursor, limit=limit, only=shown)

    async def remove(self, key: str) -> None:
        """With everything below it; `Conflict` while one of its deployments is active."""
        await self._unit.pending.flush()
        await usage.lock_row(self._connection, self._table, key)
        mine = tables.deployments.c.project_id == key
        await usage.refuse_if_active(self._connection, "project", mine)
        environments = tables.environments
        here = select(environments.c.id).where(environments.c.project_id == key)
        await forget_promises(self._unit, mine)
        await forget_live_in(self._unit, tables.targets.c.environment_id.in_(here))
        await SqlSecrets(self._unit).remove_in(ProjectId(key))
        await super().remove(key)


class SqlApplications(SqlNoun[Application]):
    """Applications in their project's order."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.APPLICATIONS)

    async def _numbered(self, value: Application) -> Application:
        """At the end of the project's list."""
        return replace(value, position=await self._next_position(value.project_id))

    async def remove(self, key: str) -> None:
        """And what is known to be live of it; `Conflict` while a deployment brings it."""
        await self._unit.pending.flush()
        await usage.lock_row(self._connection, self._table, key)
        await usage.refuse_if_active(self._connection, "application", usage.of_application(key))
        live = tables.live_records
        await self._connection.execute(delete(live).where(live.c.application_id == key))
        await self._connection.execute(
            delete(observations).where(observations.c.application_id == key)
        )
        await super().remove(key)


FOR_BUILDS: Final = " builds"
"""The name of the environment in which builds of their own run; nobody can give such a name."""


# As text: these statements are kept, and take only the parameters that they are asked with.
_LISTED: Final = text(f"environments.name != '{FOR_BUILDS}'")


class SqlEnvironments(SqlNoun[Environment]):
    """Environments by name."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.ENVIRONMENTS)

    def _inside(self, parent: str | None) -> ColumnElement[bool]:
        return super()._inside(parent) & (self._table.c.name != FOR_BUILDS)

    def _within(self, query: Select[Any], parent: str | None) -> Select[Any]:
        return super()._within(query, parent).where(_LISTED)

    async def for_builds(self, project_id: str) -> Environment | None:
        """Where the project's builds of their own run; no list shows it."""
        table = self._table
        hidden = (table.c.project_id == project_id) & (table.c.name == FOR_BUILDS)
        row = (await self._connection.execute(self._select().where(hidden))).first()
        return None if row is None else self._value(row)

    async def remove(self, key: str) -> None:
        """With its targets and finished deployments; `Conflict` while one is active."""
        await self._unit.pending.flush()
        await usage.lock_row(self._connection, self._table, key)
        mine = tables.deployments.c.environment_id == key
        await usage.refuse_if_active(self._connection, "environment", mine)
        await forget_promises(self._unit, mine)
        await forget_live_in(self._unit, tables.targets.c.environment_id == key)
        await super().remove(key)

    async def live(self, environment_id: str) -> Sequence[LiveRecord]:
        """What is live on the environment's targets, as far as known."""
        await self._unit.pending.flush()
        found = await rows(self._connection, _LIVE, {"environment": environment_id})
        return [live_record(row) for row in found]


class SqlTargets(SqlNoun[Target]):
    """Targets in their stored order: canaries are counted from the first."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.TARGETS)

    async def _numbered(self, value: Target) -> Target:
        """At the end of the environment's list."""
        return replace(value, position=await self._next_position(value.environment_id))

    async def in_order(self, environment_id: str, ids: Sequence[str]) -> None:
        """Store this order; `InvalidInput` unless it names each target of the environment once."""
        present: dict[str, Target] = {
            target.id: target for target in await self.all(within=environment_id)
        }
        if sorted(ids) != sorted(present):
            raise InvalidInput("The order must name every target of the environment once.")
        for position, target_id in enumerate(ids):
            moved = replace(present[target_id], position=position)
            await self._connection.execute(
                update(self._table)
                .where(self._table.c.id == target_id)
                .values(position=position, document=document_of(moved))
            )

    async def remove(self, key: str) -> None:
        """And what is known to be live there; `Conflict` while a deployment changes it."""
        await self._unit.pending.flush()
        await usage.lock_row(self._connection, self._table, key)
        used = usage.with_execution(target_id=key)
        await usage.refuse_if_active(self._connection, "target", used)
        await forget_live_in(self._unit, tables.targets.c.id == key)
        await super().remove(key)


class SqlVersions(SqlNoun[Version]):
    """Versions, the newest first. They never change and go only with their project."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.VERSIONS)

    async def _numbered(self, value: Version) -> Version:
        return replace(value, sequence=await dialects.count_up(self._connection, VERSION_COUNTER))

    async def mark(self, version_id: str, blocked: Block | None) -> Version:
        """Note that it is bad, or is no longer: the one thing about a version that may change."""
        await usage.lock_row(self._connection, self._table, version_id)
        marked = replace(await self.get(version_id), blocked=blocked)
        row = update(self._table).where(self._table.c.id == version_id)
        await self._connection.execute(row.values(document=document_of(marked)))
        return marked

    async def change(self, value: Version) -> None:
        """Refused: what was deployed must stay what it was."""
        raise Conflict("A version cannot be changed; create a new one.")

    async def remove(self, key: str) -> None:
        """Refused: history points at it."""
        raise Conflict("A version cannot be removed; it goes with its project.")


async def forget_live_in(unit: Unit, of_targets: ColumnElement[bool]) -> None:
    """What was known to be live on these targets, and what was seen there."""
    live, targets = tables.live_records, tables.targets
    gone = select(targets.c.id).where(of_targets)
    await unit.connection.execute(delete(live).where(live.c.target_id.in_(gone)))
    await unit.connection.execute(delete(observations).where(observations.c.target_id.in_(gone)))


async def forget_promises(unit: Unit, of_deployments: ColumnElement[bool]) -> None:
    """Outbox rows of finished deployments that go."""
    outbox = tables.outbox
    gone = select(tables.deployments.c.id).where(of_deployments)
    await unit.connection.execute(delete(outbox).where(outbox.c.deployment_id.in_(gone)))
