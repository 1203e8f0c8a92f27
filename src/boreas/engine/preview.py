"""What a deployment would do, for `boreas plan` and dryRun: nothing is done and nothing is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

from boreas.domain.deployments import Deployment, ExecutionKind, Task
from boreas.domain.fleet import AgentView
from boreas.domain.ids import AgentId, ApplicationId, ReleaseId, TargetId, TaskId
from boreas.domain.workflow import TaskType
from boreas.engine.attempts import KIND_ORDER
from boreas.engine.conditions import is_to_be_skipped
from boreas.engine.graph import graph_of
from boreas.engine.plan import Ground
from boreas.engine.plan_lint import PlanWarning, lint
from boreas.engine.snapshot import FREE, Rules
from boreas.engine.waves import step_at
from boreas.engine.windows import holds


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRound:
    """Targets that are started together, by name, and what is done there."""

    kind: ExecutionKind
    batch: int
    step: int | None
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One task of the plan, in an order in which they could run."""

    id: TaskId
    name: str
    type: TaskType
    application: str | None
    waits_for: tuple[TaskId, ...]
    first_deployment: bool
    blue_green: bool
    require_confirm: bool
    rounds: tuple[PlannedRound, ...]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """What becomes of one application on one target; `before` None: nothing known is there."""

    application_id: ApplicationId
    application: str
    target_id: TargetId
    target: str
    before: ReleaseId | None
    after: ReleaseId
    mixed: bool
    """An earlier deployment left it uncertain what runs there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPreview:
    """The whole answer of a dry run, as far as the engine knows it."""

    tasks: tuple[PlannedTask, ...]
    changes: tuple[PlannedChange, ...]
    approvals: tuple[str, ...]
    offline: tuple[str, ...]
    """Targets whose agent is not there now; they would be waited for."""
    holds: tuple[str, ...]
    """What would keep it from beginning: its own time, a manual lock, a closed window."""
    warnings: tuple[PlanWarning, ...]


def plan_preview(
    deployment: Deployment,
    ground: Ground,
    agents: Mapping[AgentId, AgentView],
    rules: Rules = FREE,
) -> PlanPreview:
    """What this laid-out deployment would do on this ground."""
    graph = graph_of(deployment.tasks, deployment.must_in_order)
    tasks = {it.id: it for it in deployment.tasks}
    names = {it.id: it.name for it in (*ground.targets, *ground.builders)}
    rounds = _rounds(deployment, names)
    planned = tuple(
        _task(tasks[task_id], ground, graph.before(task_id), rounds.get(task_id, ()))
        for task_id in graph.order
    )
    return PlanPreview(
        tasks=planned,
        changes=_changes(deployment, ground),
        approvals=_approvals(deployment),
        offline=_offline(deployment, names, agents),
        holds=holds(deployment, rules, deployment.created_at),
        warnings=lint(deployment, ground),
    )


def _task(
    task: Task, ground: Ground, before: tuple[TaskId, ...], rounds: tuple[PlannedRound, ...]
) -> PlannedTask:
    application = ground.application(task.application_id) if task.application_id else None
    return PlannedTask(
        id=task.id,
        name=task.name,
        type=task.type,
        application=application.name if application is not None else None,
        waits_for=before,
        first_deployment=task.first_deployment,
        blue_green=task.blue_green,
        require_confirm=task.require_confirm,
        rounds=rounds,
        note=task.reason,
    )


def _rounds(
    deployment: Deployment, names: Mapping[TargetId, str]
) -> dict[TaskId, tuple[PlannedRound, ...]]:
    cut: dict[TaskId, dict[tuple[int, int, ExecutionKind], list[str]]] = {}
    for row in deployment.executions:
        key = (KIND_ORDER[row.kind], row.batch, row.kind)
        of_task = cut.setdefault(row.task_id, {})
        of_task.setdefault(key, []).append(names.get(row.target_id, row.target_id))
    step_of = {(t.id, b.number): b.step for t in deployment.tasks for b in t.batches}
    return {
        task_id: tuple(
            PlannedRound(
                kind=key[2],
                batch=key[1],
                step=step_of.get((task_id, key[1])),
                targets=tuple(of_task[key]),
            )
            for key in sorted(of_task)
        )
        for task_id, of_task in cut.items()
    }


def _changes(deployment: Deployment, ground: Ground) -> tuple[PlannedChange, ...]:
    deployed = {
        it.application_id
        for it in deployment.tasks
        if it.type is TaskType.DEPLOY and not is_to_be_skipped(deployment, it)
    }
    changes: list[PlannedChange] = []
    for application in ground.applications:
        if application.id not in deployed:
            continue
        for target in application.targets:
            record = ground.live.get((application.id, target.id))
            changes.append(
                PlannedChange(
                    application_id=application.id,
                    application=application.name,
                    target_id=target.id,
                    target=target.name,
                    before=record.release_id if record is not None else None,
                    after=application.release.id,
                    mixed=record is not None and record.uncertain_release_id is not None,
                )
            )
    return tuple(changes)


def _approvals(deployment: Deployment) -> tuple[str, ...]:
    policy = deployment.approval_policy
    whom = f" by {policy.approvers}" if policy.approvers else ""
    count = f" ({policy.required} people)" if policy.required > 1 else ""
    return tuple(f"{it}{whom}{count}" for it in _asked(deployment))


def _asked(deployment: Deployment) -> list[str]:
    approvals = ["before the first task"] if deployment.manual_approval else []
    wanted = {it.stage for it in deployment.tasks if not is_to_be_skipped(deployment, it)}
    approvals += [
        f"before stage {stage.name}"
        for index, stage in enumerate(deployment.stages)
        if stage.approval and index in wanted
    ]
    for task in deployment.tasks:
        if task.require_confirm:
            approvals.append(f"before {task.name}")
        for index in sorted({it.step for it in task.batches}):
            step = step_at(deployment.strategy, index, first_deployment=task.first_deployment)
            if step.approval and step.answer is None:
                approvals.append(f"after step {index + 1} of {task.name}")
    return approvals


def _offline(
    deployment: Deployment,
    names: Mapping[TargetId, str],
    agents: Mapping[AgentId, AgentView],
) -> tuple[str, ...]:
    away = {
        names.get(row.target_id, row.target_id): None
        for row in deployment.executions
        if (agent := agents.get(row.agent_id)) is None or not agent.online or agent.revoked
    }
    return tuple(away)
