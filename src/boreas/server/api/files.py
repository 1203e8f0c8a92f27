"""Files of tasks: put there for the commands (payload `files`), or left behind by them.

A command finds the first in BOREAS_INPUT_DIR and puts the second into BOREAS_OUTPUT_DIR.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse

from boreas.domain.deployments import Deployment, Task
from boreas.domain.errors import Conflict
from boreas.domain.ids import DeploymentId
from boreas.server.auth.permits import DEPLOYING, Deployer, LogReader, check_thing
from boreas.server.bodies import V1View
from boreas.server.services import ServiceBundle, Services
from boreas.server.showing import named_task
from boreas.server.task_files import TaskFiles

router = APIRouter(
    prefix="/api/v1/deployments/{deployment_id}/tasks/{task_id}/files", tags=["files"]
)


class TaskFileView(V1View):
    """A file of a task; `target` is null for one that was put there for the commands."""

    name: str
    size: int
    target: str | None = None


class TaskFilesView(V1View):
    """All files of a task."""

    files: list[TaskFileView]


@router.get("")
async def list_task_files(
    deployment_id: DeploymentId, task_id: str, caller: LogReader, services: Services
) -> TaskFilesView:
    """What was put there, then what came from each target."""
    deployment, task = await _task(services, deployment_id, task_id)
    ids = dict.fromkeys(e.target_id for e in deployment.executions if e.task_id == task.id)
    async with services.store.reading() as tx:
        found = [await tx.targets.find(id_) for id_ in ids]
    names = [target.name for target in found if target is not None]
    listed = TaskFiles(services.settings.file_dir).listed(deployment_id, task_id, names)
    views = [TaskFileView(name=it.name, size=it.size, target=it.target) for it in listed]
    return TaskFilesView(files=views)


@router.put("/{name}", status_code=201)
async def put_task_file(
    deployment_id: DeploymentId,
    task_id: str,
    name: str,
    request: Request,
    caller: Deployer,
    services: Services,
) -> TaskFileView:
    """Store the body as a file for the task's commands; only before the task has started."""
    deployment, task = await _task(services, deployment_id, task_id)
    if task.started_at is not None:
        raise Conflict(
            f"task {task_id} has started: its files are fixed; create the deployment with "
            "autoStart false, put the files, then start it"
        )
    files = TaskFiles(services.settings.file_dir)
    size = await files.keep(files.input(deployment_id, task_id, name), request.stream())
    async with services.store.transaction() as tx:
        # An upload can take long; who may not do this any more by now is told so.
        await check_thing(tx, caller, DEPLOYING, "deployment_id", deployment_id)
        await tx.audit.note(
            caller,
            "task.put_file",
            "deployment",
            deployment_id,
            project_id=deployment.project_id,
            after={"task_id": task_id, "name": name, "size": size},
        )
    return TaskFileView(name=name, size=size)


@router.get("/{name}", response_class=FileResponse)
async def get_task_file(
    deployment_id: DeploymentId,
    task_id: str,
    name: str,
    caller: LogReader,
    services: Services,
    target: Annotated[str | None, Query(description="Whose output; left out: an input.")] = None,
) -> FileResponse:
    """One file as it is."""
    await _task(services, deployment_id, task_id)
    files = TaskFiles(services.settings.file_dir)
    if target is None:
        path = files.input(deployment_id, task_id, name)
    else:
        path = files.output(deployment_id, task_id, target, name)
    return FileResponse(files.existing(path), filename=name, media_type="application/octet-stream")


async def _task(
    services: ServiceBundle, deployment_id: DeploymentId, task_id: str
) -> tuple[Deployment, Task]:
    async with services.store.reading() as tx:
        deployment = await tx.deployments.get(deployment_id)
    return deployment, named_task(deployment.tasks, task_id)
