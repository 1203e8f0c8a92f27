"""What the strategy says about a failure: is it tolerated, and does the fleet go back."""

from boreas.domain.deployments import Execution, ExecutionState, Task
from boreas.domain.workflow import StrategyStep, TaskType
from boreas.engine.attempts import failures_of, latest
from boreas.engine.turn import Turn
from boreas.engine.waves import step_at, tolerated


def step_of_batch(turn: Turn, task: Task, batch: int) -> StrategyStep:
    """The strategy step behind a batch of a deploy task."""
    index = next((it.step for it in task.batches if it.number == batch), 0)
    return step_at(turn.deployment.strategy, index, first_deployment=task.first_deployment)


def goes_back(turn: Turn, execution: Execution) -> bool:
    """Whether the failure of this execution takes the fleet back: the word of its own step.

    Tasks that are not deployments have no step; for them the strategy's first one speaks.
    """
    task = turn.tasks[execution.task_id]
    if task.type is TaskType.DEPLOY:
        return step_of_batch(turn, task, execution.batch).auto_rollback
    return step_at(turn.deployment.strategy, 0).auto_rollback


def allowed_failures(turn: Turn, execution: Execution, total: int) -> int:
    """How many failed targets of its task are tolerated, seen from this failed execution."""
    task = turn.tasks[execution.task_id]
    check = turn.health_check_of(execution)
    if check is not None and check.progress_deadline == 0:
        return 0
    if task.type is TaskType.DEPLOY:
        step = step_of_batch(turn, task, execution.batch)
    elif task.type is TaskType.HEALTH_CHECK:
        # A target whose deployment failed and was tolerated must not fail its check untolerated.
        step = step_at(turn.deployment.strategy, len(turn.deployment.strategy.steps))
    else:
        return 0
    return tolerated(step.max_failures, total)


def intolerable_failure(turn: Turn, executions: list[Execution]) -> Execution | None:
    """The failure that stops the rollout: more than tolerated, or nothing else succeeded."""
    failures = failures_of(executions)
    if not failures:
        return None
    total = len({it.target_id for it in executions})
    bad = {it.target_id for it in failures}
    for failure in failures:
        if len(bad) > allowed_failures(turn, failure, total):
            return failure
    rest = [it for it in latest(executions) if it.target_id not in bad and not it.ignored]
    hopeless = all(it.state is ExecutionState.SKIPPED for it in rest)
    return failures[0] if hopeless else None
