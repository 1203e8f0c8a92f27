"""Everything in words: why it waits, what was skipped, what goes back, what the plan is.

For the UI, the command line, the audit and the golden files. The reasons are those that `decide`
itself collects; here they are only put beside what they are about.
"""

from collections.abc import Mapping
from datetime import datetime

from boreas.domain.deployments import (
    TERMINAL,
    Deployment,
    Execution,
    ExecutionKind,
    GateState,
    Phase,
    Reason,
    Task,
    TaskState,
)
from boreas.domain.ids import TargetId, TaskId
from boreas.domain.workflow import Size, StrategyStep, TaskType
from boreas.engine.attempts import rounds_of
from boreas.engine.decide import decide
from boreas.engine.gates import gate_of, stage_gate
from boreas.engine.graph import graph_of
from boreas.engine.snapshot import Snapshot
from boreas.engine.waves import step_at


def reasons(snapshot: Snapshot, now: datetime) -> tuple[Reason, ...]:
    """Why it does not go on at this moment; empty once it has ended."""
    return decide(snapshot, now).because


def blocked_words(deployment: Deployment) -> dict[TaskId, str]:
    """For every blocked task the tasks that it waits for, by name."""
    graph = graph_of(deployment.tasks, deployment.must_in_order)
    by_id = {it.id: it for it in deployment.tasks}
    words: dict[TaskId, str] = {}
    for task in deployment.tasks:
        if task.state is TaskState.BLOCKED:
            before = [by_id[it] for it in graph.before(task.id)]
            open_ = [it.name for it in before if it.completed_at is None]
            more = f" and {len(open_) - 5} more" if len(open_) > 5 else ""
            named = f"waits for {', '.join(open_[:5])}{more}"
            words[task.id] = named if open_ else _next_words(deployment, task)
    return words


def _next_words(deployment: Deployment, task: Task) -> str:
    if task.stage is None or not deployment.stages[task.stage].approval:
        return "is next"
    gate = gate_of(deployment, stage_gate(task.stage))
    if gate is None or gate.state is not GateState.OPEN:
        return "is next"
    return f"waits for the approval of stage {deployment.stages[task.stage].name}"


def explain(snapshot: Snapshot, now: datetime) -> str:
    """The deployment as it stands: state, reasons, every task, every target with its reason."""
    decision = decide(snapshot, now)
    deployment = decision.next
    back = ", going back" if _is_going_back(deployment) else ""
    lines = [f"#{deployment.number} {deployment.state}{back}"]
    if deployment.error_message:
        lines.append(f"  because: {deployment.error_message}")
    lines += [f"  waits: {it.text}" for it in decision.because]
    blocked = blocked_words(deployment)
    for task in deployment.tasks:
        lines.append(_task_line(task, blocked))
        rows = [it for it in deployment.executions if it.task_id == task.id]
        lines += [_row_line(it, snapshot.target_names) for it in rows]
    return "\n".join(lines) + "\n"


def _is_going_back(deployment: Deployment) -> bool:
    return deployment.phase is Phase.ROLLBACK and deployment.state not in TERMINAL


def _task_line(task: Task, blocked: Mapping[TaskId, str]) -> str:
    reason = task.reason or blocked.get(task.id)
    return f"- {task.name}: {task.state}" + (f" ({reason})" if reason else "")


def _row_line(row: Execution, names: Mapping[TargetId, str]) -> str:
    attempt = f", attempt {row.attempt}" if row.attempt > 1 else ""
    reason = f" ({row.reason})" if row.reason else ""
    name = names.get(row.target_id, row.target_id)
    return f"    {row.batch}. {name} {row.kind}{attempt}: {row.state}{reason}"


def describe_plan(deployment: Deployment, names: Mapping[TargetId, str]) -> str:
    """The plan as text: tasks in an order in which they could run, batches by target name."""
    graph = graph_of(deployment.tasks, deployment.must_in_order)
    by_id = {it.id: it for it in deployment.tasks}
    lines = ["approval before the first task"] if deployment.manual_approval else []
    for task_id in graph.order:
        task = by_id[task_id]
        before = graph.before(task_id)
        after = f" after {', '.join(before)}" if before else ""
        lines.append(f"{task.id} ({task.type}){after}" + "".join(_remarks(deployment, task)))
        rows = [it for it in deployment.executions if it.task_id == task_id]
        lines += _round_lines(deployment, task, rows, names)
    return "\n".join(lines) + "\n"


def _remarks(deployment: Deployment, task: Task) -> list[str]:
    remarks = []
    if task.stage is not None:
        stage = deployment.stages[task.stage]
        more = ["with approval"] if stage.approval else []
        more += [f"also after {' or '.join(stage.continue_on)} before it"] * bool(stage.continue_on)
        remarks.append(f"stage {stage.name}" + (f" ({', '.join(more)})" if more else ""))
    if task.when is not None and task.reason is None:
        remarks.append(f"if {task.when.text}")
    if task.retry is not None:
        again = "once" if task.retry.count == 1 else f"{task.retry.count} times"
        remarks.append(f"tried again {again} after {task.retry.delay:g} s")
    if task.continue_on:
        remarks.append(f"also after {' or '.join(task.continue_on)}")
    if task.first_deployment:
        remarks.append("first deployment: canary steps are skipped")
    if task.blue_green:
        remarks.append("blue-green")
    if task.require_confirm:
        remarks.append("waits for approval")
    if task.reason:
        remarks.append(task.reason)
    return [f"; {it}" for it in remarks]


def _round_lines(
    deployment: Deployment, task: Task, rows: list[Execution], names: Mapping[TargetId, str]
) -> list[str]:
    lines: list[str] = []
    rounds = rounds_of(rows)
    for index, round_ in enumerate(rounds):
        kind = round_.executions[0].kind
        who = ", ".join(names.get(it.target_id, it.target_id) for it in round_.executions)
        lines.append(f"  {round_.batch}. {kind}: {who}")
        following = rounds[index + 1].batch if index + 1 < len(rounds) else None
        if task.type is TaskType.DEPLOY and task.batches and following != round_.batch:
            lines += _step_lines(deployment, task, round_.batch, following)
    if any(it.kind is ExecutionKind.RETIRE for it in rows):
        lines.append(f"  then retire the old side after {deployment.strategy.grace_seconds:g} s")
    return lines


def _step_lines(deployment: Deployment, task: Task, batch: int, following: int | None) -> list[str]:
    index_of = {it.number: it.step for it in task.batches}
    index = index_of.get(batch, 0)
    step = step_at(deployment.strategy, index, first_deployment=task.first_deployment)
    lines: list[str] = []
    if following is None or index_of.get(following) != index:
        lines.append(f"     step {index + 1} done: {_on_failure(step)}")
        if step.approval:
            lines.append("     approval" + _answer(step))
    if following is not None and step.batch_interval:
        lines.append(f"     wait {step.batch_interval:g} s")
    return lines


def _on_failure(step: StrategyStep) -> str:
    tolerance = _size(step.max_failures)
    act = "everything goes back" if step.auto_rollback else "stop and leave it"
    return f"on failure {act}" + (f", {tolerance} tolerated" if tolerance else "")


def _size(size: Size) -> str:
    if size.percent is not None:
        return f"{float(size.percent):g} %"
    return str(size.count) if size.count else ""


def _answer(step: StrategyStep) -> str:
    if step.answer is None:
        return ""
    return ": given in the strategy" if step.answer else ": refused in the strategy"
