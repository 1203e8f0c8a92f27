"""What a person can do with a deployment: start, confirm, reject, pause, cancel, go back."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from starlette.responses import JSONResponse

from boreas.domain.deployments import TERMINAL, Deployment
from boreas.domain.ids import DeploymentId, TargetId, TaskId
from boreas.domain.orders import ReleaseBody
from boreas.domain.permissions import Permission
from boreas.engine import people, people_targets, successor
from boreas.engine.snapshot import Decision, ReleaseView
from boreas.engine.successor import NewDeployment
from boreas.server.auth.permits import Deployer, Overrider
from boreas.server.creation import Creating, Creation
from boreas.server.deployment_bodies import CancelBody, CommentBody, SkipWindowBody
from boreas.server.deployment_views import DeploymentDetailView, detail_view
from boreas.server.promotion import refuse_blocked
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import load, names_for, releases_of, shown
from boreas.server.wishes import Act, Wish, announce, answering, grant, grant_with_ground
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/v1/deployments/{deployment_id}", tags=["deployments"])

Comment = Annotated[CommentBody | None, Body()]
NewOne: dict[int | str, dict[str, Any]] = {
    201: {"model": DeploymentDetailView, "description": "A new deployment was made."}
}


async def _granted(
    services: ServiceBundle, deployment_id: DeploymentId, act: Act, wish: Wish
) -> DeploymentDetailView:
    """Carry the wish out and answer what the deployment is now."""
    await grant(services, deployment_id, act, wish)
    return await shown(services, deployment_id)


@router.post("/start")
async def start_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services
) -> DeploymentDetailView:
    """Begin as soon as its turn comes (when it was made with `autoStart: false`)."""
    act = Act(caller=caller, action="deployment.start")

    async def wish(tx: Transaction, it: Deployment, now: datetime) -> Decision:
        await refuse_blocked(tx, it)
        return people.start(it, caller.name, now=now)

    await grant_with_ground(services, deployment_id, act, wish)
    return await shown(services, deployment_id)


@router.post("/confirm")
async def confirm_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services, body: Comment = None
) -> DeploymentDetailView:
    """Agree to the approval that is waited for; who and when are recorded."""
    act = Act(caller=caller, action="deployment.confirm", why=_said(body), approves=True)
    return await _granted(
        services, deployment_id, act, answering(people.confirm, body, caller.name)
    )


@router.post("/reject")
async def reject_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services, body: Comment = None
) -> DeploymentDetailView:
    """Refuse it: what was changed goes back; if nothing was, it is cancelled."""
    act = Act(caller=caller, action="deployment.reject", why=_said(body))
    return await _granted(services, deployment_id, act, answering(people.reject, body, caller.name))


@router.post("/pause")
async def pause_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services
) -> DeploymentDetailView:
    """Start nothing new until it is resumed."""
    act = Act(caller=caller, action="deployment.pause")
    return await _granted(
        services, deployment_id, act, lambda it, now: people.pause(it, caller.name, now=now)
    )


@router.post("/resume")
async def resume_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services
) -> DeploymentDetailView:
    """Go on after a pause."""
    act = Act(caller=caller, action="deployment.resume")
    return await _granted(
        services, deployment_id, act, lambda it, now: people.resume(it, caller.name, now=now)
    )


@router.post("/skip-window")
async def skip_window(
    deployment_id: DeploymentId, caller: Overrider, services: Services, body: SkipWindowBody
) -> DeploymentDetailView:
    """Let it pass the environment's windows, this once; who and why are recorded."""
    act = Act(
        caller=caller,
        action="deployment.skip_window",
        permissions=(Permission.OVERRIDE,),
        why=body.reason,
    )
    return await _granted(
        services,
        deployment_id,
        act,
        lambda it, now: people.skip_window(it, caller.name, now=now, reason=body.reason),
    )


@router.post("/cancel")
async def cancel_deployment(
    deployment_id: DeploymentId,
    caller: Deployer,
    services: Services,
    rollback: Annotated[bool, Query(description="Also bring back what was changed.")] = False,
    body: Annotated[CancelBody | None, Body()] = None,
) -> DeploymentDetailView:
    """Ask for the end; it is `cancelled` when every agent has stopped."""
    said = body or CancelBody()
    back = rollback or said.rollback

    def wish(it: Deployment, now: datetime) -> Decision:
        return people.cancel(it, caller.name, now=now, rollback=back, comment=said.comment)

    act = Act(caller=caller, action="deployment.cancel", why=said.comment)
    return await _granted(services, deployment_id, act, wish)


