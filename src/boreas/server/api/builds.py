"""Builds: started, looked at, followed, stopped; and the images that they made.

A build of its own is a deployment of a single task into an environment that no list shows, so that
it is queued, watched, stopped and taken up after a crash by the same engine as everything else.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response

from boreas.domain.builds import BuildCache, parse_build
from boreas.domain.deployments import Deployment, Origin
from boreas.domain.errors import Conflict, invalid
from boreas.domain.git_names import check_git
from boreas.domain.ids import DeploymentId, EnvironmentId, ProjectId, VersionId
from boreas.domain.orders import GitRef
from boreas.domain.permissions import Permission
from boreas.domain.projects import Application, Environment, EnvironmentKind, Project, Version
from boreas.engine import people
from boreas.engine.plan import DeploymentRequest, build_of, lay_out
from boreas.server.api.logs import (
    OUR_PAGE,
    AskedWindow,
    LastEventId,
    TaskLogView,
    Wanted,
    show_task_log,
    stream_task_log,
)
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import Builder, LogReader, Seer
from boreas.server.bodies import Page
from boreas.server.build_plans import is_built
from boreas.server.build_views import (
    BuildBody,
    BuildGitBody,
    BuildView,
    ImageView,
    build_view,
    image_view,
)
from boreas.server.creation import Creating
from boreas.server.event_streams import EventStreamType
from boreas.server.ground import Frozen, Site, freeze
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.repository_access import chosen_credential, opened
from boreas.server.services import ServiceBundle, Services
from boreas.server.wishes import Act, announce, grant
from boreas.store import SqlTransaction as Transaction
from boreas.store.builds import Build
from boreas.store.projects import FOR_BUILDS

router = APIRouter(prefix="/api/release", tags=["builds"])


@router.post("/projects/{project_id}/build", status_code=201, response_model=BuildView)
async def start_build(
    project_id: ProjectId, body: BuildBody, caller: Builder, services: Services, creating: Creating
) -> Response:
    """Build an application's image on an agent that builds, whether there is one already or not."""
    async with services.store.reading() as tx:
        project = await tx.projects.get(project_id)
        application = _chosen(body, await tx.applications.all(within=project_id))
    made = await _version_of(project, application, body, caller, services)

    async def make(tx: Transaction) -> BuildView:
        await caller.must(tx, Permission.BUILD, project_id)
        version = await _kept(tx, caller, made)
        environment = await _environment_for_builds(tx, project, services)
        site = Site(
            project=project, version=version, environment=environment, applications=[application]
        )
        return await _started(tx, site, body, caller, services)

    response = await creating.run(make)
    services.wakes.due()
    return response


def _chosen(body: BuildBody, applications: Sequence[Application]) -> Application:
    built = {it.id: it for it in applications if is_built(it)}
    if body.application is not None:
        named = [it for it in applications if body.application in (it.id, it.name)]
        if not named:
            mend = "write the name or id of one of the project's applications"
            raise invalid("application", f"there is no application {body.application!r}", mend)
        if named[0].id not in built:
            raise invalid("application", f"{named[0].name} has no `build`", "give it one")
        return named[0]
    if len(built) != 1:
        names = ", ".join(it.name for it in built.values()) or "none"
        raise invalid("application", f"is missing; built by Boreas: {names}", "name one")
    return next(iter(built.values()))


async def _version_of(
    project: Project,
    application: Application,
    body: BuildBody,
    caller: Caller,
    services: ServiceBundle,
) -> Version:
    """The version that was named, or a new one of the commit that was."""
    if body.git is None:
        async with services.store.reading() as tx:
            version = await tx.versions.find(body.version_id or "")
        if version is None or version.project_id != project.id:
            mend = "write the id of a version of this project"
            raise invalid("version_id", f"there is no version {body.version_id!r}", mend)
        return version
    git = await _resolved(project, application, body.git, caller, services)
    return Version(
        id=VersionId(services.ids("ver")),
        project_id=project.id,
        name=body.version or f"{application.name}-{(git.commit or '')[:12]}",
        sequence=0,
        git=git,
        source="build",
        created_at=services.clock.now(),
        created_by=caller.name,
    )


async def _resolved(
    project: Project,
    application: Application,
    body: BuildGitBody,
    caller: Caller,
    services: ServiceBundle,
) -> GitRef:
    config = parse_build(application.build)
    usual = config.repository if config is not None else None
    repository = body.repository or usual
    if repository is None:
        mend = f"write it here, or in the build of {application.name}"
        raise invalid("git.repository", "is missing", mend)
    check_git(repository=repository, ref=body.ref, commit=body.commit)
    git = GitRef(repository=repository, ref=body.ref, commit=body.commit)
    if git.commit is not None:
        return await services.git.resolve(git)
    async with services.store.reading() as tx:
        use = await chosen_credential(tx, caller, project.id, git, None)
    credential = await opened(services, caller, project.id, use, f"commit of {application.name}")
    return await services.git.resolve(git, credential)


async def _kept(tx: Transaction, caller: Caller, version: Version) -> Version:
    if version.sequence:
        return version
    added = await tx.versions.add(version)
    await tx.audit.note(
        caller, "version.create", "version", added.id, project_id=added.project_id, after=added
    )
    return added


