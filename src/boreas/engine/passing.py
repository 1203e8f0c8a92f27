"""What follows a failure although it failed: tasks that `continue_on` it, and what does not.

A failed task stops the deployment, unless a task directly behind it goes on all the same. Then the
failure is passed over: whatever does not say so is not started, and its followers with it. A
deployment in which something was not started for that reason has failed at its end. A failed
`deploy` or `health_check` is never passed over: what the strategy says about the fleet stands.
"""

from boreas.domain.deployments import IN_FLIGHT, Execution, StopKind, Task, TaskState
from boreas.domain.ids import TaskId
from boreas.domain.workflow import Bad, TaskType
from boreas.engine.turn import Turn
from boreas.engine.waves import step_at

ABOUT_THE_FLEET = frozenset({TaskType.DEPLOY, TaskType.HEALTH_CHECK})
_KIND_OF = {TaskState.FAILED: Bad.FAILURE, TaskState.CANCELLED: Bad.CANCELLED}
_Flaw = tuple[Bad, int | None]
"""How something ended that was not good, and its stage."""
_GOOD: frozenset[_Flaw] = frozenset()


class Way:
    """Along the graph: which tasks are over, and how."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._before = turn.graph.predecessors
        self._joins = turn.graph.joins
        self._done: set[TaskId] = set()
        self._bad: dict[TaskId, frozenset[_Flaw]] = {}
        """Of tasks and joins that are over and not good: what is bad about them."""

    def note(self, task: Task) -> None:
        """Remember how this task stands, if it is over."""
        if task.state is TaskState.SUCCESS:
            self._done.add(task.id)
        elif task.state in _KIND_OF:
            self._bad[task.id] = frozenset({(_KIND_OF[task.state], task.stage)})

    def is_free(self, task_id: TaskId) -> bool:
        """Whether everything before it is over."""
        if self._done.issuperset(self._before[task_id]):
            return True
        return all(self._is_over(before) for before in self._before[task_id])

    def _is_over(self, node: TaskId) -> bool:
        if node in self._done or node in self._bad:
            return True
        if node not in self._joins or not self.is_free(node):
            return False
        bad = self._bad_before(node)
        if bad:
            self._bad[node] = bad
        else:
            self._done.add(node)
        return True

    def _bad_before(self, node: TaskId) -> frozenset[_Flaw]:
        if not self._bad:
            return _GOOD
        return _GOOD.union(*(self._bad.get(it, _GOOD) for it in self._before[node]))

    def lets_pass(self, task: Task) -> bool:
        """Whether the task goes on after what is before it; if not, it is closed here."""
        bad = self._bad_before(task.id)
        if all(_goes_on(self._turn, task, flaw) for flaw in bad):
            return True
        _close_behind(self._turn, task)
        return False


def _goes_on(turn: Turn, task: Task, flaw: _Flaw) -> bool:
    """Whether the task is done although something before it ended so.

    What its stage says counts for what is in other stages only: a task that needs one of its own
    stage has to say so itself.
    """
    kind, stage = flaw
    if kind in task.continue_on:
        return True
    if task.stage is None or stage == task.stage:
        return False
    return kind in turn.deployment.stages[task.stage].continue_on


def _close_behind(turn: Turn, task: Task) -> None:
    culprits = [
        turn.tasks[it] for it in turn.graph.before(task.id) if turn.tasks[it].state in _KIND_OF
    ]
    how = "failed" if culprits[0].state is TaskState.FAILED else "was not started"
    reason = f"not started: {culprits[0].name} {how}"
    turn.skip(turn.of_task(task.id), reason)
    turn.finish_task(task.id, TaskState.CANCELLED, reason)
    turn.say("not_started", f"{task.name}: {reason}", task_id=task.id)


def is_passed_over(turn: Turn, failed: Task) -> bool:
    """Whether something directly behind this failed task goes on all the same."""
    if failed.type in ABOUT_THE_FLEET:
        return False
    behind = (turn.tasks[it] for it in turn.graph.behind(failed.id))
    return any(_goes_on(turn, it, (Bad.FAILURE, failed.stage)) for it in behind)


def close(turn: Turn, task: Task, failure: Execution) -> None:
    """The task has failed and the deployment goes on; what is under way finishes first."""
    where = turn.target(failure.target_id)
    turn.skip(turn.of_task(task.id), f"not started: failed on {where}")
    if any(it.state in IN_FLIGHT for it in turn.of_task(task.id)):
        return
    reason = f"{where}: {failure.reason or 'failed'}"
    turn.finish_task(task.id, TaskState.FAILED, reason)
    turn.say("passed_over", f"{task.name} failed on {reason}; others go on", task_id=task.id)


def left_something_undone(turn: Turn) -> bool:
    """Whether a failure that was passed over kept another task from being started."""
    return any(it.state is TaskState.CANCELLED for it in turn.tasks.values())


def stop_at_the_end(turn: Turn) -> None:
    """All is over that could be done, and it was not all that was asked for."""
    undone = [it.name for it in turn.tasks.values() if it.state is TaskState.CANCELLED]
    failed = [it for it in turn.tasks.values() if it.state is TaskState.FAILED]
    more = f" and {len(undone) - 5} more" if len(undone) > 5 else ""
    because = [f"{it.name} failed on {it.reason}" for it in failed[:1]]
    reason = "; ".join([*because, f"not started: {', '.join(undone[:5])}{more}"])
    # What failed is no deployment, so the strategy's first step speaks (`policy.goes_back`).
    back = step_at(turn.deployment.strategy, 0).auto_rollback
    turn.stop(StopKind.FAILURE, reason, go_back=back)


def what_was_passed_over(turn: Turn) -> str | None:
    """A success after a failure says so."""
    failed = [it for it in turn.tasks.values() if it.state is TaskState.FAILED]
    if not failed:
        return None
    return "; ".join(f"{it.name} failed on {it.reason} and was passed over" for it in failed[:5])
