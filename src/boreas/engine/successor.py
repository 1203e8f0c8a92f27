"""New deployments made out of finished ones: try again, or take back. Terminal states are final.

Called by the API; the result is saved like any new deployment and queues like one. Both refuse
(`Conflict`) when another deployment has changed the targets meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from boreas.domain.deployments import (
    TERMINAL,
    Batch,
    Deployment,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    Gate,
    GateKind,
    GateState,
    Origin,
    Phase,
    Task,
    TaskState,
)
from boreas.domain.errors import Conflict
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import ApplicationId, DeploymentId, ReleaseId, TargetId, TaskId
from boreas.domain.workflow import Strategy, TaskType
from boreas.engine.attempts import Place, changes_not_taken_back, latest, own_work
from boreas.engine.graph import graph_of
from boreas.engine.retry import next_attempt, to_try_again, with_new_ids
from boreas.engine.rollback import NO_EARLIER, waves_back, way_back

Live = Mapping[Place, LiveRecord]
CHANGED_SINCE = "changed by a later deployment: left as it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeployment:
    """Identity of the deployment to be made, and the moment and world in which it is."""

    id: DeploymentId
    number: int
    by: str
    now: datetime
    live: Live
    target_names: Mapping[TargetId, str]


def retry_of(finished: Deployment, new: NewDeployment) -> Deployment:
    """The same plan, with what succeeded carried over and new attempts for the rest."""
    _refuse_unfinished(finished, "retry it in place")
    again = _Again(finished)
    if not again.task_ids:
        raise Conflict("Nothing of it has failed.")
    _refuse_if_changed_since(finished, again, new)
    rows = [it for task in finished.tasks for it in again.rows_of(task)]
    bare = replace(
        _successor(finished, new, Origin.RETRY),
        gates=tuple(it for it in finished.gates if again.keeps(it)),
        retry_of=finished.id,
    )
    return replace(
        bare,
        tasks=tuple(again.task(it, new.now) for it in finished.tasks),
        executions=with_new_ids(bare, rows),
    )


class _Again:
    """Which tasks of a finished deployment are done again, and which rows."""

    def __init__(self, finished: Deployment) -> None:
        self.finished = finished
        self.of_task: dict[TaskId, list[Execution]] = {it.id: [] for it in finished.tasks}
        for row in own_work(finished, finished.executions):
            self.of_task[row.task_id].append(row)
        self.undone = self._everything_behind_what_went_back()
        failed = {it.id for it in finished.tasks if self._failed(it)}
        self.task_ids = failed | self.undone

    def _failed(self, task: Task) -> bool:
        rows = self.of_task[task.id]
        if task.state is TaskState.SUCCESS:
            bad = (it for it in to_try_again(rows) if it.state is not ExecutionState.SKIPPED)
            return any(it.kind is not ExecutionKind.RETIRE for it in bad)
        return task.state in {TaskState.FAILED, TaskState.CANCELLED}

    def _everything_behind_what_went_back(self) -> frozenset[TaskId]:
        """A test that passed on a version that is gone again proves nothing.

        A way back that failed or was lost may have changed its target all the same.
        """
        if self.finished.rollback_of is not None:
            return frozenset()
        back = {it.task_id for it in self.finished.executions if _was_sent_back(it)}
        graph = graph_of(self.finished.tasks, self.finished.must_in_order)
        return frozenset(back | graph.after(back))

    def rows_of(self, task: Task) -> list[Execution]:
        """Carried rows as they are; a fresh attempt for each that is done again."""
        rows = latest(self.of_task[task.id])
        if task.id not in self.task_ids:
            return rows
        if task.id in self.undone:
            return [next_attempt(it) for it in rows if not it.ignored]
        again = {it.id for it in to_try_again(rows)}
        carried = [it for it in rows if it.id not in again]
        return carried + [next_attempt(it) for it in rows if it.id in again]

    def task(self, task: Task, now: datetime) -> Task:
        """Carried tasks stay successful, and say where that comes from."""
        if task.id not in self.task_ids:
            reason = task.reason or f"succeeded in #{self.finished.number}"
            return replace(task, reason=reason, updated_at=now)
        return replace(
            task,
            state=TaskState.BLOCKED,
            reason=None,
            skipped=False,
            confirmed_by=None,
            confirmed_at=None,
            started_at=None,
            completed_at=None,
            created_at=now,
            updated_at=now,
        )

    def keeps(self, gate: Gate) -> bool:
        """An approved step whose targets were not touched again stays approved.

        So does an approved stage of which something is carried over.
        """
        if gate.state is not GateState.CONFIRMED:
            return False
        if gate.kind is GateKind.STAGE:
            mine = [it for it in self.finished.tasks if it.stage == gate.stage]
            return any(it.id not in self.task_ids and not it.skipped for it in mine)
        return gate.kind is GateKind.STEP and gate.task_id not in self.undone


def _was_sent_back(execution: Execution) -> bool:
    return execution.phase is Phase.ROLLBACK and execution.ordered_at is not None


def rollback_of(finished: Deployment, new: NewDeployment) -> Deployment:
    """Every target that it changed goes back to what it ran before, newest batch first.

    Skips approvals, intervals and canaries; keeps batches and health. Targets that a later
    deployment changed, or that had nothing before, are left as they are and say so.
    """
    _refuse_unfinished(finished, "roll it back in place")
    changed = changes_not_taken_back(finished, finished.executions)
    if not changed:
        raise Conflict("Nothing of it is live that could be taken back.")
    order = {it: at for at, it in enumerate(_order(finished))}
    waves = waves_back(changed, order)
    rows = [
        _row_back(execution, number, new)
        for number, wave in enumerate(waves, start=1)
        for execution in wave
    ]
    if all(it.state is ExecutionState.SKIPPED for it in rows):
        names = ", ".join(sorted({new.target_names.get(it.target_id, it.target_id) for it in rows}))
        raise Conflict(f"Nothing can go back on {names}: {rows[0].reason}.")
    bare = replace(
        _successor(finished, new, Origin.ROLLBACK),
        rollback_of=finished.id,
        strategy=Strategy(grace_seconds=0.0),
        manual_approval=False,
        stages=(),
        facts={},
        must_in_order=(),
        application_ids=_applications(finished, rows),
    )
    return replace(
        bare, tasks=_tasks_back(finished, rows, new.now), executions=with_new_ids(bare, rows)
    )


def _order(finished: Deployment) -> Sequence[TaskId]:
    return graph_of(finished.tasks, finished.must_in_order).order


def _row_back(execution: Execution, wave: int, new: NewDeployment) -> Execution:
    row = replace(way_back(execution, wave=wave), ignored=False, previous_release_id=None)
    if not _is_still_there(execution, new.live):
        return replace(row, state=ExecutionState.SKIPPED, reason=CHANGED_SINCE)
    if row.release_id is None:
        return replace(row, state=ExecutionState.SKIPPED, reason=NO_EARLIER)
    return row


def _applications(finished: Deployment, rows: Sequence[Execution]) -> tuple[ApplicationId, ...]:
    touched = {it.application_id for it in rows}
    return tuple(it for it in finished.application_ids if it in touched)


def _tasks_back(finished: Deployment, rows: Sequence[Execution], now: datetime) -> tuple[Task, ...]:
    """One task for each that changed something, each behind the one that goes back before it."""
    by_id = {it.id: it for it in finished.tasks}
    tasks: list[Task] = []
    for task_id in dict.fromkeys(it.task_id for it in rows):
        mine = [it for it in rows if it.task_id == task_id]
        was = by_id[task_id]
        prefix = "" if finished.rollback_of is not None else "Take back: "
        tasks.append(
            Task(
                id=task_id,
                name=prefix + was.name,
                type=TaskType.DEPLOY,
                state=TaskState.BLOCKED,
                application_id=was.application_id,
                block_by=(tasks[-1].id,) if tasks else (),
                order=len(tasks),
                timeout_seconds=was.timeout_seconds,
                batches=_batches_back(mine),
                created_at=now,
                updated_at=now,
            )
        )
    return tuple(tasks)


def _batches_back(rows: Sequence[Execution]) -> tuple[Batch, ...]:
    waves: dict[int, list[TargetId]] = {}
    for row in rows:
        waves.setdefault(row.batch, []).append(row.target_id)
    return tuple(Batch(number=it, step=0, target_ids=tuple(waves[it])) for it in sorted(waves))


def _successor(finished: Deployment, new: NewDeployment, origin: Origin) -> Deployment:
    """A new deployment with the old one's snapshot and none of its history."""
    return Deployment(
        id=new.id,
        number=new.number,
        project_id=finished.project_id,
        environment_id=finished.environment_id,
        version_id=finished.version_id,
        application_ids=finished.application_ids,
        state=DeploymentState.PENDING,
        created_by=new.by,
        created_at=new.now,
        updated_at=new.now,
        origin=origin,
        must_in_order=finished.must_in_order,
        strategy=finished.strategy,
        variables=finished.variables,
        manual_approval=finished.manual_approval,
        approval_policy=finished.approval_policy,
        started=True,
        stages=finished.stages,
        workflow=finished.workflow,
        facts=finished.facts,
        rollback_of=finished.rollback_of,
    )


def _refuse_unfinished(deployment: Deployment, instead: str) -> None:
    if deployment.state not in TERMINAL:
        raise Conflict(f"It is still {deployment.state}: {instead}.")


def _last_put_there(execution: Execution, live: Live) -> ReleaseId | None:
    """What the target was given last, proven or not."""
    assert execution.application_id is not None
    record = live.get((execution.application_id, execution.target_id))
    if record is None:
        return None
    return record.uncertain_release_id or record.release_id


def _is_still_there(execution: Execution, live: Live) -> bool:
    """Whether what this execution brought, or a failed way back from it, came there last."""
    last = _last_put_there(execution, live)
    return last is not None and last in {execution.release_id, execution.previous_release_id}


def _refuse_if_changed_since(finished: Deployment, again: _Again, new: NewDeployment) -> None:
    lost: list[Execution] = []
    for row in changes_not_taken_back(finished, finished.executions).values():
        done_again = row.task_id in again.undone and _is_still_there(row, new.live)
        if not done_again and _last_put_there(row, new.live) != row.release_id:
            lost.append(row)
    if lost:
        names = ", ".join(new.target_names.get(it.target_id, it.target_id) for it in lost[:5])
        raise Conflict(f"A later deployment has changed {names}; deploy the version anew instead.")
