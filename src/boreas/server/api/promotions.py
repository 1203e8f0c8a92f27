"""What becomes of versions: compared, promoted from environment to environment, blocked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from boreas.domain.comparison import Difference
from boreas.domain.errors import NotFound
from boreas.domain.ids import ProjectId, VersionId
from boreas.domain.permissions import Permission
from boreas.domain.projects import Block, Version
from boreas.server.api.deployments import create_deployment
from boreas.server.api.versions import VersionView
from boreas.server.auth.callers import AnyUser, Caller, checks_itself
from boreas.server.auth.permits import DEPLOYING, Overrider, Seer, check_path
from boreas.server.bodies import Body, Flag, Name, Text, View
from boreas.server.commit_log import Commits
from boreas.server.comparing import Comparison, compare
from boreas.server.creation import Creating
from boreas.server.deployment_bodies import DeploymentBody, OverrideBody
from boreas.server.deployment_views import DeploymentDetailView
from boreas.server.plan_views import PlanView
from boreas.server.promotion import next_environment
from boreas.server.services import ServiceBundle, Services
from boreas.server.strategy_bodies import StrategyBody
from boreas.server.variables import named_environment
from boreas.server.version_commits import commits_between, version_before
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["versions"])

VERSION = "/versions/{version_id}"
IN_PROJECT = "/projects/{project_id}" + VERSION


class DifferenceView(View):
    """One name on both sides: `same`, `added`, `removed` or `changed`."""

    name: str
    change: str
    a: Any
    b: Any


class CommitView(View):
    """One commit."""

    sha: str
    author: str
    date: str
    subject: str


class CommitsView(View):
    """Commits that `b` has and `a` has not (`added`), and the other way round (`removed`).

    The newest first, at most 200 of each (`truncated`); `unavailable` says why none are known.
    """

    added: list[CommitView]
    removed: list[CommitView]
    truncated: bool
    unavailable: str | None


class OfApplicationView(View):
    """What differs for one application."""

    application_id: str
    application: str
    images: list[DifferenceView]
    config: list[DifferenceView]
    variables: list[DifferenceView]


class ComparisonView(View):
    """Two versions side by side; secrets show only whether they changed."""

    a: VersionView
    b: VersionView
    deployed_a: bool
    deployed_b: bool
    commits: CommitsView
    config: list[DifferenceView]
    applications: list[OfApplicationView]


@router.get("/projects/{project_id}/versions/compare")
async def compare_versions(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    a: Annotated[str, Query(max_length=200, description="By name or id.")],
    b: Annotated[str, Query(max_length=200, description="By name or id.")],
    environment: Annotated[str | None, Query(max_length=200)] = None,
) -> ComparisonView:
    """Commits, images, configuration and variables of two versions, side by side."""
    async with services.store.reading() as tx:
        project = await tx.projects.get(project_id)
        left, right = await _named(tx, project_id, a), await _named(tx, project_id, b)
        where = await named_environment(tx, project_id, environment)
        found = await compare(tx, project, left, right, where)
    commits = await commits_between(services, caller, left, right)
    return _comparison_view(left, right, found, commits)


async def _named(tx: Transaction, project_id: str, wanted: str) -> Version:
    found = await tx.versions.find(wanted)
    if found is None or found.project_id != project_id:
        found = await tx.versions.named(wanted, within=project_id)
    if found is None:
        raise NotFound(f"There is no version `{wanted}` in this project.")
    return found


def _comparison_view(a: Version, b: Version, found: Comparison, commits: Commits) -> ComparisonView:
    return ComparisonView(
        a=VersionView.model_validate(a),
        b=VersionView.model_validate(b),
        deployed_a=found.deployed_a,
        deployed_b=found.deployed_b,
        commits=CommitsView.model_validate(commits),
        config=_differences(found.config),
        applications=[
            OfApplicationView(
                application_id=it.application.id,
                application=it.application.name,
                images=_differences(it.images),
                config=_differences(it.config),
                variables=_differences(it.variables),
            )
            for it in found.applications
        ],
    )


def _differences(found: tuple[Difference, ...]) -> list[DifferenceView]:
    return [DifferenceView.model_validate(it) for it in found]


class LogView(View):
    """What is new in a version; `since` null: it is the first one of its repository."""

    version: VersionView
    since: VersionView | None
    commits: CommitsView


@router.get(VERSION + "/log")
@router.get(IN_PROJECT + "/log", name="show_version_log_of_project")
async def show_version_log(
    version_id: VersionId,
    caller: Seer,
    services: Services,
    since: Annotated[str | None, Query(max_length=200, description="By name or id.")] = None,
) -> LogView:
    """The commits since another version: the one before it, unless `since` names one."""
    async with services.store.reading() as tx:
        version = await tx.versions.get(version_id)
        before = (
            await version_before(tx, version)
            if since is None
            else await _named(tx, version.project_id, since)
        )
    commits = await commits_between(services, caller, before, version)
    return LogView(
        version=VersionView.model_validate(version),
        since=None if before is None else VersionView.model_validate(before),
        commits=CommitsView.model_validate(commits),
    )


class BlockBody(Body):
    """Why the version is bad; everybody who wants to deploy it reads this."""

    reason: Text = Field(min_length=1)


@router.post(VERSION + "/block")
@router.post(IN_PROJECT + "/block", name="block_version_of_project")
async def block_version(
    version_id: VersionId, body: BlockBody, caller: Overrider, services: Services
) -> VersionView:
    """Let it go nowhere where it does not run already; redeploys and rollbacks stay allowed."""
    block = Block(reason=body.reason, by=caller.name, at=services.clock.now())
    return await _mark(services, caller, version_id, block, body.reason)


@router.post(VERSION + "/unblock")
@router.post(IN_PROJECT + "/unblock", name="unblock_version_of_project")
async def unblock_version(
    version_id: VersionId, caller: Overrider, services: Services
) -> VersionView:
    """Let it be deployed again."""
    return await _mark(services, caller, version_id, None, "")


async def _mark(
    services: ServiceBundle, caller: Caller, version_id: str, block: Block | None, why: str
) -> VersionView:
    async with services.store.transaction() as tx:
        before = await tx.versions.get(version_id)
        await caller.must(tx, Permission.OVERRIDE, before.project_id)
        after = await tx.versions.mark(version_id, block)
        await tx.audit.note(
            caller,
            "version.unblock" if block is None else "version.block",
            "version",
            version_id,
            project_id=before.project_id,
            before=before,
            after=after,
            why=why,
        )
    return VersionView.model_validate(after)


class PromoteBody(Body):
    """Where the version goes; left out: the next environment of the project's order."""

    environment_id: str | None = None
    application_ids: list[str] | None = Field(default=None, max_length=1000)
    must_in_order: list[str] = Field(default_factory=list, max_length=1000)
    strategy: StrategyBody | None = None
    manual_approval: Flag = False
    auto_start: Flag = True
    dry_run: Flag = False
    override_reason: Name | None = None


