"""Workflow templates of a project: saved in versions, compared, restored, copied, removed.

Under /api/release, snake_case. What a template would make is in `workflow_previews`.
"""

from dataclasses import replace
from difflib import unified_diff
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field, model_validator

from boreas.domain.errors import Conflict, NotFound, invalid
from boreas.domain.ids import DeploymentId, ProjectId
from boreas.domain.permissions import Permission
from boreas.domain.workflows.reading import read_template
from boreas.domain.workflows.templates import Workflow, WorkflowVersion
from boreas.domain.workflows.tree import LONGEST_TEXT
from boreas.domain.workflows.writing import template_text
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Body, Moment, Name, Page, Text, View, Whole
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import ServiceBundle, Services
from boreas.server.workflow_use import check_text
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/projects/{project_id}/workflows", tags=["workflows"])

TemplateText = Annotated[str, Field(max_length=LONGEST_TEXT, description="The template, YAML.")]
Message = Annotated[str, Field(max_length=1000, description="Why; shown beside the version.")]
MOST_COMPARED_LINES: Final = 5_000
"""Of either version: comparing takes the square of it."""


class WorkflowBody(Body):
    """A new workflow: the template's text, or the deployment whose graph becomes one."""

    name: Name
    description: Text = ""
    text: TemplateText | None = None
    from_deployment: str | None = None
    message: Message = ""

    @model_validator(mode="after")
    def _one_source(self) -> "WorkflowBody":
        if (self.text is None) == (self.from_deployment is None):
            raise ValueError("needs exactly one of `text` and `from_deployment`; write one")
        return self


class WorkflowChange(Body):
    """What to change; a new `text` is a new version. `revision` is the one that was edited."""

    name: Name | None = None
    description: Text | None = None
    text: TemplateText | None = None
    message: Message = ""
    revision: Whole | None = None


class CopyBody(Body):
    """Where the copy goes; the name stays if none is given."""

    project_id: str
    name: Name | None = None


class RestoreBody(Body):
    """Words for the record."""

    message: Message = ""


class WorkflowView(View):
    """A workflow; `revision` is the number of its newest version."""

    id: str
    project_id: str
    name: str
    description: str
    revision: int
    created_at: Moment
    created_by: str
    updated_at: Moment
    updated_by: str


class WorkflowDetailView(WorkflowView):
    """A workflow with the text of its newest version."""

    text: str


class WorkflowVersionView(View):
    """A version of a workflow; `diff` is what it changed in the one before."""

    workflow_id: str
    number: int
    author: str
    message: str
    created_at: Moment
    origin: str
    diff: str


class WorkflowVersionDetailView(WorkflowVersionView):
    """A version with its text."""

    text: str


@router.post("", status_code=201, response_model=WorkflowDetailView)
async def create_workflow(
    project_id: ProjectId,
    body: WorkflowBody,
    caller: Configurer,
    services: Services,
    creating: Creating,
) -> Response:
    """Save a template; mistakes are told by line and column."""
    async with services.store.reading() as tx:
        text, origin = await _first_text(tx, project_id, body)
        check_text(text, await tx.applications.all(within=project_id))
    saving = _Saving(services, caller, project_id)

    async def make(tx: Transaction) -> WorkflowDetailView:
        return await saving.new(tx, body.name, body.description, text, (body.message, origin))

    return await creating.run(make)


async def _first_text(tx: Transaction, project_id: str, body: WorkflowBody) -> tuple[str, str]:
    if body.text is not None:
        return body.text, ""
    problem = f"there is no deployment {body.from_deployment!r} in this project"
    unknown = invalid("from_deployment", problem, "write the id of a deployment of this project")
    try:
        deployment = await tx.deployments.get(DeploymentId(body.from_deployment or ""))
    except NotFound:
        raise unknown from None
    if deployment.project_id != project_id:
        raise unknown
    if deployment.rollback_of is not None:
        raise invalid("from_deployment", "is a way back, which Boreas lays out", "name another")
    origin = f"deployment #{deployment.number}"
    copy = await tx.workflows.copy_of(deployment.id)
    if copy is not None and deployment.workflow_revision == 1:
        return copy.text, origin
    names = {it.id: it.name for it in await tx.applications.all(within=project_id)}
    return template_text(deployment, names), origin


