"""Releases by what they bring: which version succeeded where, and what it was resolved to."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import select

from boreas.domain.builds import BuiltImage
from boreas.domain.deployments import DeploymentState, Task
from boreas.domain.ids import ApplicationId, DeploymentId, EnvironmentId, ReleaseId
from boreas.domain.orders import ReleaseBody
from boreas.domain.promotion import Succeeded
from boreas.store import images, loading, tables
from boreas.store.unit import Unit

# Comparing versions looks for the newest deployment of each; one that old says nothing any more.
_LOOKED_THROUGH: Final = 200


class SqlReleases:
    """What was frozen for deployments, and where it went."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def bodies(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, ReleaseBody]:
        """These releases, whole; unknown ids are left out."""
        unit = self._unit
        found = await loading.read_releases(unit.connection, unit.recall, ids)
        return {id_: body for id_, (body, _) in found.items()}

    async def built(self, ids: Collection[ReleaseId]) -> Mapping[ReleaseId, BuiltImage]:
        """The images that were built for these releases."""
        return await images.of_releases(self._unit.connection, ids)

    async def succeeded(self, version_id: str) -> Succeeded:
        """Environment -> its applications that succeeded in it and were not taken back."""
        await self._unit.pending.flush()
        heads, places = tables.deployments, tables.deployment_applications
        over = heads.c.state == DeploymentState.SUCCESS.value
        query = select(heads.c.document).where(heads.c.version_id == version_id, over)
        rows = await self._unit.connection.execute(query)
        # A way back bears the version that it took away.
        ended = [loading.DEPLOYMENT.value(document) for (document,) in rows]
        taken_back = {it.rollback_of for it in ended}
        good = [it.id for it in ended if it.rollback_of is None and it.id not in taken_back]
        columns = select(places.c.environment_id, places.c.application_id)
        found: dict[EnvironmentId, set[ApplicationId]] = {}
        for environment_id, application_id in await self._unit.connection.execute(
            columns.where(places.c.deployment_id.in_(good))
        ):
            found.setdefault(environment_id, set()).add(application_id)
        return found

    async def newest_task(
        self, project_id: str, task_id: str, environment_id: str | None = None
    ) -> tuple[Task, DeploymentId] | None:
        """The task of this id in the newest deployment (into this environment) that has one."""
        await self._unit.pending.flush()
        deployments, tasks = tables.deployments, tables.tasks
        query = (
            select(tasks.c.document, deployments.c.id)
            .join_from(tasks, deployments, deployments.c.id == tasks.c.deployment_id)
            .where(tasks.c.id == task_id, deployments.c.project_id == project_id)
            .order_by(deployments.c.number.desc())
            .limit(1)
        )
        if environment_id is not None:
            query = query.where(deployments.c.environment_id == environment_id)
        row = (await self._unit.connection.execute(query)).first()
        return None if row is None else (loading.TASK.value(row.document), row.id)

    async def newest_of(
        self, version_id: str, environment_id: str | None = None
    ) -> Mapping[ApplicationId, ReleaseBody]:
        """The newest release of each application in this version (in this environment)."""
        deployments, releases = tables.deployments, tables.releases
        query = (
            select(releases.c.id)
            .join_from(releases, deployments, deployments.c.id == releases.c.deployment_id)
            .where(deployments.c.version_id == version_id)
            .order_by(deployments.c.number.desc())
            .limit(_LOOKED_THROUGH)
        )
        if environment_id is not None:
            query = query.where(deployments.c.environment_id == environment_id)
        ids = [ReleaseId(id_) for (id_,) in await self._unit.connection.execute(query)]
        bodies = await self.bodies(ids)
        found: dict[ApplicationId, ReleaseBody] = {}
        for id_ in ids:
            found.setdefault(bodies[id_].application_id, bodies[id_])
        return found
