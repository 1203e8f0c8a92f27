"""What agents last saw live, and what an agent shall look at: the live releases of its targets."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_

from boreas.domain.deployments import Deployment, DeploymentState, Origin
from boreas.domain.drift import Observation
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import AgentId, ApplicationId, EnvironmentId, ProjectId, TargetId
from boreas.store import dialects, loading, tables
from boreas.store.loading import live_record
from boreas.store.mapping import Form, document_of
from boreas.store.release_tables import observations
from boreas.store.unit import Unit

_OBSERVATION = Form(Observation)
# Far more than are needed to find the newest of each application.
_LOOKED_THROUGH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedPlace:
    """One live release on one of an agent's targets, with the names around it."""

    live: LiveRecord
    target: str
    environment_id: EnvironmentId
    environment: str
    project_id: ProjectId
    project: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The last deployment that was to bring an application into an environment and was not undone.

    `version_id` is None when it was a way back: what is live is then what is wanted.
    """

    deployment_id: str
    number: int
    version_id: str | None
    version: str
    at: datetime | None


class SqlObservations:
    """One row per application and target; only the last look is kept."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def in_environment(self, environment_id: str) -> Sequence[Observation]:
        """The last look at each place of it."""
        query = select(observations.c.document).where(
            observations.c.environment_id == environment_id
        )
        rows = await self._unit.connection.execute(query)
        return [_OBSERVATION.value(document) for (document,) in rows]

    async def at(
        self, places: Collection[tuple[ApplicationId, TargetId]]
    ) -> dict[tuple[ApplicationId, TargetId], Observation]:
        """The last look at each of these places."""
        key = tuple_(observations.c.application_id, observations.c.target_id)
        query = select(observations.c.document).where(key.in_(list(places)))
        rows = await self._unit.connection.execute(query)
        found = [_OBSERVATION.value(document) for (document,) in rows]
        return {(it.application_id, it.target_id): it for it in found}

    async def put(self, seen: Sequence[Observation]) -> None:
        """The newest look at each of these places; in one order for all servers."""
        rows = [
            {
                "application_id": it.application_id,
                "target_id": it.target_id,
                "environment_id": it.environment_id,
                "at": it.at,
                "document": document_of(it),
            }
            for it in sorted(seen, key=lambda it: (it.application_id, it.target_id))
        ]
        await dialects.upsert_many(self._unit.connection, observations, rows)

    async def watched(self, agent_ids: Collection[AgentId]) -> dict[AgentId, list[WatchedPlace]]:
        """What these agents shall look at."""
        await self._unit.pending.flush()
        live, targets, agents = tables.live_records, tables.targets, tables.agents
        environments, projects = tables.environments, tables.projects
        query = (
            select(
                live,
                targets.c.name.label("target"),
                environments.c.id.label("environment_id"),
                environments.c.name.label("environment"),
                projects.c.id.label("project_id"),
                projects.c.name.label("project"),
                agents.c.id.label("agent_id"),
                agents.c.name.label("agent"),
            )
            .join_from(live, targets, targets.c.id == live.c.target_id)
            .join(environments, environments.c.id == targets.c.environment_id)
            .join(projects, projects.c.id == environments.c.project_id)
            .join(agents, agents.c.id == targets.c.agent_id)
            .where(targets.c.agent_id.in_(agent_ids), live.c.release_id.is_not(None))
        )
        found: dict[AgentId, list[WatchedPlace]] = {agent_id: [] for agent_id in agent_ids}
        for row in await self._unit.connection.execute(query):
            place = WatchedPlace(
                live=live_record(row),
                target=row.target,
                environment_id=row.environment_id,
                environment=row.environment,
                project_id=row.project_id,
                project=row.project,
                agent=row.agent,
            )
            found[row.agent_id].append(place)
        return found

    async def wishes(self, environment_id: str) -> dict[ApplicationId, Wish]:
        """By application: what was last wanted in the environment, as far as anything was."""
        await self._unit.pending.flush()
        heads, places = tables.deployments, tables.deployment_applications
        kept = (DeploymentState.SUCCESS.value, DeploymentState.FAILED.value)
        query = (
            select(heads.c.document, heads.c.version_name, places.c.application_id)
            .join_from(heads, places, places.c.deployment_id == heads.c.id)
            .where(heads.c.environment_id == environment_id, heads.c.state.in_(kept))
            .where(heads.c.origin != Origin.BUILD.value)
            .order_by(heads.c.number.desc())
            .limit(_LOOKED_THROUGH)
        )
        found: dict[ApplicationId, Wish] = {}
        for document, version, application_id in await self._unit.connection.execute(query):
            if application_id not in found:
                found[application_id] = _wish(loading.DEPLOYMENT.value(document), version)
        return found


def _wish(deployment: Deployment, version: str) -> Wish:
    is_way_back = deployment.rollback_of is not None
    return Wish(
        deployment_id=deployment.id,
        number=deployment.number,
        version_id=None if is_way_back else deployment.version_id,
        version=version,
        at=deployment.created_at,
    )