@router.post("/rollback", responses=NewOne)
async def roll_back_deployment(
    deployment_id: DeploymentId,
    caller: Deployer,
    services: Services,
    creating: Creating,
    body: Comment = None,
) -> Response:
    """Every changed target back to what it ran before: in place, or as a new deployment (201)."""
    comment = (body or CommentBody()).comment
    return await _in_place_or_anew(
        services,
        deployment_id,
        creating,
        lambda it, now: people.rollback(it, caller.name, now=now, comment=comment),
        _Succession(
            services,
            Act(caller=caller, action="deployment.rollback", why=comment),
            successor.rollback_of,
        ),
    )


@router.post("/retry", responses=NewOne)
async def retry_deployment(
    deployment_id: DeploymentId, caller: Deployer, services: Services, creating: Creating
) -> Response:
    """Only what failed, with the same snapshot: in place, or as a new deployment (201)."""
    return await _in_place_or_anew(
        services,
        deployment_id,
        creating,
        lambda it, now: people_targets.retry_failed(it, caller.name, now=now),
        _Succession(services, Act(caller=caller, action="deployment.retry"), successor.retry_of),
    )


@router.post("/targets/{target_id}/ignore")
async def ignore_target(
    deployment_id: DeploymentId,
    target_id: TargetId,
    caller: Overrider,
    services: Services,
    task_id: Annotated[TaskId | None, Query(alias="taskId")] = None,
    body: Comment = None,
) -> DeploymentDetailView:
    """This target counts no more, in one task or in all of them."""
    comment = (body or CommentBody()).comment

    def wish(it: Deployment, now: datetime) -> Decision:
        return people_targets.ignore_target(
            it, target_id, caller.name, now=now, task_id=task_id, comment=comment
        )

    act = Act(
        caller=caller,
        action="deployment.ignore_target",
        permissions=(Permission.OVERRIDE,),
        why=comment,
        task_id=task_id,
        target_id=target_id,
    )
    return await _granted(services, deployment_id, act, wish)


def _said(body: CommentBody | None) -> str:
    return "" if body is None else body.comment


class _Succession:
    """Makes a new deployment out of a finished one."""

    def __init__(
        self,
        services: ServiceBundle,
        act: Act,
        make: Callable[[Deployment, NewDeployment], Deployment],
    ) -> None:
        self._services = services
        self.act = act
        self._make = make

    async def create(self, tx: Transaction, finished_id: DeploymentId) -> DeploymentDetailView:
        now = self._services.clock.now()
        loaded = await load(tx, self._services, finished_id)
        snapshot = loaded.snapshot
        await self.act.check(tx, snapshot.deployment)
        new = NewDeployment(
            id=DeploymentId(self._services.ids("dep")),
            number=0,
            by=self.act.caller.name,
            now=now,
            live=snapshot.live,
            target_names=snapshot.target_names,
        )
        releases: list[ReleaseBody] = []
        views: list[ReleaseView] = []
        # It points at the releases of the first one; they are not stored again.
        laid_out = self._make(snapshot.deployment, new)
        await refuse_blocked(tx, laid_out)
        made = await tx.deployments.create(laid_out, releases, views, wake_at=now)
        await announce(tx, made)
        await tx.audit.note(
            self.act.caller,
            self.act.action,
            "deployment",
            made.id,
            project_id=made.project_id,
            after={"of": finished_id, "number": made.number},
            why=self.act.why,
        )
        brought = await releases_of(tx, made)
        return detail_view(made, await names_for(tx, loaded), now, {}, brought)


async def _in_place_or_anew(
    services: ServiceBundle,
    deployment_id: DeploymentId,
    creating: Creation,
    wish: Wish,
    succession: _Succession,
) -> Response:
    async with services.store.reading() as tx:
        finished = (await load(tx, services, deployment_id)).snapshot.deployment.state in TERMINAL
    if not finished:
        view = await _granted(services, deployment_id, succession.act, wish)
        return JSONResponse(view.model_dump(mode="json", by_alias=True))
    response = await creating.run(lambda tx: succession.create(tx, deployment_id))
    services.wakes.due()
    return response
