"""Environments: where a project's applications run, and how careful one is there."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.ids import EnvironmentId, ProjectId
from boreas.domain.permissions import Permission
from boreas.domain.projects import Environment, EnvironmentKind, QueuePolicy
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Body, ConfigDocument, Name, Page
from boreas.server.creation import Creating
from boreas.server.environment_views import EnvironmentView
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.server.window_bodies import (
    ApprovalPolicyBody,
    WindowBodies,
    policy_of,
    windows_of,
)
from boreas.server.wishes import wake_environment
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["environments"])


class EnvironmentBody(Body):
    """A whole environment."""

    name: Name
    kind: EnvironmentKind
    queue_policy: QueuePolicy = QueuePolicy.QUEUE
    approval_policy: ApprovalPolicyBody = ApprovalPolicyBody()
    windows: WindowBodies = Field(default_factory=list)
    config: ConfigDocument = Field(default_factory=dict)


class EnvironmentPatch(Body):
    """The parts of an environment to change."""

    name: Name | None = None
    kind: EnvironmentKind | None = None
    queue_policy: QueuePolicy | None = None
    approval_policy: ApprovalPolicyBody | None = None
    windows: WindowBodies | None = None
    config: ConfigDocument | None = None


@router.post("/projects/{project_id}/environments", status_code=201, response_model=EnvironmentView)
async def create_environment(
    project_id: ProjectId,
    body: EnvironmentBody,
    caller: Configurer,
    services: Services,
    creating: Creating,
) -> Response:
    """Make an environment; its name is unique in the project."""
    environment = Environment(
        id=EnvironmentId(services.ids("env")),
        project_id=project_id,
        name=body.name,
        kind=body.kind,
        queue_policy=body.queue_policy,
        approval_policy=policy_of(body.approval_policy),
        windows=windows_of(body.windows),
        config=body.config,
        created_at=services.clock.now(),
    )

    async def make(tx: Transaction) -> EnvironmentView:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        await tx.projects.get(project_id)
        await tx.environments.add(environment)
        await tx.audit.note(
            caller,
            "environment.create",
            "environment",
            environment.id,
            project_id=project_id,
            after=environment,
        )
        return EnvironmentView.model_validate(environment)

    return await creating.run(make)


@router.get("/projects/{project_id}/environments")
async def list_environments(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[EnvironmentView]:
    """The project's environments, by name."""
    async with services.store.reading() as tx:
        await tx.projects.get(project_id)
        page = await tx.environments.page(within=project_id, cursor=cursor, limit=limit)
    items = [EnvironmentView.model_validate(environment) for environment in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@router.get("/environments/{environment_id}")
async def show_environment(
    environment_id: EnvironmentId, caller: Seer, services: Services
) -> EnvironmentView:
    """One environment."""
    async with services.store.reading() as tx:
        return EnvironmentView.model_validate(await tx.environments.get(environment_id))


@router.put("/environments/{environment_id}")
async def replace_environment(
    environment_id: EnvironmentId, body: EnvironmentBody, caller: Configurer, services: Services
) -> EnvironmentView:
    """Set everything that can be set."""
    patch = EnvironmentPatch.model_validate(body.model_dump())
    return await change_environment(environment_id, patch, caller, services)


@router.patch("/environments/{environment_id}")
async def change_environment(
    environment_id: EnvironmentId, body: EnvironmentPatch, caller: Configurer, services: Services
) -> EnvironmentView:
    """Change what is given.

    Deployments that exist keep the approval policy they were made with; windows count at once.
    """
    given: dict[str, Any] = {
        name: getattr(body, name)
        for name in body.model_fields_set
        if getattr(body, name) is not None
    }
    if body.approval_policy is not None:
        given["approval_policy"] = policy_of(body.approval_policy)
    if body.windows is not None:
        given["windows"] = windows_of(body.windows)
    async with services.store.transaction() as tx:
        before = await tx.environments.get(environment_id)
        await caller.must(tx, Permission.CONFIGURE, before.project_id)
        after = replace(before, **given)
        await tx.environments.change(after)
        await tx.audit.note(
            caller,
            "environment.update",
            "environment",
            environment_id,
            project_id=before.project_id,
            before=before,
            after=after,
        )
        await wake_environment(tx, environment_id, services.clock.now())
    services.wakes.due()
    return EnvironmentView.model_validate(after)


@router.delete("/environments/{environment_id}", status_code=204)
async def delete_environment(
    environment_id: EnvironmentId, caller: Configurer, services: Services
) -> None:
    """Remove it with its targets; refused while a deployment into it is under way."""
    async with services.store.transaction() as tx:
        environment = await tx.environments.get(environment_id)
        await caller.must(tx, Permission.CONFIGURE, environment.project_id)
        await tx.environments.remove(environment_id)
        await tx.audit.note(
            caller,
            "environment.delete",
            "environment",
            environment_id,
            project_id=environment.project_id,
            before=environment,
        )
