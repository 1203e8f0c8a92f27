"""Projects: what owns applications, environments and versions."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.errors import invalid
from boreas.domain.ids import EnvironmentId, ProjectId
from boreas.domain.permissions import Member, Permission, Role
from boreas.domain.projects import Project
from boreas.server.auth.callers import AnyUser, Themself
from boreas.server.auth.permits import Configurer, ProjectRemover, Seer
from boreas.server.bodies import Body, ConfigDocument, Moment, Name, Page, Text, View
from boreas.server.creation import Creating
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/projects", tags=["projects"])


PromotionOrder = Annotated[list[str], Field(max_length=100)]
"""Environments by name or id: a version goes into one only after it succeeded in those before."""


class ProjectBody(Body):
    """A whole project."""

    name: Name
    description: Text = ""
    config: ConfigDocument = Field(default_factory=dict)
    promotion_order: PromotionOrder = Field(default_factory=list)


class ProjectPatch(Body):
    """The parts of a project to change."""

    name: Name | None = None
    description: Text | None = None
    config: ConfigDocument | None = None
    promotion_order: PromotionOrder | None = None


class ProjectView(View):
    """A project."""

    id: str
    name: str
    description: str
    config: dict[str, Any]
    promotion_order: list[str]
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
        config=body.config,
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
        await _in_order(tx, project.id, body.promotion_order)
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
    patch = ProjectPatch.model_validate(body.model_dump())
    return await change_project(project_id, patch, caller, services)


@router.patch("/{project_id}")
async def change_project(
    project_id: ProjectId, body: ProjectPatch, caller: Configurer, services: Services
) -> ProjectView:
    """Change what is given; `null` leaves as it is."""
    async with services.store.transaction() as tx:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        before = await tx.projects.get(project_id)
        given = body.model_dump(exclude_none=True)
        if body.promotion_order is not None:
            given["promotion_order"] = await _in_order(tx, project_id, body.promotion_order)
        after = replace(before, **given)
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


async def _in_order(
    tx: Transaction, project_id: str, wanted: Sequence[str]
) -> tuple[EnvironmentId, ...]:
    """The environments of these names or ids, each of which must stand there once."""
    known = {it.name: it.id for it in await tx.environments.all(within=project_id)}
    known |= {str(id_): id_ for id_ in known.values()}
    found: list[EnvironmentId] = []
    for index, each in enumerate(wanted):
        if each not in known:
            mend = "write the name or id of an environment of this project"
            raise invalid(f"promotion_order[{index}]", f"there is no environment {each!r}", mend)
        if known[each] in found:
            raise invalid(f"promotion_order[{index}]", f"{each!r} is there twice", "keep one")
        found.append(known[each])
    return tuple(found)


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