async def _environment_for_builds(
    tx: Transaction, project: Project, services: ServiceBundle
) -> Environment:
    found = await tx.environments.for_builds(project.id)
    if found is not None:
        return found
    made = Environment(
        id=EnvironmentId(services.ids("env")),
        project_id=project.id,
        name=FOR_BUILDS,
        # Who may trigger builds is who may deploy here.
        kind=EnvironmentKind.DEV,
        created_at=services.clock.now(),
    )
    return await tx.environments.add(made)


async def _started(
    tx: Transaction, site: Site, body: BuildBody, caller: Caller, services: ServiceBundle
) -> BuildView:
    now, id_ = services.clock.now(), DeploymentId(services.ids("dep"))
    application = site.applications[0]
    frozen = await freeze(tx, site, [application.id], id_, anew=True)
    frozen = _without_cache(frozen) if body.no_cache else frozen
    planned = frozen.ground.applications[0]
    if not planned.release.builds:
        problem = f"pins an image for {application.name}, so there is nothing to build"
        raise invalid("version_id", problem, "name another version")
    request = DeploymentRequest(
        id=id_,
        number=0,
        project_id=site.project.id,
        environment_id=site.environment.id,
        version_id=site.version.id,
        created_by=caller.name,
        origin=Origin.BUILD,
        tasks=(build_of(planned),),
        variables=frozen.variables,
    )
    deployment = lay_out(request, frozen.ground, now)
    stored = await tx.deployments.create(deployment, frozen.releases, frozen.views, wake_at=now)
    after = {"application": application.name, "version": site.version.name}
    await tx.audit.note(
        caller, "build.start", "build", stored.id, project_id=site.project.id, after=after
    )
    await announce(tx, stored)
    return build_view(_build_in(stored), frozen.releases[0], _builder_in(frozen, stored), now)


def _without_cache(frozen: Frozen) -> Frozen:
    releases = tuple(
        replace(it, build=replace(it.build, cache=BuildCache.OFF)) if it.build else it
        for it in frozen.releases
    )
    return replace(frozen, releases=releases)


def _build_in(deployment: Deployment) -> Build:
    return Build(
        execution=deployment.executions[0],
        project_id=deployment.project_id,
        version_id=deployment.version_id,
        deployment_id=deployment.id,
        number=deployment.number,
        origin=deployment.origin,
    )


def _builder_in(frozen: Frozen, deployment: Deployment) -> str:
    target = deployment.executions[0].target_id
    return frozen.names.targets.get(target, target)


@router.get("/projects/{project_id}/builds")
async def list_builds(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[BuildView]:
    """The project's builds, alone or as part of deployments, the newest first."""
    async with services.store.reading() as tx:
        page = await tx.builds.page(project_id, cursor=cursor, limit=limit)
        views = [await _shown(tx, services, build) for build in page.items]
    return Page(items=views, next_cursor=page.next_cursor)


@router.get("/builds/{build_id}")
async def show_build(build_id: str, caller: Seer, services: Services) -> BuildView:
    """How one build stands."""
    async with services.store.reading() as tx:
        return await _shown(tx, services, await tx.builds.get(build_id))


async def _shown(tx: Transaction, services: ServiceBundle, build: Build) -> BuildView:
    release_id = build.execution.release_id
    releases = await tx.releases.bodies([release_id]) if release_id is not None else {}
    agent = await tx.agents.find(build.execution.agent_id)
    builder = "" if agent is None else agent.name
    release = releases.get(release_id) if release_id is not None else None
    return build_view(build, release, builder, services.clock.now())


@router.post("/builds/{build_id}/cancel")
async def cancel_build(build_id: str, caller: Builder, services: Services) -> BuildView:
    """Stop a build of its own; one that is part of a deployment is stopped with that."""
    async with services.store.reading() as tx:
        build = await tx.builds.get(build_id)
    if build.origin is not Origin.BUILD:
        raise Conflict(f"It is part of deployment #{build.number}; cancel that.")
    act = Act(caller=caller, action="build.cancel", permissions=(Permission.BUILD,))
    await grant(
        services,
        build.deployment_id,
        act,
        lambda it, now: people.cancel(it, caller.name, now=now),
    )
    return await show_build(build_id, caller, services)


@router.get("/builds/{build_id}/logs", response_model_exclude_unset=True)
async def show_build_log(
    build_id: str,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    window: AskedWindow,
) -> TaskLogView:
    """The newest lines, or those before or after a number."""
    place = await _place_of_log(services, build_id)
    return await show_task_log(*place, caller, services, wanted, window)


@router.get("/builds/{build_id}/logs/stream", response_class=EventStreamType, dependencies=OUR_PAGE)
async def stream_build_log(
    build_id: str,
    caller: LogReader,
    services: Services,
    wanted: Wanted,
    after: Annotated[int, Query(ge=0)] = 0,
    last_event_id: LastEventId = None,
) -> Response:
    """Lines as they come; `end` when the log is complete."""
    place = await _place_of_log(services, build_id)
    return await stream_task_log(*place, caller, services, wanted, after, last_event_id)


async def _place_of_log(services: ServiceBundle, build_id: str) -> tuple[DeploymentId, str]:
    """A build's log is that of its task."""
    async with services.store.reading() as tx:
        build = await tx.builds.get(build_id)
    return build.deployment_id, build.execution.task_id


@router.get("/versions/{version_id}/images")
async def list_images(version_id: VersionId, caller: Seer, services: Services) -> Page[ImageView]:
    """The images that were built for a version, oldest first."""
    async with services.store.reading() as tx:
        found = await tx.images.of_version(version_id)
    return Page(items=[image_view(it) for it in found])
