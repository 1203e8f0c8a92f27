"""Deployments for people: created, looked at, listed, with their history."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Insert, Select, Table, bindparam, insert, select

from boreas.domain.builds import is_builder
from boreas.domain.deployments import Deployment, DeploymentState, Origin
from boreas.domain.errors import NotFound
from boreas.domain.events import Event, Notice
from boreas.domain.ids import DeploymentId, ReleaseId
from boreas.domain.orders import ReleaseBody
from boreas.domain.permissions import EVERYTHING, Sight
from boreas.engine.snapshot import Admission, ReleaseView
from boreas.store import dialects, loading, tables
from boreas.store.mapping import Form, document_of
from boreas.store.members import seen_projects
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.store.plain_reads import rows, write
from boreas.store.saving import deployment_columns, execution_row, task_row
from boreas.store.unit import Unit

NUMBER_COUNTER: Final = "deployment_number"
_NOTICE = Form(Notice)

# Built once: every new deployment asks these, and building costs more than answering.
_VERSION: Final = select(tables.versions.c.name, tables.versions.c.sequence).where(
    tables.versions.c.id == bindparam("wanted")
)


@cache
def _held(table: Table, dialect: str) -> Select[Any]:
    here = dialects.one_of(dialect, table.c.id, "ids")
    found = select(table.c.id).where(here).order_by(table.c.id)
    return found.with_for_update(read=True, key_share=True)


@cache
def _adding(table: Table) -> Insert:
    return insert(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deployments a list shows; what is left out does not matter."""

    project_id: str | None = None
    environment_id: str | None = None
    application_id: str | None = None
    version_id: str | None = None
    states: Collection[DeploymentState] = ()
    active: bool | None = None
    sight: Sight = EVERYTHING
    """Whose list it is."""
    text: str = ""
    """In the number (`#12`), the version's name, who asked, or the id."""


