"""Projects: what owns applications, environments and versions."""

from dataclasses import replace

from fastapi import APIRouter, Response

from boreas.domain.ids import ProjectId
from boreas.domain.permissions import Member, Permission, Role
from boreas.domain.projects import Project
from boreas.server.auth.callers import AnyUser, Themself
from boreas.server.auth.permits import Configurer, ProjectRemover, Seer
from boreas.server.bodies import Body, Moment, Name, Page, Text, View
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/projects", tags=["projects"])


class ProjectBody(Body):
    """A whole project."""

    name: Name
    description: Text = ""


class ProjectPatch(Body):
    """The parts of a project to change."""

    name: Name | None = None
    description: Text | None = None


class ProjectView(View):
    """A project."""

    id: str
    name: str
    description: str
    created_at: Moment
    created_by: str


@router.post("", status_code=201, response_model=ProjectView)
async def create_project(
    body: ProjectBody, caller: Themself, services: Services, creating: Creating
) -> Response:
    """Make a project; its name is unique, and who makes it is its first owner."""
    project = Project(
        id=ProjectId(services.ids("prj")),
        name=body.name,
        description=body.description,
        created_at=services.clock.now(),
        created_by=caller.name,
    )
    owner = Member(
        id=services.ids("mem"),
        project_id=project.id,
        user_id=caller.user.id,
        role=Role.OWNER,
        added_by=caller.name,
        added_at=project.created_at,
    )

    async def make(tx: Transaction) -> ProjectView:
        await tx.projects.add(project)
        await tx.members.add(owner)
        await tx.audit.note(
            caller, "project.create", "project", project.id, project_id=project.id, after=project
        )
        return ProjectView.model_validate(project)

    return await creating.run(make)


@router.get("")
async def list_projects(
    caller: AnyUser, services: Services, limit: Limit = USUAL, cursor: Cursor = None
) -> Page[ProjectView]:
    """The projects that the caller is a member of, by name; an admin sees all."""
    async with services.store.reading() as tx:
        page = await tx.projects.seen(caller.sight, cursor=cursor, limit=limit)
    items = [ProjectView.model_validate(project) for project in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/{project_id}")
async def show_project(project_id: ProjectId, caller: Seer, services: Services) -> ProjectView:
    """One project."""
    async with services.store.reading() as tx:
        return ProjectView.model_validate(await tx.projects.get(project_id))


@router.put("/{project_id}")
async def replace_project(
    project_id: ProjectId, body: ProjectBody, caller: Configurer, services: Services
) -> ProjectView:
    """Set everything that can be set."""
    patch = ProjectPatch(name=body.name, description=body.description)
    return await change_project(project_id, patch, caller, services)


@router.patch("/{project_id}")
async def change_project(
    project_id: ProjectId, body: ProjectPatch, caller: Configurer, services: Services
) -> ProjectView:
    """Change what is given; `null` leaves as it is."""
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        before = await tx.projects.get(project_id)
        after = replace(before, **body.model_dump(exclude_none=True))
        await tx.projects.change(after)
        await tx.audit.note(
            caller,
            "project.update",
            "project",
            project_id,
            project_id=project_id,
            before=before,
            after=after,
        )
    return ProjectView.model_validate(after)


@router.delete("/{project_id}", status_code=204)
async def delete_project(project_id: ProjectId, caller: ProjectRemover, services: Services) -> None:
    """Remove the project and all it owns; refused while one of its deployments is under way."""
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.REMOVE_PROJECT, project_id)
        project = await tx.projects.get(project_id)
        await tx.projects.remove(project_id)
        await tx.audit.note(
            caller, "project.delete", "project", project_id, project_id=project_id, before=project
        )
