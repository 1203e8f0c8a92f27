"""What a person can do with one task: confirm, reject, retry, skip."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body

from boreas.domain.deployments import Deployment
from boreas.domain.ids import DeploymentId, TaskId
from boreas.domain.permissions import Permission
from boreas.engine import people, people_targets
from boreas.engine.snapshot import Decision
from boreas.server.auth.permits import Deployer, Overrider
from boreas.server.deployment_bodies import CommentBody
from boreas.server.deployment_views import DeploymentDetailView
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import named_task, shown
from boreas.server.wishes import Act, Wish, answering, grant

router = APIRouter(prefix="/api/v1/deployments/{deployment_id}/tasks/{task_id}", tags=["tasks"])

Comment = Annotated[CommentBody | None, Body()]


async def _granted(
    services: ServiceBundle, deployment_id: DeploymentId, act: Act, wish: Wish
) -> DeploymentDetailView:
    def checked(deployment: Deployment, now: datetime) -> Decision:
        named_task(deployment.tasks, str(act.task_id))
        return wish(deployment, now)

    await grant(services, deployment_id, act, checked)
    return await shown(services, deployment_id)


@router.post("/confirm")
async def confirm_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    caller: Deployer,
    services: Services,
    body: Comment = None,
) -> DeploymentDetailView:
    """Agree to the approval that this task waits for."""
    wish = answering(people.confirm, body, caller.name, task_id)
    why = "" if body is None else body.comment
    act = Act(caller=caller, action="task.confirm", task_id=task_id, why=why, approves=True)
    return await _granted(services, deployment_id, act, wish)


@router.post("/reject")
async def reject_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    caller: Deployer,
    services: Services,
    body: Comment = None,
) -> DeploymentDetailView:
    """Refuse it: what was changed goes back."""
    wish = answering(people.reject, body, caller.name, task_id)
    why = "" if body is None else body.comment
    act = Act(caller=caller, action="task.reject", task_id=task_id, why=why)
    return await _granted(services, deployment_id, act, wish)


@router.post("/retry")
async def retry_task(
    deployment_id: DeploymentId, task_id: TaskId, caller: Deployer, services: Services
) -> DeploymentDetailView:
    """Try again what failed in this task, while the deployment is still active."""

    def wish(it: Deployment, now: datetime) -> Decision:
        return people_targets.retry_failed(it, caller.name, now=now, task_id=task_id)

    act = Act(caller=caller, action="task.retry", task_id=task_id)
    return await _granted(services, deployment_id, act, wish)


@router.post("/skip")
async def skip_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    caller: Overrider,
    services: Services,
    body: Comment = None,
) -> DeploymentDetailView:
    """Count a task that was not started as done."""
    said = body or CommentBody()

    def wish(it: Deployment, now: datetime) -> Decision:
        return people_targets.skip_task(it, task_id, caller.name, now=now, comment=said.comment)

    act = Act(
        caller=caller,
        action="task.skip",
        permissions=(Permission.OVERRIDE,),
        task_id=task_id,
        why=said.comment,
    )
    return await _granted(services, deployment_id, act, wish)
