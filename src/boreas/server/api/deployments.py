"""Deployments: asked for, planned, listed, looked at, explained."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from boreas.domain.deployments import Deployment, DeploymentState
from boreas.domain.ids import DeploymentId
from boreas.engine.explain import explain, reasons
from boreas.engine.preview import plan_preview
from boreas.server.asking import asked_for
from boreas.server.auth.callers import AnyUser, Caller, checks_itself
from boreas.server.auth.permits import DEPLOYING, Seer, check_thing
from boreas.server.bodies import V1Page, V1View
from boreas.server.creation import Creating
from boreas.server.deployment_bodies import (
    DeploymentBody,
)
from boreas.server.deployment_views import (
    DeploymentDetailView,
    DeploymentView,
    EventView,
    ReasonView,
    detail_view,
    event_view,
    reason_view,
)
from boreas.server.paging import USUAL, Cursor, Limit
from boreas.server.plan_inputs import read_inputs
from boreas.server.plan_views import PlanView, plan_view
from boreas.server.promotion import enforce
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import load, shown, shown_list
from boreas.server.task_views import Names
from boreas.server.wishes import announce
from boreas.store import SqlTransaction as Transaction
from boreas.store.history import Wanted

router = APIRouter(prefix="/api/v1/deployments", tags=["deployments"])


@router.post(
    "",
    status_code=201,
    response_model=DeploymentDetailView,
    responses={200: {"model": PlanView, "description": "`dryRun`: the plan, nothing done."}},
)
@checks_itself(*DEPLOYING)
async def create_deployment(
    body: DeploymentBody, caller: AnyUser, services: Services, creating: Creating
) -> Response:
    """Lay out a deployment and, unless `autoStart` is false, let it begin as its turn comes."""
    if body.dry_run:
        return await _dry_run(body, caller, services)
    now = services.clock.now()
    # Laid out before the transaction: thousands of tasks must not keep other writers waiting.
    # What is removed meanwhile makes `create` refuse.
    async with services.store.reading() as tx:
        asked = await asked_for(tx, body, caller, services)
    request, frozen = asked.request, asked.frozen
    deployment = asked.laid_out(now)
    view = detail_view(deployment, frozen.names, now, {}, frozen.releases)

    async def make(tx: Transaction) -> DeploymentDetailView:
        await check_thing(tx, caller, DEPLOYING, "environment_id", request.environment_id)
        await enforce(tx, caller, deployment, body.override)
        stored = await tx.deployments.create(deployment, frozen.releases, frozen.views, wake_at=now)
        if asked.used is not None:
            await tx.workflows.keep_copy(stored.id, asked.used.origin, asked.used.text)
        await tx.audit.note(
            caller,
            "deployment.create",
            "deployment",
            stored.id,
            project_id=stored.project_id,
            after=_said_of(stored, frozen.names),
        )
        await announce(tx, stored)
        return view.model_copy(update={"number": stored.number})

    response = await creating.run(make)
    services.wakes.due()
    return response


def _said_of(deployment: Deployment, names: Names) -> dict[str, Any]:
    """What was asked for, in a few words: the graph itself stays with the deployment."""
    return {
        "number": deployment.number,
        "version": names.version,
        "environment": names.environment,
        "environment_id": deployment.environment_id,
        "applications": [names.applications.get(each, each) for each in deployment.application_ids],
        "tasks": len(deployment.tasks),
        "manual_approval": deployment.manual_approval,
        "started": deployment.started,
    }


async def _dry_run(body: DeploymentBody, caller: Caller, services: ServiceBundle) -> Response:
    now = services.clock.now()
    async with services.store.reading() as tx:
        asked = await asked_for(tx, body, caller, services)
        frozen, deployment = asked.frozen, asked.laid_out(now)
        agents = frozen.agents
        live = {it.release_id for it in frozen.ground.live.values() if it.release_id}
        releases = await tx.deployments.release_views(live)
        inputs = await read_inputs(tx, deployment, frozen)
    preview = plan_preview(deployment, frozen.ground, agents, frozen.rules)
    versions = {str(id_): view.version for id_, view in releases.items()}
    view = plan_view(deployment, frozen.ground, preview, frozen.names, versions)
    view = view.model_copy(update=inputs)
    return Response(view.model_dump_json(by_alias=True), media_type="application/json")


@router.get("")
async def list_deployments(
    caller: AnyUser,
    services: Services,
    limit: Limit = USUAL,
    cursor: Cursor = None,
    project_id: Annotated[str | None, Query(alias="projectId")] = None,
    environment_id: Annotated[str | None, Query(alias="environmentId")] = None,
    application_id: Annotated[str | None, Query(alias="applicationId")] = None,
    version_id: Annotated[str | None, Query(alias="versionId")] = None,
    status: Annotated[list[DeploymentState] | None, Query()] = None,
    active: bool | None = None,
    q: Annotated[str, Query(max_length=200)] = "",
) -> V1Page[DeploymentView]:
    """The newest first; `q` looks into number, version, creator and id."""
    wanted = Wanted(
        project_id=project_id,
        environment_id=environment_id,
        application_id=application_id,
        version_id=version_id,
        states=tuple(status or ()),
        active=active,
        text=q,
        sight=caller.sight,
    )
    async with services.store.reading() as tx:
        page = await tx.deployments.page(wanted, cursor=cursor, limit=limit)
        views = await shown_list(tx, services, page.items)
    return V1Page(items=views, next_cursor=page.next_cursor)


@router.get("/{deployment_id}")
async def show_deployment(
    deployment_id: DeploymentId, caller: Seer, services: Services
) -> DeploymentDetailView:
    """One deployment with its tasks and the last lines of their logs."""
    return await shown(services, deployment_id)


class EventsView(V1View):
    """What happened, oldest first; ask again with `after=lastSeq`."""

    items: list[EventView]
    last_seq: int


@router.get("/{deployment_id}/events")
async def list_events(
    deployment_id: DeploymentId,
    caller: Seer,
    services: Services,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 500,
) -> EventsView:
    """The deployment's history."""
    async with services.store.reading() as tx:
        await tx.deployments.get(deployment_id)
        found = await tx.deployments.events(deployment_id, after=after, limit=limit)
    return EventsView(
        items=[event_view(event) for event in found],
        last_seq=found[-1].sequence if found else after,
    )


class ExplanationView(V1View):
    """Why it stands where it stands, in words and as reasons."""

    deployment_id: str
    text: str
    reasons: list[ReasonView]


@router.get("/{deployment_id}/explain")
async def explain_deployment(
    deployment_id: DeploymentId, caller: Seer, services: Services
) -> ExplanationView:
    """A sentence for each wait, hold, skip and going-back."""
    async with services.store.reading() as tx:
        snapshot = (await load(tx, services, deployment_id)).snapshot
    now = services.clock.now()
    return ExplanationView(
        deployment_id=deployment_id,
        text=explain(snapshot, now),
        reasons=[reason_view(reason) for reason in reasons(snapshot, now)],
    )