class SqlDeployments:
    """All deployments there ever were."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def create(
        self,
        deployment: Deployment,
        releases: Sequence[ReleaseBody],
        views: Sequence[ReleaseView],
        *,
        wake_at: datetime | None,
    ) -> Deployment:
        """Store a new one with its frozen releases; the answer carries its number.

        `NotFound` if its project, environment or version is not there (any more).
        """
        connection = self._unit.connection
        version = await self._version(deployment)
        await self._hold_what_it_uses(deployment)
        number = await dialects.count_up(connection, NUMBER_COUNTER)
        stored = replace(deployment, number=number)
        head = {
            "id": stored.id,
            "number": number,
            "project_id": stored.project_id,
            "environment_id": stored.environment_id,
            "version_id": stored.version_id,
            "version_name": version.name,
            "version_sequence": version.sequence,
            "origin": stored.origin.value,
            "due_at": wake_at,
            "search": search_text(stored, version.name),
            **deployment_columns(stored),
        }
        await write(connection, _adding(tables.deployments), [head])
        await self._add_parts(stored)
        await self._add_releases(stored, releases, views)
        self._unit.locked[stored.id] = stored.revision
        self._unit.saved[stored.id] = stored
        return stored

    async def _version(self, deployment: Deployment) -> Any:
        asked = {"wanted": deployment.version_id}
        found = await rows(self._unit.connection, _VERSION, asked)
        if not found:
            raise NotFound(f"There is no version `{deployment.version_id}`.")
        return found[0]

    async def _hold_what_it_uses(self, deployment: Deployment) -> None:
        """Nobody removes these before our commit, and then sees us."""
        targets = {e.target_id for e in deployment.executions if not is_builder(e.target_id)}
        used: dict[Table, list[str]] = {
            tables.applications: sorted(deployment.application_ids),
            tables.targets: sorted(targets),
            tables.agents: sorted({e.agent_id for e in deployment.executions}),
        }
        for table, ids in used.items():
            present = await self._held(table, ids)
            if missing := [id_ for id_ in ids if id_ not in present]:
                raise NotFound(f"There is no {table.name.removesuffix('s')} `{missing[0]}`.")

    async def _held(self, table: Table, ids: Sequence[str]) -> frozenset[str]:
        connection = self._unit.connection
        asked = {"ids": dialects.listed(connection, ids)}
        return frozenset(
            row.id for row in await rows(connection, _held(table, connection.dialect.name), asked)
        )

    async def _add_parts(self, deployment: Deployment) -> None:
        places = [
            {
                "deployment_id": deployment.id,
                "application_id": app,
                "environment_id": deployment.environment_id,
            }
            for app in deployment.application_ids
        ]
        tasks = [task_row(deployment.id, n, task) for n, task in enumerate(deployment.tasks)]
        executions = [execution_row(deployment.id, e) for e in deployment.executions]
        await self._insert(tables.deployment_applications, places)
        await self._insert(tables.tasks, tasks)
        await self._insert(tables.executions, executions)

    async def _add_releases(
        self,
        deployment: Deployment,
        releases: Sequence[ReleaseBody],
        views: Sequence[ReleaseView],
    ) -> None:
        seen = {view.id: view for view in views}
        bodies = [
            {
                "id": body.release_id,
                "deployment_id": deployment.id,
                "view": document_of(seen[body.release_id]),
                "document": document_of(body),
            }
            for body in releases
        ]
        await self._insert(tables.releases, bodies)

    async def _insert(self, table: Table, given: Sequence[Mapping[str, Any]]) -> None:
        await write(self._unit.connection, _adding(table), given)

    async def get(self, deployment_id: DeploymentId) -> Deployment:
        """The whole of it; `NotFound`."""
        await self._unit.pending.flush()
        found = await loading.read_deployments(self._unit.connection, [deployment_id])
        if deployment_id not in found:
            raise NotFound(f"There is no deployment `{deployment_id}`.")
        return found[deployment_id]

    async def page(
        self,
        wanted: Wanted,
        *,
        cursor: str | None = None,
        limit: int = USUAL_PER_PAGE,
        whole: bool = False,
    ) -> Page[Deployment]:
        """The newest first; without tasks and executions unless `whole`."""
        await self._unit.pending.flush()
        table = tables.deployments
        query = select(table.c.document).where(*_conditions(wanted)).order_by(table.c.number.desc())
        before = key_of(cursor, (int,))
        if before is not None:
            query = query.where(table.c.number < before[0])
        limit = at_most(limit)
        heads = await self._heads(query.limit(limit + 1))
        page = page_of(heads, [(head.number,) for head in heads], limit)
        if not whole:
            return page
        found = await loading.read_deployments(
            self._unit.connection, [head.id for head in page.items]
        )
        return replace(page, items=tuple(found[head.id] for head in page.items))

    async def _heads(self, query: Select[Any]) -> list[Deployment]:
        rows = await self._unit.connection.execute(query)
        return [loading.DEPLOYMENT.value(document) for (document,) in rows]

    async def admissions(
        self, deployments: Sequence[Deployment]
    ) -> Mapping[DeploymentId, Admission]:
        """How each stands in its queue at this moment."""
        await self._unit.pending.flush()
        policies = await loading.read_policies(self._unit.connection, deployments)
        return await loading.read_admissions(self._unit.connection, deployments, policies)

    async def release_views(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseView]:
        """What the engine may know of these releases."""
        unit = self._unit
        found = await loading.read_releases(unit.connection, unit.recall, ids)
        return {id_: view for id_, (_, view) in found.items()}

    async def events(
        self, deployment_id: DeploymentId, *, after: int = 0, limit: int = 500
    ) -> Sequence[Event]:
        """What happened, oldest first, with a sequence above `after`."""
        await self._unit.pending.flush()
        table = tables.events
        query = (
            select(table)
            .where(table.c.deployment_id == deployment_id, table.c.sequence > after)
            .order_by(table.c.sequence)
            .limit(at_most(limit))
        )
        return [
            Event(
                deployment_id=DeploymentId(row.deployment_id),
                sequence=row.sequence,
                at=row.at,
                notice=_NOTICE.value(row.document),
            )
            for row in await self._unit.connection.execute(query)
        ]


def search_text(deployment: Deployment, version: str) -> str:
    """What the text filter looks into."""
    words = (f"#{deployment.number}", version, deployment.created_by, deployment.id)
    return " ".join(words).lower()


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    table, places = tables.deployments, tables.deployment_applications
    named = ("project_id", "environment_id", "version_id")
    found = [table.c[n] == getattr(wanted, n) for n in named if getattr(wanted, n) is not None]
    if wanted.application_id is not None:
        of_it = places.c.application_id == wanted.application_id
        found.append(table.c.id.in_(select(places.c.deployment_id).where(of_it)))
    if wanted.states:
        found.append(table.c.state.in_([state.value for state in wanted.states]))
    if wanted.active is not None:
        found.append(~table.c.final if wanted.active else table.c.final)
    found.append(table.c.origin != Origin.BUILD.value)
    found.extend(seen_projects(wanted.sight, table.c.project_id))
    if wanted.text:
        found.append(table.c.search.contains(wanted.text.lower(), autoescape=True))
    return found
