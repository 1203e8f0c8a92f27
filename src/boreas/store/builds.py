"""Builds as people see them: every execution that makes an image, with what it belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select, tuple_

from boreas.domain.deployments import Execution, Origin
from boreas.domain.errors import NotFound
from boreas.domain.ids import DeploymentId, ProjectId, VersionId
from boreas.store import tables
from boreas.store.loading import EXECUTION
from boreas.store.paging import Page, at_most, key_of, page_of
from boreas.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One attempt to make an image (the document's BuildRecord); its id is the execution's."""

    execution: Execution
    project_id: ProjectId
    version_id: VersionId
    deployment_id: DeploymentId
    number: int
    """Of its deployment."""
    origin: Origin


class SqlBuilds:
    """Reads builds; they are written as executions."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def get(self, build_id: str) -> Build:
        """The one with this id; `NotFound`."""
        query = _builds().where(tables.executions.c.id == build_id)
        row = (await self._unit.connection.execute(query)).first()
        if row is None:
            raise NotFound(f"There is no build `{build_id}`.")
        return _build(row)

    async def page(self, project_id: ProjectId, *, cursor: str | None, limit: int) -> Page[Build]:
        """A project's builds, the newest first."""
        deployments, executions = tables.deployments, tables.executions
        query = _builds().where(deployments.c.project_id == project_id)
        after = key_of(cursor, (int, int))
        if after is not None:
            query = query.where(tuple_(deployments.c.number, executions.c.ordinal) < after)
        query = query.order_by(deployments.c.number.desc(), executions.c.ordinal.desc())
        limit = at_most(limit)
        rows = await self._unit.connection.execute(query.limit(limit + 1))
        found: Sequence[Build] = [_build(row) for row in rows]
        return page_of(found, [(it.number, it.execution.ordinal) for it in found], limit)


def _builds() -> Select[Any]:
    deployments, executions = tables.deployments, tables.executions
    return (
        select(
            executions.c.document,
            deployments.c.project_id,
            deployments.c.version_id,
            deployments.c.id.label("deployment_id"),
            deployments.c.number,
            deployments.c.origin,
        )
        .join_from(executions, deployments)
        .where(tables.IS_BUILD)
    )


def _build(row: Any) -> Build:
    return Build(
        execution=EXECUTION.value(row.document),
        project_id=row.project_id,
        version_id=row.version_id,
        deployment_id=row.deployment_id,
        number=row.number,
        origin=Origin(row.origin),
    )
