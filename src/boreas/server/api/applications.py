"""Applications: what is deployed, by which driver, and how one asks whether it is healthy."""

from dataclasses import fields, replace
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.builds import parse_build
from boreas.domain.health_specs import parse_health_check
from boreas.domain.ids import ApplicationId, ProjectId
from boreas.domain.orders import DriverKind, HealthCheck
from boreas.domain.permissions import Permission
from boreas.domain.projects import Application
from boreas.domain.specs import check_application
from boreas.server.auth.permits import Configurer, Seer
from boreas.server.bodies import Body, ConfigDocument, Moment, Name, Page, View, Whole
from boreas.server.build_plans import check_build, shown_build
from boreas.server.creation import Creating
from boreas.server.named_credentials import credentials_of
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release", tags=["applications"])


class ApplicationBody(Body):
    """A whole application; `spec` is as its driver wants it (docs/reference)."""

    name: Name
    driver: DriverKind
    spec: dict[str, Any]
    health_check: dict[str, Any] | None = None
    config: ConfigDocument = Field(default_factory=dict)
    build: dict[str, Any] | None = None
    position: Whole | None = Field(default=None, ge=0, le=1_000_000)


class ApplicationPatch(Body):
    """The parts of an application to change."""

    name: Name | None = None
    driver: DriverKind | None = None
    spec: dict[str, Any] | None = None
    health_check: dict[str, Any] | None = None
    config: ConfigDocument | None = None
    build: dict[str, Any] | None = None
    position: Whole | None = Field(default=None, ge=0, le=1_000_000)


class ApplicationView(View):
    """An application."""

    id: str
    project_id: str
    name: str
    driver: DriverKind
    spec: dict[str, Any]
    health_check: dict[str, Any] | None
    config: dict[str, Any]
    build: dict[str, Any] | None
    position: int
    created_at: Moment
    updated_at: Moment


def health_check_view(check: HealthCheck | None) -> dict[str, Any] | None:
    """The check as it was written, with its times filled in."""
    if check is None:
        return None
    shown = {part.name: getattr(check, part.name) for part in fields(check)}
    return {name: value for name, value in shown.items() if value is not None}


def _view(application: Application) -> ApplicationView:
    return ApplicationView(
        id=application.id,
        project_id=application.project_id,
        name=application.name,
        driver=application.driver,
        spec=dict(application.spec),
        health_check=health_check_view(application.health_check),
        config=dict(application.config),
        build=shown_build(application),
        position=application.position,
        created_at=application.created_at,
        updated_at=application.updated_at,
    )


@router.post("/projects/{project_id}/applications", status_code=201, response_model=ApplicationView)
async def create_application(
    project_id: ProjectId,
    body: ApplicationBody,
    caller: Configurer,
    services: Services,
    creating: Creating,
) -> Response:
    """Make an application; its name is unique in the project."""
    check_application(body.driver, body.spec, body.health_check)
    parse_build(body.build)
    now = services.clock.now()
    application = Application(
        id=ApplicationId(services.ids("app")),
        project_id=project_id,
        name=body.name,
        driver=body.driver,
        spec=body.spec,
        health_check=parse_health_check(body.health_check, body.driver),
        config=body.config,
        build=body.build or {},
        position=body.position or 0,
        created_at=now,
        updated_at=now,
    )

    async def make(tx: Transaction) -> ApplicationView:
        await caller.must(tx, Permission.CONFIGURE, project_id)
        await tx.projects.get(project_id)
        await credentials_of(tx, application)
        await check_build(tx, application)
        added = await tx.applications.add(application)
        if body.position is not None:
            added = replace(added, position=body.position)
            await tx.applications.change(added)
        await tx.audit.note(
            caller,
            "application.create",
            "application",
            added.id,
            project_id=project_id,
            after=added,
        )
        return _view(added)

    return await creating.run(make)


@router.get("/projects/{project_id}/applications")
async def list_applications(
    project_id: ProjectId,
    caller: Seer,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
) -> Page[ApplicationView]:
    """The project's applications in their stored order."""
    async with services.store.reading() as tx:
        await tx.projects.get(project_id)
        page = await tx.applications.page(within=project_id, cursor=cursor, limit=limit)
    return Page(
        items=[_view(application) for application in page.items], next_cursor=page.next_cursor
    )


@router.get("/applications/{application_id}")
async def show_application(
    application_id: ApplicationId, caller: Seer, services: Services
) -> ApplicationView:
    """One application."""
    async with services.store.reading() as tx:
        return _view(await tx.applications.get(application_id))


@router.put("/applications/{application_id}")
async def replace_application(
    application_id: ApplicationId, body: ApplicationBody, caller: Configurer, services: Services
) -> ApplicationView:
    """Set everything that can be set; a health check that is left out is removed."""
    patch = ApplicationPatch.model_validate(body.model_dump())
    return await change_application(application_id, patch, caller, services)


@router.patch("/applications/{application_id}")
async def change_application(
    application_id: ApplicationId, body: ApplicationPatch, caller: Configurer, services: Services
) -> ApplicationView:
    """Change what is given. Deployments that exist keep what they were made with."""
    given = {name: getattr(body, name) for name in body.model_fields_set}
    async with services.store.transaction() as tx:
        before = await tx.applications.get(application_id)
        await caller.must(tx, Permission.CONFIGURE, before.project_id)
        after = _changed(before, given)
        after = replace(after, updated_at=services.clock.now())
        await credentials_of(tx, after)
        await check_build(tx, after)
        await tx.applications.change(after)
        await tx.audit.note(
            caller,
            "application.update",
            "application",
            application_id,
            project_id=before.project_id,
            before=before,
            after=after,
        )
    return _view(after)


def _changed(before: Application, given: dict[str, Any]) -> Application:
    """With these parts; `null` means none for check and build, unchanged for the rest."""
    driver = given.get("driver") or before.driver
    spec = given.get("spec") or before.spec
    check = given.get("health_check", health_check_view(before.health_check))
    check_application(driver, spec, check)
    build = given.get("build", before.build) or {}
    parse_build(build)
    return replace(
        before,
        name=given.get("name") or before.name,
        driver=driver,
        spec=spec,
        health_check=parse_health_check(check, driver),
        config=before.config if given.get("config") is None else given["config"],
        build=build,
        position=before.position if given.get("position") is None else given["position"],
    )


@router.delete("/applications/{application_id}", status_code=204)
async def delete_application(
    application_id: ApplicationId, caller: Configurer, services: Services
) -> None:
    """Remove it; what is deployed stays on its targets. Refused while it is being deployed."""
    async with services.store.transaction() as tx:
        application = await tx.applications.get(application_id)
        await caller.must(tx, Permission.CONFIGURE, application.project_id)
        await tx.applications.remove(application_id)
        await tx.audit.note(
            caller,
            "application.delete",
            "application",
            application_id,
            project_id=application.project_id,
            before=application,
        )
