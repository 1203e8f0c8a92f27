"""Versions: immutable snapshots of what to release."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field, model_validator

from boreas.domain.delivery import CredentialUse
from boreas.domain.errors import FieldError, InvalidInput
from boreas.domain.git_names import check_git
from boreas.domain.ids import ProjectId, VersionId
from boreas.domain.orders import GitRef
from boreas.domain.permissions import Permission
from boreas.domain.projects import Version
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import Builder, Configurer, Seer
from boreas.server.bodies import Body, ConfigDocument, Moment, Name, Page, View
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.repository_access import chosen_credential, opened
from boreas.server.services import ServiceBundle, Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["versions"])


class GitBody(Body):
    """Where the sources lie: a branch or tag (`ref`), or a full `commit`."""

    repository: str
    ref: str | None = None
    commit: str | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "GitBody":
        if (self.ref is None) == (self.commit is None):
            raise ValueError("needs exactly one of `ref` and `commit`; write the one you mean")
        return self


class VersionBody(Body):
    """A new version. `artifacts` maps an application (name or id) to `image`, `digest`, ..."""

    name: Name
    git: GitBody | None = None
    git_credential_id: str | None = None
    artifacts: dict[str, dict[str, Any]] = Field(default_factory=dict)
    config: ConfigDocument = Field(default_factory=dict)


class GitView(View):
    """Where the sources lie; `commit` is what the ref named when the version was made."""

    repository: str
    ref: str | None
    commit: str | None


class BlockView(View):
    """Why it may go nowhere new, and who said so."""

    reason: str
    by: str
    at: Moment


class VersionView(View):
    """A version."""

    id: str
    project_id: str
    name: str
    git: GitView | None
    git_credential_id: str | None
    artifacts: dict[str, dict[str, Any]]
    config: dict[str, Any]
    source: str
    blocked: BlockView | None
    created_at: Moment
    created_by: str


@router.post("/projects/{project_id}/versions", status_code=201, response_model=VersionView)
async def create_version(
    project_id: ProjectId,
    body: VersionBody,
    caller: Builder,
    services: Services,
    creating: Creating,
) -> Response:
    """Make a version; a git ref is resolved to its commit now and never again."""
    async with services.store.reading() as tx:
        await tx.projects.get(project_id)
        known = await tx.applications.all(within=project_id)
    _check_artifacts(body, {name for app in known for name in (app.id, app.name)})
    git, use = await _resolved(project_id, body, caller, services)
    version = Version(
        id=VersionId(services.ids("ver")),
        project_id=project_id,
        name=body.name,
        sequence=0,
        git=git,
        git_credential_id=None if use is None else use.credential_id,
        artifacts=body.artifacts,
        config=body.config,
        created_at=services.clock.now(),
        created_by=caller.name,
    )

    async def make(tx: Transaction) -> VersionView:
        await caller.must(tx, Permission.BUILD, project_id)
        added = await tx.versions.add(version)
        await tx.audit.note(
            caller, "version.create", "version", added.id, project_id=project_id, after=added
        )
        return VersionView.model_validate(added)

    return await creating.run(make)


async def _resolved(
    project_id: ProjectId, body: VersionBody, caller: Caller, services: ServiceBundle
) -> tuple[GitRef | None, CredentialUse | None]:
    """The commit behind what was named, and the credential through which it was found."""
    if body.git is None:
        return None, None
    git = _git(body.git)
    async with services.store.reading() as tx:
        use = await chosen_credential(tx, caller, project_id, git, body.git_credential_id)
    if git.commit is not None:
        return await services.git.resolve(git), use
    credential = await opened(services, caller, project_id, use, f"commit of version {body.name}")
    return await services.git.resolve(git, credential), use


def _git(body: GitBody) -> GitRef:
    check_git(repository=body.repository, ref=body.ref, commit=body.commit)
    return GitRef(repository=body.repository, ref=body.ref, commit=body.commit)


def _check_artifacts(body: VersionBody, known: set[str]) -> None:
    unknown = [name for name in body.artifacts if name not in known]
    if unknown:
        mend = "write the name or id of one of the project's applications"
        raise InvalidInput(
            f"artifacts: there is no application {unknown[0]!r} in this project",
            fields=tuple(
                FieldError(field=f"artifacts.{name}", problem="is no application", mend=mend)
                for name in unknown
            ),
        )


@router.get("/projects/{project_id}/versions")
async def list_versions(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[VersionView]:
    """The project's versions, the newest first."""
    async with services.store.reading() as tx:
        await tx.projects.get(project_id)
        page = await tx.versions.page(within=project_id, cursor=cursor, limit=limit)
    items = [VersionView.model_validate(version) for version in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/versions/{version_id}")
async def show_version(version_id: VersionId, caller: Seer, services: Services) -> VersionView:
    """One version."""
    async with services.store.reading() as tx:
        return VersionView.model_validate(await tx.versions.get(version_id))


@router.delete("/versions/{version_id}", status_code=204)
async def delete_version(version_id: VersionId, caller: Configurer, services: Services) -> None:
    """Remove it; refused while a deployment of it exists that is under way."""
    async with services.store.transaction() as tx:
        version = await tx.versions.get(version_id)
        await caller.must(tx, Permission.CONFIGURE, version.project_id)
        await tx.versions.remove(version_id)
        await tx.audit.note(
            caller,
            "version.delete",
            "version",
            version_id,
            project_id=version.project_id,
            before=version,
        )