@router.post(
    VERSION + "/promote",
    status_code=201,
    response_model=DeploymentDetailView,
    responses={200: {"model": PlanView, "description": "`dry_run`: the plan, nothing done."}},
)
@router.post(
    IN_PROJECT + "/promote",
    status_code=201,
    response_model=DeploymentDetailView,
    responses={200: {"model": PlanView, "description": "`dry_run`: the plan, nothing done."}},
    name="promote_version_of_project",
)
@checks_itself(*DEPLOYING)
async def promote_version(
    version_id: VersionId,
    body: PromoteBody,
    caller: AnyUser,
    services: Services,
    creating: Creating,
    http: Request,
) -> Response:
    """Deploy the very same version (commit, digests) into the next environment."""
    async with services.store.reading() as tx:
        await check_path(tx, caller, (Permission.SEE,), http.path_params)
        where = body.environment_id or await _next(tx, version_id, body)
    request = DeploymentBody.model_validate(
        {
            "versionId": version_id,
            "environmentId": where,
            "applicationIds": body.application_ids,
            "mustInOrder": body.must_in_order,
            "manualApproval": body.manual_approval,
            "autoStart": body.auto_start,
            "dryRun": body.dry_run,
        }
    )
    override = None if body.override_reason is None else OverrideBody(reason=body.override_reason)
    request = request.model_copy(update={"strategy": body.strategy, "override": override})
    return await create_deployment(request, caller, services, creating)


async def _next(tx: Transaction, version_id: str, body: PromoteBody) -> str:
    version = await tx.versions.get(version_id)
    known = await tx.applications.all(within=version.project_id)
    wanted = set(body.application_ids or [it.id for it in known])
    chosen = [it.id for it in known if it.id in wanted or it.name in wanted]
    return await next_environment(tx, version, chosen)