class _Saving:
    """Writes a version, and what goes with it, in the caller's transaction."""

    def __init__(self, services: ServiceBundle, caller: Caller, project_id: str) -> None:
        self._services = services
        self._caller = caller
        self._project_id = ProjectId(project_id)

    async def new(
        self, tx: Transaction, name: str, description: str, text: str, said: tuple[str, str]
    ) -> WorkflowDetailView:
        """A workflow with its first version; `said` is message and origin."""
        await self._caller.must(tx, Permission.CONFIGURE, self._project_id)
        now = self._services.clock.now()
        workflow = Workflow(
            id=self._services.ids("wfl"),
            project_id=self._project_id,
            name=name,
            description=description,
            created_at=now,
            created_by=self._caller.name,
            updated_at=now,
            updated_by=self._caller.name,
        )
        await tx.workflows.add(workflow)
        await self._version(tx, workflow, text, said)
        await self._note(tx, "workflow.create", workflow, None, said[0])
        return _detail(workflow, text)

    async def next(
        self,
        tx: Transaction,
        before: Workflow,
        after: Workflow,
        text: str | None,
        said: tuple[str, str],
    ) -> WorkflowDetailView:
        """The changed workflow, with a new version if the text is another one."""
        newest = (await tx.workflow_versions.numbered(before.id, before.revision)).text
        is_new = text is not None and text != newest
        after = replace(
            after,
            revision=before.revision + is_new,
            updated_at=self._services.clock.now(),
            updated_by=self._caller.name,
        )
        await tx.workflows.change(after)
        if is_new and text is not None:
            await self._version(tx, after, text, said)
        await self._note(tx, "workflow.change", after, before, said[0])
        return _detail(after, text if text is not None else newest)

    async def _version(
        self, tx: Transaction, workflow: Workflow, text: str, said: tuple[str, str]
    ) -> None:
        version = WorkflowVersion(
            id=self._services.ids("wfv"),
            workflow_id=workflow.id,
            number=workflow.revision,
            text=text,
            author=self._caller.name,
            message=said[0],
            origin=said[1],
            created_at=self._services.clock.now(),
        )
        await tx.workflow_versions.add(version)

    async def _note(
        self, tx: Transaction, action: str, after: Workflow, before: Workflow | None, why: str
    ) -> None:
        await tx.audit.note(
            self._caller,
            action,
            "workflow",
            after.id,
            project_id=self._project_id,
            before=None if before is None else _noted(before),
            after=_noted(after),
            why=why,
        )


def _noted(workflow: Workflow) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "description": workflow.description,
        "version": workflow.revision,
    }


