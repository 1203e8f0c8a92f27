"""Variables of a project, an application, an environment: read, replaced, explained."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from boreas.domain.deployments import Task
from boreas.domain.errors import NotFound
from boreas.domain.ids import ApplicationId, DeploymentId, EnvironmentId, ProjectId
from boreas.domain.projects import Environment
from boreas.domain.variables import Level, LevelKind, Origin, plain_settings, task_variables
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import V1View
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import releases_of
from boreas.server.variable_lists import Owner, put_variables
from boreas.server.variable_views import (
    ResolutionView,
    SnapshotVariableView,
    VariableBody,
    VariablesBody,
    VariablesView,
    level_view,
    resolution_view,
    snapshot_views,
)
from boreas.server.variables import named_application, named_environment, read_levels
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["variables"])
snapshots = APIRouter(prefix="/api/v1/deployments", tags=["variables"])

ListBody = VariablesBody | list[VariableBody]
"""`{"items": [...]}`, as it was got, or the list alone."""


async def _project(tx: Transaction, key: str) -> Owner:
    project = await tx.projects.get(key)
    return Owner(project_id=project.id, id=project.id, kind=LevelKind.PROJECT)


async def _application(tx: Transaction, key: str) -> Owner:
    found = await tx.applications.get(key)
    return Owner(project_id=found.project_id, id=found.id, kind=LevelKind.APPLICATION)


async def _environment(tx: Transaction, key: str) -> Owner:
    found = await tx.environments.get(key)
    return Owner(project_id=found.project_id, id=found.id, kind=LevelKind.ENVIRONMENT)


async def _shown(services: ServiceBundle, find: Any, key: str) -> VariablesView:
    async with services.store.reading() as tx:
        owner: Owner = await find(tx, key)
        return level_view(await tx.variables.all(within=owner.id))


@router.get("/projects/{project_id}/variables")
async def show_project_variables(
    project_id: ProjectId, caller: Seer, services: Services
) -> VariablesView:
    """What the project gives to all that is deployed; secrets without their values."""
    return await _shown(services, _project, project_id)


@router.put("/projects/{project_id}/variables")
async def replace_project_variables(
    project_id: ProjectId, body: ListBody, caller: Configurer, services: Services
) -> VariablesView:
    """Make this the project's whole list; deployments that exist keep their snapshot."""
    return await put_variables(services, caller, lambda tx: _project(tx, project_id), body)


@router.get("/applications/{application_id}/variables")
async def show_application_variables(
    application_id: ApplicationId, caller: Seer, services: Services
) -> VariablesView:
    """What the application gives; it lies between its project and the environment."""
    return await _shown(services, _application, application_id)


@router.put("/applications/{application_id}/variables")
async def replace_application_variables(
    application_id: ApplicationId, body: ListBody, caller: Configurer, services: Services
) -> VariablesView:
    """Make this the application's whole list; deployments that exist keep their snapshot."""
    return await put_variables(services, caller, lambda tx: _application(tx, application_id), body)


@router.get("/environments/{environment_id}/variables")
async def show_environment_variables(
    environment_id: EnvironmentId, caller: Seer, services: Services
) -> VariablesView:
    """What the environment gives; only a task's own are nearer to the target."""
    return await _shown(services, _environment, environment_id)


@router.put("/environments/{environment_id}/variables")
async def replace_environment_variables(
    environment_id: EnvironmentId, body: ListBody, caller: Configurer, services: Services
) -> VariablesView:
    """Make this the environment's whole list; deployments that exist keep their snapshot."""
    return await put_variables(services, caller, lambda tx: _environment(tx, environment_id), body)


NamedOrId = Annotated[str | None, Query(max_length=200, description="By name or id.")]


@router.get("/projects/{project_id}/variables/resolved")
async def resolve_variables(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    environment: NamedOrId = None,
    application: NamedOrId = None,
    task: Annotated[
        str | None, Query(max_length=200, description="Its id in the newest deployment.")
    ] = None,
) -> ResolutionView:
    """What a new deployment would get: each value, where it comes from and what it overrode."""
    async with services.store.reading() as tx:
        project = await tx.projects.get(project_id)
        where = await named_environment(tx, project_id, environment)
        own = await _task(tx, project_id, task, where)
        app = await named_application(
            tx, project_id, application or (None if own is None else own.application_id)
        )
        levels = await read_levels(tx, project, where, [app.id] if app else [])
    documents = levels.config_origins(app)
    resolution = levels.resolution(app, None if own is None else _level_of(own))
    return resolution_view(resolution, levels.merged_config(app), documents)


def _level_of(task: Task) -> Level:
    settings = plain_settings(task_variables(task.payload))
    return Level(origin=Origin(kind=LevelKind.TASK, name=task.id), settings=settings)


async def _task(
    tx: Transaction, project_id: str, wanted: str | None, environment: Environment | None
) -> Task | None:
    if wanted is None:
        return None
    where = None if environment is None else environment.id
    found = await tx.releases.newest_task(project_id, wanted, where)
    if found is None:
        raise NotFound(f"No deployment of this project (into this environment) has `{wanted}`.")
    return found[0]


class SnapshotView(V1View):
    """What was resolved when the deployment was made; secrets as `***`."""

    deployment_id: str
    items: list[SnapshotVariableView]
    config: dict[str, dict[str, Any]]
    """By application."""


@snapshots.get("/{deployment_id}/variables")
async def show_snapshot(
    deployment_id: DeploymentId, caller: Seer, services: Services
) -> SnapshotView:
    """The variables and the configuration that the deployment keeps, whatever is changed since."""
    async with services.store.reading() as tx:
        deployment = await tx.deployments.get(deployment_id)
        releases = await releases_of(tx, deployment)
    return SnapshotView(
        deployment_id=deployment_id,
        items=snapshot_views(deployment, releases),
        config={it.application: dict(it.config) for it in releases},
    )
