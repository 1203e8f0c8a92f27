"""The graph that a workflow would make for a version and an environment; nothing is kept.

Says of each task whether it would be done, and why not; edges that only come from the order of
stages are not listed one by one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fastapi import APIRouter, Response
from pydantic import Field

from boreas.domain.deployments import Deployment, Task
from boreas.domain.ids import ProjectId, TaskId
from boreas.domain.manifests.schema import SCHEMA as PROJECT_SCHEMA
from boreas.domain.workflow import TaskRequest
from boreas.domain.workflows.schema import SCHEMA
from boreas.engine import conditions
from boreas.engine.edit import request_of
from boreas.engine.graph import graph_of
from boreas.engine.preview import PlanPreview, plan_preview
from boreas.server.api.workflows import TemplateText
from boreas.server.asking import Asked, asked_for
from boreas.server.auth.callers import Caller, Public
from boreas.server.auth.permits import Seer
from boreas.server.bodies import Body, View, Whole
from boreas.server.deployment_bodies import DeploymentBody
from boreas.server.services import ServiceBundle, Services

router = APIRouter(prefix="/api/release", tags=["workflows"])


class PreviewBody(Body):
    """What it would be deployed with. `text`: as it would be with this text, which is not saved."""

    version_id: str
    environment_id: str
    application_ids: list[str] | None = Field(default=None, max_length=1000)
    variables: dict[str, str] = Field(default_factory=dict, max_length=200)
    number: Whole | None = Field(default=None, ge=1)
    text: TemplateText | None = None


class TextPreviewBody(PreviewBody):
    """A template that is not saved."""

    text: TemplateText


class StagePreview(View):
    """A stage; `is_skipped`: nothing in it would be done."""

    number: int
    name: str
    approval: bool
    continue_on: list[str]
    tasks: list[str]
    is_skipped: bool


class RetryPreview(View):
    """How often a failed attempt is repeated, after so many seconds."""

    count: int
    delay: float


class TaskPreview(View):
    """A task. `verdict`: `run`, `skip`, or `later` when it depends on results; `because` says why.

    `needs` are the tasks that it directly waits for, its stage's order left out.
    """

    id: str
    name: str
    type: str
    application: str | None
    stage: int | None
    needs: list[str]
    when: str | None
    verdict: str
    because: str | None
    targets: list[str]
    confirm: bool
    retry: RetryPreview | None
    continue_on: list[str]
    timeout_seconds: float | None


class WarningPreview(View):
    """Legal, but probably not what was meant."""

    code: str
    text: str
    task_id: str | None


class WorkflowPreview(View):
    """The graph that would be made."""

    workflow_id: str | None
    workflow: str | None
    number: int | None
    version: str
    environment: str
    applications: list[str]
    stages: list[StagePreview]
    tasks: list[TaskPreview]
    approvals: list[str]
    notes: list[str]
    warnings: list[WarningPreview]
    offline: list[str]
    text: str


@router.get("/schemas/workflow.json", response_model=None, dependencies=[Public])
async def show_workflow_schema() -> Response:
    """The JSON Schema of templates, for editors."""
    return Response(json.dumps(SCHEMA, indent=2), media_type="application/schema+json")


@router.get("/schemas/project.json", response_model=None, dependencies=[Public])
async def show_project_schema() -> Response:
    """The JSON Schema of project files (`boreas apply`), for editors."""
    return Response(json.dumps(PROJECT_SCHEMA, indent=2), media_type="application/schema+json")


@router.post("/projects/{project_id}/workflows/preview")
async def preview_text(
    project_id: ProjectId, body: TextPreviewBody, caller: Seer, services: Services
) -> WorkflowPreview:
    """What a template that is not saved would make."""
    return await _preview(project_id, None, body, caller, services)


@router.post("/projects/{project_id}/workflows/{workflow_id}/preview")
async def preview_workflow(
    project_id: ProjectId, workflow_id: str, body: PreviewBody, caller: Seer, services: Services
) -> WorkflowPreview:
    """What this workflow would make, in its newest version or the one with this `number`."""
    return await _preview(project_id, workflow_id, body, caller, services)


async def _preview(
    project_id: str,
    workflow_id: str | None,
    body: PreviewBody,
    caller: Caller,
    services: ServiceBundle,
) -> WorkflowPreview:
    wanted = DeploymentBody.model_validate(
        {
            "versionId": body.version_id,
            "environmentId": body.environment_id,
            "applicationIds": body.application_ids,
            "workflowId": workflow_id or "unsaved",
            "workflowVersion": body.number,
            "variables": body.variables,
        }
    )
    async with services.store.reading() as tx:
        asked = await asked_for(tx, wanted, caller, services, text=body.text, within=project_id)
        agents = asked.frozen.agents
    deployment = asked.laid_out(services.clock.now())
    plan = plan_preview(deployment, asked.frozen.ground, agents, asked.frozen.rules)
    return _view(workflow_id, asked, deployment, plan)


def _view(
    workflow_id: str | None, asked: Asked, deployment: Deployment, plan: PlanPreview
) -> WorkflowPreview:
    assert asked.used is not None
    origin, names = asked.used.origin, asked.frozen.names
    tasks = list(_tasks(asked, deployment))
    return WorkflowPreview(
        workflow_id=workflow_id,
        workflow=origin.name or None,
        number=origin.version or None,
        version=names.version,
        environment=names.environment,
        applications=[names.applications[it] for it in deployment.application_ids],
        stages=_stages(deployment, tasks),
        tasks=tasks,
        approvals=list(plan.approvals),
        notes=list(asked.used.compiled.notes),
        warnings=[
            WarningPreview(code=it.code, text=it.text, task_id=it.task_id) for it in plan.warnings
        ],
        offline=list(plan.offline),
        text="\n".join(_lines(deployment, tasks)),
    )


def _tasks(asked: Asked, deployment: Deployment) -> Iterator[TaskPreview]:
    targets = _targets(deployment, asked.frozen.names.targets)
    needs = _needs_inside_stages(deployment)
    names = asked.frozen.names.applications
    for task in deployment.tasks:
        verdict, because = _verdict(task, deployment)
        yield TaskPreview(
            id=task.id,
            name=task.name,
            type=task.type,
            application=names.get(task.application_id or ""),
            stage=None if task.stage is None else task.stage + 1,
            needs=list(needs.get(task.id, ())),
            when=None if task.when is None else task.when.text,
            verdict=verdict,
            because=because,
            targets=targets.get(task.id, []),
            confirm=task.require_confirm,
            retry=(
                None
                if task.retry is None
                else RetryPreview(count=task.retry.count, delay=task.retry.delay)
            ),
            continue_on=[it.value for it in task.continue_on],
            timeout_seconds=task.timeout_seconds,
        )


def _verdict(task: Task, deployment: Deployment) -> tuple[str, str | None]:
    if task.when is None:
        return "run", None
    found = conditions.foretold(task, deployment.facts)
    if found is None:
        asked = ", ".join(task.when.results)
        return "later", f"the condition `{task.when.text}` asks for the results of {asked}"
    return ("run" if found.holds else "skip"), found.because


def _targets(deployment: Deployment, names: Mapping[str, str]) -> dict[TaskId, list[str]]:
    found: dict[TaskId, dict[str, None]] = {}
    for row in deployment.executions:
        found.setdefault(row.task_id, {})[names.get(row.target_id, row.target_id)] = None
    return {task_id: list(them) for task_id, them in found.items()}


def _needs_inside_stages(deployment: Deployment) -> dict[TaskId, tuple[TaskId, ...]]:
    """Direct predecessors but for the order of stages, which alone may make millions of edges."""
    by_stage: dict[int | None, list[Task]] = {}
    for task in deployment.tasks:
        by_stage.setdefault(task.stage, []).append(task)
    found: dict[TaskId, tuple[TaskId, ...]] = {}
    for tasks in by_stage.values():
        here = {it.id for it in tasks}
        # Needs of earlier stages are added by hand: this graph knows only one stage.
        requests = [_within(request_of(it), here) for it in tasks]
        graph = graph_of(requests, deployment.must_in_order)
        for task in tasks:
            beyond = [it for it in task.block_by if it not in here]
            found[task.id] = tuple(dict.fromkeys([*graph.before(task.id), *beyond]))
    return found


def _within(request: TaskRequest, here: set[TaskId]) -> TaskRequest:
    return replace(request, block_by=tuple(it for it in request.block_by if it in here))


def _stages(deployment: Deployment, tasks: Sequence[TaskPreview]) -> list[StagePreview]:
    found = []
    for index, stage in enumerate(deployment.stages):
        mine = [it for it in tasks if it.stage == index + 1]
        found.append(
            StagePreview(
                number=index + 1,
                name=stage.name,
                approval=stage.approval,
                continue_on=list(stage.continue_on),
                tasks=[it.id for it in mine],
                is_skipped=all(it.verdict == "skip" for it in mine),
            )
        )
    return found


def _lines(deployment: Deployment, tasks: Sequence[TaskPreview]) -> Iterator[str]:
    """The graph as text, stage by stage."""
    stages: list[int | None] = [n + 1 for n in range(len(deployment.stages))] or [None]
    for number in stages:
        if number is not None:
            stage = deployment.stages[number - 1]
            yield f"stage {stage.name}" + (", after approval" if stage.approval else "")
        for task in tasks:
            if task.stage == number:
                yield _line(task)


def _line(task: TaskPreview) -> str:
    after = f" after {', '.join(task.needs[:5])}" if task.needs else ""
    more = f" and {len(task.needs) - 5} more" if len(task.needs) > 5 else ""
    where = f" on {', '.join(task.targets[:5])}" if task.targets else ""
    where += f" and {len(task.targets) - 5} more" if len(task.targets) > 5 else ""
    mark = {"run": "+", "skip": "-", "later": "?"}[task.verdict]
    why = f": {task.because}" if task.because and task.verdict != "run" else ""
    return f"  {mark} {task.id} ({task.type}){where}{after}{more}{why}"
