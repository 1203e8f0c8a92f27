"""What a new plan stands on, read in one transaction: applications, targets, what is live.

Also freezes each application into its release: from then on the deployment does not care what
happens to the application or the version.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from boreas.domain.deployments import Deployment
from boreas.domain.errors import NotFound, invalid
from boreas.domain.fleet import AgentView, Target
from boreas.domain.ids import AgentId, ApplicationId, DeploymentId, ReleaseId
from boreas.domain.images import image_of
from boreas.domain.orders import DriverKind, ReleaseBody
from boreas.domain.permissions import Permission
from boreas.domain.projects import Application, Environment, Project, Version
from boreas.domain.specs import can_stage, interrupts, staging_obstacle
from boreas.domain.variables import VariableSnapshot, task_variables
from boreas.domain.workflow import TaskRequest, TaskType
from boreas.engine.plan import Ground, PlannedApplication
from boreas.engine.snapshot import ReleaseView, Rules, rules_of
from boreas.server.auth.callers import Caller
from boreas.server.build_plans import build_site, builders, is_built, with_image_or_build
from boreas.server.condition_facts import facts_about, facts_of_application
from boreas.server.deployment_bodies import ApplicationNames, ids_by_name
from boreas.server.named_credentials import credentials_for
from boreas.server.task_views import Names
from boreas.server.variables import Levels, read_levels
from boreas.store import SqlTransaction as Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The project's things that a new deployment may refer to."""

    project: Project
    version: Version
    environment: Environment
    applications: Sequence[Application]

    @property
    def ids_by_name(self) -> ApplicationNames:
        """The applications by name and by id."""
        return ids_by_name((it.name, it.id) for it in self.applications)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A ground, the releases made for it, and the names of everything in it."""

    ground: Ground
    releases: tuple[ReleaseBody, ...]
    names: Names
    variables: VariableSnapshot
    """What commands of no application see."""
    agents: Mapping[AgentId, AgentView]
    """The agents behind the targets and those that build, as they were at this moment."""
    rules: Rules

    @property
    def views(self) -> tuple[ReleaseView, ...]:
        """What the engine sees of the releases."""
        return tuple(application.release for application in self.ground.applications)


async def read_site(tx: Transaction, caller: Caller, version_id: str, environment_id: str) -> Site:
    """Version and environment of one project, into which the caller may deploy.

    Wrong ids name the field to mend; those of a project that the caller does not see are wrong.
    """
    version = await tx.versions.find(version_id)
    if version is None or not await caller.may(tx, Permission.SEE, version.project_id):
        mend = "write the id that creating the version answered"
        raise invalid("versionId", f"there is no version {version_id!r}", mend)
    environment = await tx.environments.find(environment_id)
    if environment is None or environment.project_id != version.project_id:
        mend = "write the id of an environment of the version's project"
        raise invalid("environmentId", f"there is no environment {environment_id!r}", mend)
    await caller.must_deploy(tx, environment)
    return Site(
        project=await tx.projects.get(version.project_id),
        version=version,
        environment=environment,
        applications=await tx.applications.all(within=version.project_id),
    )


async def freeze(
    tx: Transaction,
    site: Site,
    chosen: Sequence[ApplicationId],
    deployment_id: DeploymentId,
    tasks: Sequence[TaskRequest] | None = None,
    *,
    anew: bool = False,
) -> Frozen:
    """Releases of the chosen applications in the stored order, and where they go.

    Variables and configuration are resolved here, once: what is changed later counts for later
    deployments only.
    """
    targets = tuple(await tx.targets.all(within=site.environment.id))
    applications = [it for it in site.applications if it.id in set(chosen)]
    levels = await read_levels(tx, site.project, site.environment, [it.id for it in applications])
    bare = await _bare_releases(tx, site, applications, deployment_id, levels, tasks or ())
    releases = await _with_images(tx, site, applications, bare, anew=anew)
    building = any(it.build is not None for it in releases)
    builders_here = await builders(tx, site.project, site.environment.id) if building else ()
    agents = await _agents(tx, (*targets, *builders_here))
    planned = tuple(
        PlannedApplication(
            id=it.id, name=it.name, release=view_of(body, is_built=is_built(it)), targets=targets
        )
        for it, body in zip(applications, releases, strict=True)
    )
    live = {
        (it.application_id, it.target_id): it
        for it in await tx.environments.live(site.environment.id)
    }
    return Frozen(
        ground=Ground(
            applications=planned,
            targets=targets,
            builders=builders_here,
            live=live,
            facts=facts_of(site, levels.snapshot(), releases),
        ),
        releases=releases,
        variables=levels.snapshot(),
        agents=agents,
        rules=rules_of(site.environment),
        names=Names(
            version=site.version.name,
            environment=site.environment.name,
            applications={it.id: it.name for it in site.applications},
            targets={it.id: it.name for it in (*targets, *builders_here)},
            agents={id_: it.name for id_, it in agents.items()},
        ),
    )


async def _bare_releases(
    tx: Transaction,
    site: Site,
    applications: Sequence[Application],
    deployment_id: DeploymentId,
    levels: Levels,
    tasks: Sequence[TaskRequest],
) -> Sequence[ReleaseBody]:
    """Each application as it is now, with what its deploy task says and its credentials."""
    of_tasks = deploy_variables(tasks)
    uses = {it.id: await credentials_for(tx, it, site.version) for it in applications}
    return [
        replace(
            release_of(it, site.version, deployment_id, levels),
            task_variables=of_tasks.get(it.id, {}),
            credentials=uses[it.id],
        )
        for it in applications
    ]


async def _with_images(
    tx: Transaction,
    site: Site,
    applications: Sequence[Application],
    releases: Sequence[ReleaseBody],
    *,
    anew: bool,
) -> tuple[ReleaseBody, ...]:
    """The same releases with the images that Boreas has built, or is to build."""
    if not any(is_built(it) for it in applications):
        return tuple(releases)
    made = await build_site(tx, site.project, site.version)
    each = zip(applications, releases, strict=True)
    return tuple([await with_image_or_build(tx, made, it, body, anew=anew) for it, body in each])


def facts_of(
    site: Site, variables: VariableSnapshot, releases: Sequence[ReleaseBody]
) -> Mapping[str, Any]:
    """What conditions may ask about this deployment; secrets are not among it."""
    return {
        **facts_about(site.version, site.environment),
        "variables": variables.plain,
        "applications": {it.application_id: facts_of_application(it) for it in releases},
    }


async def _agents(tx: Transaction, targets: Sequence[Target]) -> Mapping[AgentId, AgentView]:
    found = await tx.agents.among({it.agent_id for it in targets})
    return {
        agent.id: AgentView(
            id=agent.id,
            name=agent.name,
            online=agent.online,
            revoked=agent.revoked_at is not None,
        )
        for agent in found.values()
    }


def release_id_of(deployment_id: DeploymentId, application_id: ApplicationId) -> ReleaseId:
    """One release per application and deployment."""
    return ReleaseId(f"{deployment_id}.{application_id}")


def deploy_variables(
    tasks: Sequence[TaskRequest],
) -> Mapping[ApplicationId, Mapping[str, str]]:
    """What the deploy task of each application says; it becomes part of the release."""
    found: dict[ApplicationId, Mapping[str, str]] = {}
    for index, task in enumerate(tasks):
        if task.type is not TaskType.DEPLOY or task.application_id is None:
            continue
        own = task_variables(task.payload)
        if found.setdefault(task.application_id, own) != own:
            problem = "differ from those of another deploy task of the same application"
            raise invalid(f"tasks[{index}].payload.variables", problem, "write the same in both")
    return found


def release_of(
    application: Application, version: Version, deployment_id: DeploymentId, levels: Levels
) -> ReleaseBody:
    """Everything that defines this application in this version, frozen."""
    artifact = dict(
        version.artifacts.get(application.id) or version.artifacts.get(application.name) or {}
    )
    _refuse_unusable(application, version, artifact)
    return ReleaseBody(
        release_id=release_id_of(deployment_id, application.id),
        version_id=version.id,
        version=version.name,
        application_id=application.id,
        application=application.name,
        driver=application.driver,
        spec=application.spec,
        health_check=application.health_check,
        git=version.git,
        artifact=artifact,
        config=levels.config(application, version),
        variables=levels.snapshot(application),
    )


def _refuse_unusable(
    application: Application, version: Version, artifact: Mapping[str, object]
) -> None:
    """Say now what would otherwise fail on the first target."""
    if application.driver is DriverKind.GIT_PULL and version.git is None:
        problem = f"has no git commit, which {application.name} (git_pull) is deployed from"
        raise invalid("versionId", problem, "create a version with `git`")
    if application.driver is DriverKind.CONTAINER:
        image_of(str(application.spec["image"]), version=version.name, artifact=artifact)


def view_of(body: ReleaseBody, *, is_built: bool = False) -> ReleaseView:
    """What the engine may know of a release."""
    return ReleaseView(
        id=body.release_id,
        application_id=body.application_id,
        version=body.version,
        can_stage=can_stage(body.driver, body.spec),
        cannot_stage_because=staging_obstacle(body.driver, body.spec) or "",
        health_check=body.health_check,
        interrupts=interrupts(body.driver, body.spec),
        builds=body.build.image if body.build is not None else "" if is_built else None,
    )


async def ground_of(tx: Transaction, deployment: Deployment) -> Ground:
    """The ground of a deployment that exists: its own releases, the targets as they are now."""
    own = {it.application_id: it.release_id for it in deployment.executions if it.release_id}
    ids = {
        app: own.get(app) or release_id_of(deployment.id, app) for app in deployment.application_ids
    }
    views = await tx.deployments.release_views(list(ids.values()))
    targets = tuple(await tx.targets.all(within=deployment.environment_id))
    names = {it.id: it.name for it in await tx.applications.all(within=deployment.project_id)}
    missing = [app for app, release in ids.items() if release not in views]
    if missing:
        raise NotFound(f"the release of application {missing[0]!r} is not there any more")
    planned = tuple(
        PlannedApplication(
            id=app, name=names.get(app, app), release=views[release], targets=targets
        )
        for app, release in ids.items()
    )
    live = await tx.environments.live(deployment.environment_id)
    by_place = {(it.application_id, it.target_id): it for it in live}
    facts = await _facts_now(tx, deployment, list(ids.values()))
    building = any(it.builds for it in views.values())
    return Ground(
        applications=planned,
        targets=targets,
        builders=await _builders_of(tx, deployment) if building else (),
        live=by_place,
        facts=facts,
    )


async def _builders_of(tx: Transaction, deployment: Deployment) -> tuple[Target, ...]:
    project = await tx.projects.get(deployment.project_id)
    return await builders(tx, project, deployment.environment_id)


async def _facts_now(
    tx: Transaction, deployment: Deployment, release_ids: Sequence[ReleaseId]
) -> Mapping[str, Any]:
    """For a condition that is added later: variables as they were frozen."""
    version = await tx.versions.get(deployment.version_id)
    environment = await tx.environments.get(deployment.environment_id)
    bodies = await tx.releases.bodies(list(release_ids))
    return {
        **facts_about(version, environment),
        "variables": deployment.variables.plain,
        "applications": {it.application_id: facts_of_application(it) for it in bodies.values()},
    }
