"""Whether an application is new to its targets, judged again at the moment the locks are taken.

A plan is laid out when it is asked for; by the time its turn comes, the deployment before it may
have brought the application there, and then canaries are no longer skipped.
"""

from collections.abc import Iterable, Mapping

from boreas.domain.deployments import Task
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import ApplicationId, TargetId
from boreas.domain.workflow import TaskType
from boreas.engine.turn import Turn
from boreas.engine.waves import cut_into_batches, is_blue_green

Live = Mapping[tuple[ApplicationId, TargetId], LiveRecord]


def is_first(live: Live, application_id: ApplicationId, target_ids: Iterable[TargetId]) -> bool:
    """No version of the application was ever proven healthy on any of these targets."""
    records = (live.get((application_id, it)) for it in target_ids)
    return all(record is None or record.release_id is None for record in records)


def replan_if_no_longer_first(turn: Turn) -> None:
    """Cut the batches anew where the answer changed since the plan was laid out."""
    for task in list(turn.tasks.values()):
        if task.type is TaskType.DEPLOY and task.application_id:
            _replan(turn, task, task.application_id)


def _replan(turn: Turn, task: Task, application_id: ApplicationId) -> None:
    target_ids = [it for batch in task.batches for it in batch.target_ids]
    first = is_first(turn.snapshot.live, application_id, target_ids)
    untouched = all(it.ordered_at is None for it in turn.of_task(task.id))
    if first == task.first_deployment or not untouched or turn.deployment.rollback_of:
        return
    if is_blue_green(turn.deployment.strategy):
        turn.update_task(task.id, first_deployment=first)
        return
    batches = cut_into_batches(turn.deployment.strategy, target_ids, first_deployment=first)
    turn.update_task(task.id, batches=batches, first_deployment=first)
    number_of = {it: batch.number for batch in batches for it in batch.target_ids}
    for execution in turn.of_task(task.id):
        turn.update_execution(execution.id, batch=number_of[execution.target_id])
    words = "is new here: canary steps are skipped" if first else "is live here: canary steps apply"
    turn.say("replanned", f"{task.name}: the application {words}", task_id=task.id)
