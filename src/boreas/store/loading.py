"""From rows to snapshots, for many deployments in a fixed number of queries."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.builds import builder_name
from boreas.domain.deployments import (
    Deployment,
    DeploymentState,
    Execution,
    ExecutionKind,
    Origin,
    Task,
)
from boreas.domain.fleet import AgentView, LiveRecord
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ReleaseId,
    TargetId,
)
from boreas.domain.orders import ReleaseBody
from boreas.domain.projects import Environment, QueuePolicy
from boreas.engine.admission import (
    Contender,
    Field,
    contender_of,
    field_of,
    is_waiting_automatic,
    standing,
)
from boreas.engine.loaded import Loaded
from boreas.engine.snapshot import Admission, ReleaseView, Snapshot, rules_of
from boreas.store import dialects, tables
from boreas.store.mapping import Form
from boreas.store.recall import Recall

DEPLOYMENT = Form(Deployment)
TASK = Form(Task)
EXECUTION = Form(Execution)
RELEASE = Form(ReleaseBody)
RELEASE_VIEW = Form(ReleaseView)
ENVIRONMENT = Form(Environment)

AnyRow = Row[*tuple[Any, ...]]
Live = Mapping[tuple[ApplicationId, TargetId], LiveRecord]
Releases = Mapping[ReleaseId, tuple[ReleaseBody, ReleaseView]]
Policies = Mapping[EnvironmentId, QueuePolicy]


async def read_deployments(
    connection: AsyncConnection, ids: Collection[DeploymentId]
) -> dict[DeploymentId, Deployment]:
    """Whole deployments; unknown ids are left out."""
    heads = select(tables.deployments.c.document).where(tables.deployments.c.id.in_(ids))
    found = [DEPLOYMENT.value(document) for (document,) in await connection.execute(heads)]
    tasks = await _read_tasks(connection, ids)
    executions = await _read_executions(connection, ids)
    return {
        head.id: replace(
            head,
            tasks=tuple(tasks.get(head.id, ())),
            executions=tuple(executions.get(head.id, ())),
        )
        for head in found
    }


async def _read_tasks(
    connection: AsyncConnection, ids: Collection[DeploymentId]
) -> dict[str, list[Task]]:
    table = tables.tasks
    query = select(table.c.deployment_id, table.c.document).where(table.c.deployment_id.in_(ids))
    found: dict[str, list[Task]] = {}
    for owner, document in await connection.execute(query.order_by(table.c.position)):
        found.setdefault(owner, []).append(TASK.value(document))
    return found


async def _read_executions(
    connection: AsyncConnection, ids: Collection[DeploymentId]
) -> dict[str, list[Execution]]:
    table = tables.executions
    query = select(table.c.deployment_id, table.c.document).where(table.c.deployment_id.in_(ids))
    found: dict[str, list[Execution]] = {}
    for owner, document in await connection.execute(query.order_by(table.c.ordinal)):
        found.setdefault(owner, []).append(EXECUTION.value(document))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What environments and projects say of themselves."""

    environments: Mapping[EnvironmentId, tuple[Environment, str]]
    """With the name of the project."""
    applications: Mapping[ApplicationId, str]
    targets: Mapping[TargetId, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything around some deployments, read at one moment."""

    names: Names
    agents: Mapping[AgentId, AgentView]
    live: Live
    releases: Releases
    own_releases: Mapping[str, Sequence[ReleaseId]]
    admissions: Mapping[DeploymentId, Admission]


async def read_world(
    connection: AsyncConnection, recall: Recall, deployments: Sequence[Deployment]
) -> World:
    """All that the snapshots of these deployments need."""
    names = await _read_names(connection, deployments)
    live = await _read_live(connection, deployments)
    releases, own = await _read_all_releases(connection, recall, deployments, live)
    return World(
        names=names,
        agents=await _read_agents(connection, deployments),
        live=live,
        releases=releases,
        own_releases=own,
        admissions=await read_admissions(connection, deployments, policies_of(names)),
    )


async def _read_names(connection: AsyncConnection, deployments: Sequence[Deployment]) -> Names:
    environments, projects = tables.environments, tables.projects
    query = select(environments.c.document, projects.c.name).join(projects)
    wanted = {d.environment_id for d in deployments}
    rows = await connection.execute(query.where(environments.c.id.in_(wanted)))
    found = [(ENVIRONMENT.value(document), name) for document, name in rows]
    apps, targets = tables.applications, tables.targets
    in_projects = apps.c.project_id.in_({d.project_id for d in deployments})
    apps_found = await connection.execute(select(apps.c.id, apps.c.name).where(in_projects))
    here = targets.c.environment_id.in_(wanted)
    targets_found = await connection.execute(select(targets.c.id, targets.c.name).where(here))
    return Names(
        environments={environment.id: (environment, name) for environment, name in found},
        applications={ApplicationId(id_): name for id_, name in apps_found},
        targets={TargetId(id_): name for id_, name in targets_found},
    )


async def _read_agents(
    connection: AsyncConnection, deployments: Sequence[Deployment]
) -> Mapping[AgentId, AgentView]:
    agents, servers = tables.agents, tables.servers
    wanted = {execution.agent_id for d in deployments for execution in d.executions}
    alive = and_(
        servers.c.id == agents.c.server_id, servers.c.lease_until > dialects.clock(connection)
    )
    query = (
        select(
            agents.c.id,
            agents.c.name,
            servers.c.id.is_not(None).label("online"),
            agents.c.connected_at,
            agents.c.disconnected_at,
            agents.c.revoked_at,
        )
        .join_from(agents, servers, alive, isouter=True)
        .where(agents.c.id.in_(wanted))
    )
    return {row.id: _agent_view(row) for row in await connection.execute(query)}


def _agent_view(row: AnyRow) -> AgentView:
    return AgentView(
        id=AgentId(row.id),
        name=row.name,
        online=bool(row.online),
        since=row.connected_at if row.online else row.disconnected_at or row.connected_at,
        revoked=row.revoked_at is not None,
    )


async def _read_live(connection: AsyncConnection, deployments: Sequence[Deployment]) -> Live:
    table = tables.live_records
    apps = {app for d in deployments for app in d.application_ids}
    targets = {execution.target_id for d in deployments for execution in d.executions}
    query = select(table).where(table.c.application_id.in_(apps), table.c.target_id.in_(targets))
    rows = await connection.execute(query)
    return {(row.application_id, row.target_id): live_record(row) for row in rows}


def live_record(row: AnyRow) -> LiveRecord:
    """The value of a row of `live_records`."""
    return LiveRecord(
        application_id=row.application_id,
        target_id=row.target_id,
        release_id=row.release_id,
        deployment_id=row.deployment_id,
        since=row.since,
        uncertain_release_id=row.uncertain_release_id,
    )


async def _read_all_releases(
    connection: AsyncConnection, recall: Recall, deployments: Sequence[Deployment], live: Live
) -> tuple[Releases, Mapping[str, Sequence[ReleaseId]]]:
    table = tables.releases
    query = select(table.c.deployment_id, table.c.id)
    rows = await connection.execute(
        query.where(table.c.deployment_id.in_([d.id for d in deployments]))
    )
    own: dict[str, list[ReleaseId]] = {}
    for owner, id_ in rows:
        own.setdefault(owner, []).append(id_)
    wanted = {release for ids in own.values() for release in ids}
    wanted |= {r for record in live.values() for r in _releases_of(record)}
    wanted |= {release for d in deployments for release in _named_by(d)}
    return await read_releases(connection, recall, wanted), own


def _named_by(deployment: Deployment) -> Iterable[ReleaseId]:
    """What its executions bring or leave; a retry points at the releases of the first one."""
    brought = {it.release_id for it in deployment.executions}
    both = brought | {it.previous_release_id for it in deployment.executions}
    return (release for release in both if release is not None)


def _releases_of(record: LiveRecord) -> Iterable[ReleaseId]:
    return (r for r in (record.release_id, record.uncertain_release_id) if r is not None)


async def read_releases(
    connection: AsyncConnection, recall: Recall, ids: Collection[ReleaseId]
) -> Releases:
    """Frozen documents, from memory where they are remembered."""
    known = {id_: release for id_ in ids if (release := recall.releases.get(id_))}
    missing = [id_ for id_ in ids if id_ not in known]
    if missing:
        table = tables.releases
        query = select(table.c.document, table.c.view).where(table.c.id.in_(missing))
        for document, view in await connection.execute(query):
            release = (RELEASE.value(document), RELEASE_VIEW.value(view))
            known[release[0].release_id] = release
            recall.releases.put(release[0].release_id, release)
    return {id_: known[id_] for id_ in ids if id_ in known}


def policies_of(names: Names) -> Policies:
    """How these environments queue."""
    return {id_: it.queue_policy for id_, (it, _) in names.environments.items()}


async def read_policies(connection: AsyncConnection, deployments: Sequence[Deployment]) -> Policies:
    """How the environments of these deployments queue."""
    table = tables.environments
    wanted = {d.environment_id for d in deployments}
    rows = await connection.execute(select(table.c.document).where(table.c.id.in_(wanted)))
    found = [ENVIRONMENT.value(document) for (document,) in rows]
    return {environment.id: environment.queue_policy for environment in found}


async def read_admissions(
    connection: AsyncConnection, deployments: Sequence[Deployment], policies: Policies
) -> Mapping[DeploymentId, Admission]:
    """How each stands in its queue."""
    field = await read_field(connection)
    newer = await read_newer_versions(connection, deployments)
    return {
        d.id: standing(
            me := contender_of(d, active=False),
            field.around(me),
            policy=policies.get(d.environment_id, QueuePolicy.QUEUE),
            newer_version=newer.get(d.id),
        )
        for d in deployments
    }


async def read_field(connection: AsyncConnection) -> Field:
    """Who holds any place, and everybody who is queued for any.

    Not narrowed to some places: locks and queue of a whole installation are short, the history of
    one place is long, and a planner that starts from the place reads all of it.
    """
    locks, all_places = tables.locks, tables.deployment_applications
    deployments = tables.deployments
    columns = (deployments.c.id, deployments.c.number, deployments.c.origin)
    held = select(locks.c.environment_id, locks.c.application_id, *columns).join_from(
        locks, deployments
    )
    queued = (
        select(all_places.c.environment_id, all_places.c.application_id, *columns)
        .join_from(deployments, all_places)
        .where(tables.IS_QUEUED)
    )
    holders = _contenders(await connection.execute(held), active=True)
    return field_of([*holders, *_contenders(await connection.execute(queued), active=False)])


def _contenders(rows: Iterable[AnyRow], *, active: bool) -> list[Contender]:
    """One for each deployment, of one row for each of its places."""
    found: dict[int, list[AnyRow]] = {}
    for row in rows:
        found.setdefault(row.number, []).append(row)
    return [
        Contender(
            deployment_id=its[0].id,
            number=number,
            places=frozenset((row.environment_id, row.application_id) for row in its),
            automatic=its[0].origin == Origin.AUTOMATIC,
            active=active,
            ready=not active,
        )
        for number, its in found.items()
    ]


async def read_newer_versions(
    connection: AsyncConnection, deployments: Sequence[Deployment]
) -> Mapping[str, str]:
    """For automatic ones that still wait: the newest version that succeeded at their places."""
    waiting = [d.id for d in deployments if is_waiting_automatic(d)]
    if not waiting:
        return {}
    mine, theirs = tables.deployment_applications, tables.deployment_applications.alias("theirs")
    me, other = tables.deployments, tables.deployments.alias("other")
    same_place = and_(
        theirs.c.environment_id == mine.c.environment_id,
        theirs.c.application_id == mine.c.application_id,
    )
    newer = and_(
        other.c.id == theirs.c.deployment_id,
        other.c.state == DeploymentState.SUCCESS.value,
        other.c.version_sequence > me.c.version_sequence,
    )
    query = (
        select(me.c.id, other.c.version_name)
        .join_from(me, mine, mine.c.deployment_id == me.c.id)
        .join(theirs, same_place)
        .join(other, newer)
        .where(me.c.id.in_(waiting))
        .order_by(other.c.version_sequence)
    )
    return {id_: name for id_, name in await connection.execute(query)}


def snapshot_of(deployment: Deployment, world: World) -> Loaded:
    """One deployment's view of the world."""
    agent_ids = {execution.agent_id for execution in deployment.executions}
    target_ids = {execution.target_id for execution in deployment.executions}
    live = {
        (app, target): world.live[app, target]
        for app in deployment.application_ids
        for target in target_ids
        if (app, target) in world.live
    }
    environment, project = world.names.environments[deployment.environment_id]
    names = world.names
    return Loaded(
        snapshot=Snapshot(
            deployment=deployment,
            admission=world.admissions[deployment.id],
            agents={id_: world.agents[id_] for id_ in agent_ids if id_ in world.agents},
            live=live,
            releases=_views(deployment, live, world),
            application_names={
                app: names.applications[app]
                for app in deployment.application_ids
                if app in names.applications
            },
            target_names={
                **{id_: names.targets[id_] for id_ in target_ids if id_ in names.targets},
                **_builder_names(deployment, world),
            },
            rules=rules_of(environment),
        ),
        project=project,
        environment=environment.name,
    )


def _builder_names(deployment: Deployment, world: World) -> Mapping[TargetId, str]:
    """Builders stand in the place of targets, and are named after their agents."""
    return {
        it.target_id: builder_name(world.agents[it.agent_id].name)
        for it in deployment.executions
        if it.kind is ExecutionKind.BUILD and it.agent_id in world.agents
    }


def _views(deployment: Deployment, live: Live, world: World) -> Mapping[ReleaseId, ReleaseView]:
    wanted = set(world.own_releases.get(deployment.id, ()))
    wanted |= {r for record in live.values() for r in _releases_of(record)}
    wanted |= set(_named_by(deployment))
    return {id_: world.releases[id_][1] for id_ in wanted if id_ in world.releases}
