"""Warnings on a plan: legal, but probably not what was meant. Shown before anything is done."""

from collections.abc import Iterator
from dataclasses import dataclass

from boreas.domain.deployments import Deployment, Task
from boreas.domain.ids import TaskId
from boreas.domain.orders import HealthCheck
from boreas.domain.workflow import StrategyStep, TaskType
from boreas.engine.plan import Ground, PlannedApplication
from boreas.engine.waves import covered_by, is_blue_green, is_canary, tolerated


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanWarning:
    """A stable code, the sentence, and the task it is about, if one."""

    code: str
    text: str
    task_id: TaskId | None = None


def lint(deployment: Deployment, ground: Ground) -> tuple[PlanWarning, ...]:
    """Everything worth a second look in this plan, most important first."""
    return (
        *_about_applications(deployment, ground),
        *_about_steps(deployment, ground),
        *_about_approvals(deployment),
        *_about_tasks(deployment),
    )


def _about_applications(deployment: Deployment, ground: Ground) -> Iterator[PlanWarning]:
    deploys = {it.application_id: it for it in deployment.tasks if it.type is TaskType.DEPLOY}
    for application in ground.applications:
        task = deploys.get(application.id)
        if task is None:
            text = f"no task deploys {application.name}"
            yield PlanWarning(code="never_deployed", text=text)
            continue
        yield from _about_downtime(deployment, application, task)
        yield from _about_first(application, task)
        yield from _about_health(deployment, application, task)


def _about_downtime(
    deployment: Deployment, application: PlannedApplication, task: Task
) -> Iterator[PlanWarning]:
    release = application.release
    why = f": {release.cannot_stage_because}" if release.cannot_stage_because else ""
    if is_blue_green(deployment.strategy) and not task.blue_green:
        text = f"{application.name} cannot be staged beside itself{why}; all targets at once"
        yield PlanWarning(code="not_blue_green", text=text, task_id=task.id)
    if not release.can_stage and release.interrupts and not task.first_deployment:
        text = f"this will cause downtime of {application.name} on each target{why}"
        yield PlanWarning(code="downtime", text=text, task_id=task.id)


def _about_first(application: PlannedApplication, task: Task) -> Iterator[PlanWarning]:
    if task.first_deployment:
        text = (
            f"first deployment of {application.name} here: canary steps are skipped, and there is "
            "no earlier version to go back to"
        )
        yield PlanWarning(code="first_deployment", text=text, task_id=task.id)


def _about_health(
    deployment: Deployment, application: PlannedApplication, task: Task
) -> Iterator[PlanWarning]:
    check = application.release.health_check
    if check is None:
        if any(it.auto_rollback for it in deployment.strategy.steps):
            text = f"{application.name} has no health check: only a failing command takes it back"
            yield PlanWarning(code="no_health_check", text=text, task_id=task.id)
        return
    for code, text in _clashing_deadlines(check, task):
        yield PlanWarning(code=code, text=f"{application.name}: {text}", task_id=task.id)


def _clashing_deadlines(check: HealthCheck, task: Task) -> Iterator[tuple[str, str]]:
    if check.min_healthy_seconds >= check.healthy_deadline:
        yield (
            "never_healthy",
            f"min_healthy_seconds {check.min_healthy_seconds:g} is not below healthy_deadline "
            f"{check.healthy_deadline:g}: no target can ever become healthy",
        )
    if check.progress_deadline and check.healthy_deadline >= check.progress_deadline:
        yield (
            "progress_first",
            f"healthy_deadline {check.healthy_deadline:g} is not below progress_deadline "
            f"{check.progress_deadline:g}: the latter fires first",
        )
    if task.timeout_seconds is not None and task.timeout_seconds <= check.min_healthy_seconds:
        yield (
            "timeout_too_short",
            f"the task's timeout {task.timeout_seconds:g} s is shorter than "
            f"min_healthy_seconds {check.min_healthy_seconds:g}",
        )


def _about_steps(deployment: Deployment, ground: Ground) -> Iterator[PlanWarning]:
    steps = deployment.strategy.steps
    total = max((len(it.targets) for it in ground.applications), default=0)
    covered = 0
    for number, step in enumerate(steps, start=1):
        upto = covered_by(step, total, covered)
        fresh = upto - covered
        covered = upto
        yield from _about_step(step, number, fresh, total)
    if steps and covered < total:
        text = f"{total - covered} targets are left over after the last step; they follow it alike"
        yield PlanWarning(code="implicit_step", text=text)
    if not steps and total > 1 and not is_blue_green(deployment.strategy):
        text = "no strategy: all targets at once, and nothing goes back by itself"
        yield PlanWarning(code="no_strategy", text=text)


def _about_step(step: StrategyStep, number: int, fresh: int, total: int) -> Iterator[PlanWarning]:
    if fresh == 0:
        text = f"step {number} covers no new target"
        yield PlanWarning(code="empty_step", text=text)
    if step.batch_size.count and fresh and step.batch_size.count > fresh:
        text = f"step {number}: a batch of {step.batch_size.count} is more than its {fresh} targets"
        yield PlanWarning(code="batch_too_big", text=text)
    if is_canary(step) and not step.auto_rollback:
        text = f"step {number} is a canary but does not go back by itself when it fails"
        yield PlanWarning(code="canary_without_rollback", text=text)
    if total and tolerated(step.max_failures, total) >= total:
        text = f"step {number} tolerates the failure of every target"
        yield PlanWarning(code="tolerates_all", text=text)


def _about_approvals(deployment: Deployment) -> Iterator[PlanWarning]:
    policy = deployment.approval_policy
    asked = deployment.manual_approval or any(it.require_confirm for it in deployment.tasks)
    asked = asked or any(it.approval for it in deployment.stages)
    asked = asked or any(it.approval and it.answer is None for it in deployment.strategy.steps)
    if asked and policy.required > 1:
        text = f"each approval needs {policy.required} different people"
        yield PlanWarning(code="many_approvers", text=text)
    if any(it.approval and it.answer is False for it in deployment.strategy.steps):
        text = "a step is refused by the strategy itself: the deployment will go back after it"
        yield PlanWarning(code="refused_in_advance", text=text)


def _about_tasks(deployment: Deployment) -> Iterator[PlanWarning]:
    waited_for = {it for task in deployment.tasks for it in task.block_by}
    for task in deployment.tasks:
        alone = not task.block_by and task.id not in waited_for
        if task.type is TaskType.CUSTOM and alone and len(deployment.tasks) > 1:
            text = f"{task.name} has no edges: it runs at once, beside everything else"
            yield PlanWarning(code="loose_task", text=text, task_id=task.id)