@router.get("")
async def list_workflows(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[WorkflowView]:
    """The project's workflows, by name."""
    async with services.store.reading() as tx:
        page = await tx.workflows.page(within=project_id, cursor=cursor, limit=limit)
    items = [WorkflowView.model_validate(it) for it in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/{workflow_id}")
async def show_workflow(
    project_id: ProjectId, workflow_id: str, caller: Seer, services: Services
) -> WorkflowDetailView:
    """One workflow with its newest text."""
    async with services.store.reading() as tx:
        workflow = await tx.workflows.get(workflow_id)
        newest = await tx.workflow_versions.numbered(workflow_id, workflow.revision)
    return _detail(workflow, newest.text)


@router.put("/{workflow_id}")
async def change_workflow(
    project_id: ProjectId,
    workflow_id: str,
    body: WorkflowChange,
    caller: Configurer,
    services: Services,
) -> WorkflowDetailView:
    """Change what is given. Another text is the next version; a stale `revision` is a conflict."""
    if body.text is not None:
        async with services.store.reading() as tx:
            check_text(body.text, await tx.applications.all(within=project_id))
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        before = await tx.workflows.locked(workflow_id)
        _refuse_stale(before, body.revision)
        after = replace(
            before,
            name=before.name if body.name is None else body.name,
            description=before.description if body.description is None else body.description,
        )
        saving = _Saving(services, caller, project_id)
        return await saving.next(tx, before, after, body.text, (body.message, ""))


def _refuse_stale(workflow: Workflow, revision: int | None) -> None:
    if revision is not None and revision != workflow.revision:
        raise Conflict(
            f"The workflow was saved meanwhile by {workflow.updated_by} (version "
            f"{workflow.revision}, yours is {revision}); load it again.",
            parameters={"revision": workflow.revision},
        )


@router.delete("/{workflow_id}", status_code=204)
async def delete_workflow(
    project_id: ProjectId, workflow_id: str, caller: Configurer, services: Services
) -> None:
    """Remove it with its versions; deployments keep the copy they took."""
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        before = await tx.workflows.locked(workflow_id)
        await tx.workflows.remove(workflow_id)
        await tx.audit.note(
            caller,
            "workflow.delete",
            "workflow",
            workflow_id,
            project_id=project_id,
            before=_noted(before),
        )


@router.get("/{workflow_id}/versions")
async def list_workflow_versions(
    project_id: ProjectId,
    workflow_id: str,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[WorkflowVersionView]:
    """Its versions, the newest first, each with what it changed."""
    async with services.store.reading() as tx:
        page = await tx.workflow_versions.page(within=workflow_id, cursor=cursor, limit=limit)
        oldest = page.items[-1] if page.items else None
        before = await _before(tx, oldest)
    olders = [*page.items[1:], before]
    items = [
        _version_view(version, older) for version, older in zip(page.items, olders, strict=False)
    ]
    return Page(items=items, next_cursor=page.next_cursor)


async def _before(tx: Transaction, version: WorkflowVersion | None) -> WorkflowVersion | None:
    if version is None or version.number == 1:
        return None
    return await tx.workflow_versions.numbered(version.workflow_id, version.number - 1)


@router.get("/{workflow_id}/versions/{number}")
async def show_workflow_version(
    project_id: ProjectId,
    workflow_id: str,
    number: int,
    caller: Seer,
    services: Services,
    against: Annotated[
        int | None, Query(ge=1, description="Compare with this one, not with the one before.")
    ] = None,
) -> WorkflowVersionDetailView:
    """One version with its text, and what differs from another one."""
    async with services.store.reading() as tx:
        version = await tx.workflow_versions.numbered(workflow_id, number)
        other = await _before(tx, version)
        if against is not None:
            other = await tx.workflow_versions.numbered(workflow_id, against)
    view = _version_view(version, other)
    return WorkflowVersionDetailView(**view.model_dump(), text=version.text)


@router.post("/{workflow_id}/versions/{number}/restore")
async def restore_workflow_version(
    project_id: ProjectId,
    workflow_id: str,
    number: int,
    caller: Configurer,
    services: Services,
    body: RestoreBody | None = None,
) -> WorkflowDetailView:
    """Make an old text the newest version; what came between stays."""
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        workflow = await tx.workflows.locked(workflow_id)
        old = await tx.workflow_versions.numbered(workflow_id, number)
        message = body.message if body is not None and body.message else f"Restore version {number}"
        saving = _Saving(services, caller, project_id)
        said = (message, f"version {number}")
        return await saving.next(tx, workflow, workflow, old.text, said)


@router.post("/{workflow_id}/copy", status_code=201, response_model=WorkflowDetailView)
async def copy_workflow(
    project_id: ProjectId,
    workflow_id: str,
    body: CopyBody,
    caller: Seer,
    services: Services,
    creating: Creating,
) -> Response:
    """Copy the newest version into another project, where the caller may configure."""
    async with services.store.reading() as tx:
        await caller.must(tx, Permission.CONFIGURE, body.project_id)
        source = await tx.workflows.get(workflow_id)
        newest = await tx.workflow_versions.numbered(workflow_id, source.revision)
    read_template(newest.text)
    origin = f"copy of {source.name}, version {source.revision}"
    saving = _Saving(services, caller, body.project_id)

    async def make(tx: Transaction) -> WorkflowDetailView:
        name = body.name or source.name
        return await saving.new(tx, name, source.description, newest.text, ("", origin))

    return await creating.run(make)


def _detail(workflow: Workflow, text: str) -> WorkflowDetailView:
    view = WorkflowView.model_validate(workflow)
    return WorkflowDetailView(**view.model_dump(), text=text)


def _version_view(version: WorkflowVersion, older: WorkflowVersion | None) -> WorkflowVersionView:
    return WorkflowVersionView(
        workflow_id=version.workflow_id,
        number=version.number,
        author=version.author,
        message=version.message,
        created_at=version.created_at,
        origin=version.origin,
        diff=_diff(older, version),
    )


def _diff(older: WorkflowVersion | None, version: WorkflowVersion) -> str:
    if older is None:
        return ""
    before, after = older.text.splitlines(), version.text.splitlines()
    if max(len(before), len(after)) > MOST_COMPARED_LINES:
        return f"# {len(before)} lines became {len(after)}: too many to compare here\n"
    lines = unified_diff(
        before,
        after,
        f"version {older.number}",
        f"version {version.number}",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in lines)
