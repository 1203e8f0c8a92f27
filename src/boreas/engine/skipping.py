"""Conditions at run time: a task whose turn has come is done, skipped, or stops everything."""

from boreas.domain.deployments import StopKind, Task, TaskState
from boreas.domain.ids import TaskId
from boreas.engine import conditions
from boreas.engine.attempts import own_work
from boreas.engine.turn import Turn
from boreas.engine.waves import step_at


def is_wanted(turn: Turn, task: Task) -> bool:
    """Whether the task is to be done; otherwise it is skipped here, with the reason."""
    verdict = conditions.judged_now(turn.deployment, task, _results(turn, task))
    if verdict is None or verdict.holds:
        return True
    if verdict.holds is None:
        reason = f"{task.name}: {verdict.because}"
        turn.update_task(task.id, state=TaskState.PENDING)
        turn.finish_task(task.id, TaskState.FAILED, verdict.because)
        turn.skip(turn.of_task(task.id), f"not started: {verdict.because}")
        back = step_at(turn.deployment.strategy, 0).auto_rollback
        turn.stop(StopKind.FAILURE, reason, go_back=back)
        return False
    reason = f"skipped: {verdict.because}"
    turn.skip(turn.of_task(task.id), reason)
    turn.update_task(task.id, skipped=True)
    turn.finish_task(task.id, TaskState.SUCCESS, reason)
    turn.say("skipped", f"{task.name}: {reason}", task_id=task.id)
    return False


def _results(turn: Turn, task: Task) -> dict[TaskId, conditions.Result]:
    if task.when is None:
        return {}
    asked = {id_ for ids in task.when.results.values() for id_ in ids}
    return {
        id_: conditions.result_of(turn.tasks[id_], own_work(turn.deployment, turn.of_task(id_)))
        for id_ in asked
        if id_ in turn.tasks
    }
