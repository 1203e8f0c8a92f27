"""The graph of a deployment: its tasks one by one, or the whole list at once.

Editing follows optimistic locking: `revision` is the `workflowRevision` that was edited, a stale
one is a 409; left out, the present one is meant.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from boreas.domain.deployments import Deployment, Task
from boreas.domain.ids import DeploymentId, TaskId
from boreas.engine import edit
from boreas.engine.plan import Ground
from boreas.engine.snapshot import Decision
from boreas.server.auth.permits import Deployer, Seer
from boreas.server.bodies import V1Page, V1View
from boreas.server.creation import Creating
from boreas.server.deployment_bodies import (
    ApplicationNames,
    NewTaskBody,
    TaskFields,
    WorkflowBody,
    ids_by_name,
    new_task_request,
    placed_task_request,
)
from boreas.server.ground import ground_of
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import load, named_task, names_for, shown
from boreas.server.task_views import Names, TaskView, task_view
from boreas.server.wishes import Act, WishWithGround, grant_in, grant_with_ground
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/v1/deployments/{deployment_id}", tags=["tasks"])

Revision = Annotated[int | None, Query(description="The `workflowRevision` that was edited.")]
Edit = Callable[[Deployment, Ground, ApplicationNames, datetime], Decision]


class WorkflowSaved(V1View):
    """The workflow was saved; send `revision` with the next edit."""

    success: bool = True
    message: str = "工作流已更新"
    revision: int


def _edited(deployment: Deployment, revision: int | None) -> int:
    return deployment.workflow_revision if revision is None else revision


def _editing(make: Edit) -> WishWithGround:
    """An edit that first reads the ground it stands on."""

    async def wish(tx: Transaction, deployment: Deployment, now: datetime) -> Decision:
        ground = await ground_of(tx, deployment)
        names = ids_by_name((it.name, it.id) for it in ground.applications)
        return make(deployment, ground, names, now)

    return wish


@router.put("/workflow")
async def replace_workflow(
    deployment_id: DeploymentId, body: WorkflowBody, caller: Deployer, services: Services
) -> WorkflowSaved:
    """Replace the whole list of tasks; what a task leaves out stays as it is."""

    def make(
        deployment: Deployment, ground: Ground, names: ApplicationNames, now: datetime
    ) -> Decision:
        present = {task.id: task for task in deployment.tasks}
        requests = [
            placed_task_request(
                each, each.id, present.get(TaskId(each.id)), names, place=f"tasks[{index}]."
            )
            for index, each in enumerate(body.tasks)
        ]
        expected = _edited(deployment, body.revision)
        return edit.edit_workflow(
            deployment, requests, caller.name, ground=ground, expected=expected, now=now
        )

    act = Act(caller=caller, action="deployment.edit")
    decision = await grant_with_ground(services, deployment_id, act, _editing(make))
    return WorkflowSaved(revision=decision.next.workflow_revision)


class WorkflowCopyView(V1View):
    """The template that the tasks were made of, as it was then; null where there was none."""

    workflow_id: str | None
    workflow_version: int | None
    name: str | None
    text: str | None
    revision: int


@router.get("/workflow")
async def show_workflow_copy(
    deployment_id: DeploymentId, caller: Seer, services: Services
) -> WorkflowCopyView:
    """The copy of the workflow that the deployment took; `revision` grows as tasks are edited."""
    async with services.store.reading() as tx:
        deployment = await tx.deployments.get(deployment_id)
        copy = await tx.workflows.copy_of(deployment_id)
    return WorkflowCopyView(
        workflow_id=None if copy is None else copy.workflow_id,
        workflow_version=None if copy is None else copy.number,
        name=None if deployment.workflow is None else deployment.workflow.name,
        text=None if copy is None else copy.text,
        revision=deployment.workflow_revision,
    )


@router.get("/tasks")
async def list_tasks(
    deployment_id: DeploymentId, caller: Seer, services: Services
) -> V1Page[TaskView]:
    """All tasks in their order."""
    return V1Page(items=(await shown(services, deployment_id)).tasks)


@router.post("/tasks", status_code=201, response_model=TaskView)
async def add_task(
    deployment_id: DeploymentId,
    body: NewTaskBody,
    caller: Deployer,
    services: Services,
    creating: Creating,
    revision: Revision = None,
) -> Response:
    """One more task."""
    added: list[TaskId] = []

    def make(
        deployment: Deployment, ground: Ground, names: ApplicationNames, now: datetime
    ) -> Decision:
        request = new_task_request(body, names, order=_last_order(deployment.tasks) + 1)
        added.append(request.id)
        return edit.add_task(
            deployment,
            request,
            caller.name,
            ground=ground,
            expected=_edited(deployment, revision),
            now=now,
        )

    async def create(tx: Transaction) -> TaskView:
        now = services.clock.now()
        act = Act(caller=caller, action="task.create")
        decision = await grant_in(tx, now, deployment_id, act, _editing(make))
        names = await names_for(tx, await load(tx, services, deployment_id))
        return _one(decision.next, added[0], names, now)

    response = await creating.run(create)
    services.wakes.due()
    return response


def _last_order(tasks: Sequence[Task]) -> int:
    return max((task.order for task in tasks), default=-1)


def _one(deployment: Deployment, task_id: str, names: Names, now: datetime) -> TaskView:
    task = named_task(deployment.tasks, task_id)
    executions = [each for each in deployment.executions if each.task_id == task_id]
    return task_view(deployment, task, executions, names, now)


async def _shown_task(
    services: ServiceBundle, deployment_id: DeploymentId, task_id: str
) -> TaskView:
    return named_task((await shown(services, deployment_id)).tasks, task_id)


@router.get("/tasks/{task_id}")
async def show_task(
    deployment_id: DeploymentId, task_id: str, caller: Seer, services: Services
) -> TaskView:
    """One task."""
    return await _shown_task(services, deployment_id, task_id)


@router.put("/tasks/{task_id}")
async def change_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    body: TaskFields,
    caller: Deployer,
    services: Services,
    revision: Revision = None,
) -> TaskView:
    """Change a task that was not started; what is left out stays as it is."""

    def make(
        deployment: Deployment, ground: Ground, names: ApplicationNames, now: datetime
    ) -> Decision:
        present = named_task(deployment.tasks, task_id)
        request = placed_task_request(body, task_id, present, names)
        return edit.update_task(
            deployment,
            request,
            caller.name,
            ground=ground,
            expected=_edited(deployment, revision),
            now=now,
        )

    act = Act(caller=caller, action="task.update", task_id=task_id)
    await grant_with_ground(services, deployment_id, act, _editing(make))
    return await _shown_task(services, deployment_id, task_id)


@router.patch("/tasks/{task_id}")
async def patch_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    body: TaskFields,
    caller: Deployer,
    services: Services,
    revision: Revision = None,
) -> TaskView:
    """The same as PUT: what is left out stays as it is."""
    return await change_task(deployment_id, task_id, body, caller, services, revision)


@router.delete("/tasks/{task_id}", status_code=204)
async def delete_task(
    deployment_id: DeploymentId,
    task_id: TaskId,
    caller: Deployer,
    services: Services,
    revision: Revision = None,
) -> None:
    """Remove a task that was not started; refused while another one names it in `blockBy`."""

    def make(
        deployment: Deployment, ground: Ground, names: ApplicationNames, now: datetime
    ) -> Decision:
        return edit.delete_task(
            deployment,
            task_id,
            caller.name,
            ground=ground,
            expected=_edited(deployment, revision),
            now=now,
        )

    act = Act(caller=caller, action="task.delete", task_id=task_id)
    await grant_with_ground(services, deployment_id, act, _editing(make))
