"""Approvals: opened by the engine, answered by people, or run out.

`expires_at` is a hard border: at that very moment nobody can answer any more, so that an answer and
the expiry in the same second have one outcome whoever comes first.
"""

from dataclasses import replace
from datetime import timedelta

from boreas.domain.deployments import (
    Answer,
    Deployment,
    ExpiryOutcome,
    Gate,
    GateKind,
    GateState,
    StopKind,
)
from boreas.domain.ids import TaskId
from boreas.engine.draft import Draft
from boreas.engine.turn import Turn

DEPLOYMENT_GATE = "deployment"
STRATEGY_ANSWER = "the strategy"
"""Who answered, when the approval's answer was written into the strategy."""


def step_gate(task_id: TaskId, step: int) -> str:
    """Id of the approval after a step of a task."""
    return f"step:{task_id}:{step}"


def task_gate(task_id: TaskId) -> str:
    """Id of the approval before a task."""
    return f"task:{task_id}"


def stage_gate(stage: int) -> str:
    """Id of the approval before a stage, by the stage's index."""
    return f"stage:{stage + 1}"


def gate_of(deployment: Deployment, gate_id: str) -> Gate | None:
    """The approval with this id, if it was ever asked for."""
    return next((it for it in deployment.gates if it.id == gate_id), None)


def open_gates(deployment: Deployment) -> tuple[Gate, ...]:
    """The approvals that are waited for."""
    return tuple(it for it in deployment.gates if it.state is GateState.OPEN)


def words_for(draft: Draft, gate: Gate) -> str:
    """What this approval stands before, in words."""
    task = draft.tasks.get(gate.task_id) if gate.task_id is not None else None
    match gate.kind:
        case GateKind.DEPLOYMENT:
            return "approval before the first task"
        case GateKind.STEP:
            return f"approval after step {(gate.step or 0) + 1} of {task.name if task else '?'}"
        case GateKind.TASK:
            return f"approval before {task.name if task else '?'}"
        case GateKind.STAGE:
            return f"approval before stage {draft.deployment.stages[gate.stage or 0].name}"


def passed(
    turn: Turn,
    gate_id: str,
    kind: GateKind,
    *,
    task_id: TaskId | None = None,
    step: int | None = None,
    stage: int | None = None,
) -> bool:
    """Whether this approval was given; asked for now if it never was, and waited for."""
    gate = gate_of(turn.deployment, gate_id)
    if gate is None or gate.state is GateState.WITHDRAWN:
        # Withdrawn by a failure; a retry has opened the task again, so it is asked anew.
        gate = _open(turn, gate_id, kind, task_id=task_id, step=step, stage=stage)
    if gate.state is GateState.OPEN:
        wait_for(turn, gate)
    return gate.state is GateState.CONFIRMED


def _open(
    turn: Turn,
    gate_id: str,
    kind: GateKind,
    *,
    task_id: TaskId | None,
    step: int | None,
    stage: int | None = None,
) -> Gate:
    gate = Gate(
        id=gate_id,
        kind=kind,
        state=GateState.OPEN,
        opened_at=turn.now,
        expires_at=turn.now + timedelta(seconds=turn.deployment.approval_policy.expires_after),
        task_id=task_id,
        step=step,
        stage=stage,
    )
    turn.put_gate(gate)
    turn.say("approval_asked", f"{words_for(turn, gate)} is needed", gate=gate_id)
    return gate


def wait_for(turn: Turn, gate: Gate) -> None:
    """Say who is waited for, and look again when the approval runs out."""
    policy = turn.deployment.approval_policy
    given = sum(1 for it in gate.answers if it.confirmed)
    count = f" ({given} of {policy.required})" if policy.required > 1 else ""
    whom = f" by {policy.approvers}" if policy.approvers else ""
    text = f"waits for {words_for(turn, gate)}{whom}{count}, until {clock(gate)}"
    turn.wait("approval", text, task_id=gate.task_id, gate=gate.id)
    turn.wake_by(gate.expires_at)


def clock(gate: Gate) -> str:
    """When an approval runs out, in words that stay the same while it is waited for."""
    return f"{gate.expires_at:%Y-%m-%d %H:%M:%S} UTC"


def answer_from_strategy(
    turn: Turn, gate_id: str, confirmed: bool, *, task_id: TaskId, step: int
) -> None:
    """The answer was written into the strategy (ManualApprovalStatus true or false)."""
    if gate_of(turn.deployment, gate_id) is not None:
        return
    gate = _open(turn, gate_id, GateKind.STEP, task_id=task_id, step=step)
    answer = Answer(by=STRATEGY_ANSWER, at=turn.now, confirmed=confirmed)
    state = GateState.CONFIRMED if confirmed else GateState.REJECTED
    turn.put_gate(replace(gate, state=state, answers=(answer,), closed_at=turn.now))
    if not confirmed:
        reason = f"{words_for(turn, gate)} was refused by the strategy"
        turn.stop(StopKind.REJECTION, reason, go_back=True)


def expire(turn: Turn) -> None:
    """Close the approvals that ran out, and do what the policy says about it."""
    outcome = turn.deployment.approval_policy.on_expiry
    for gate in open_gates(turn.deployment):
        if turn.now < gate.expires_at:
            continue
        text = f"nobody answered the {words_for(turn, gate)} in time"
        if outcome is ExpiryOutcome.CONFIRM:
            turn.put_gate(replace(gate, state=GateState.CONFIRMED, closed_at=turn.now))
            turn.update(progress_at=turn.active())
            turn.say("approval_expired", f"{text}; it counts as given", gate=gate.id)
            continue
        turn.put_gate(replace(gate, state=GateState.EXPIRED, closed_at=turn.now))
        turn.say("approval_expired", text, gate=gate.id)
        turn.stop(StopKind.EXPIRY, text, go_back=outcome is ExpiryOutcome.ROLLBACK)


def withdraw(draft: Draft) -> None:
    """Nobody needs to answer any more."""
    for gate in open_gates(draft.deployment):
        withdraw_one(draft, gate)


def withdraw_one(draft: Draft, gate: Gate) -> None:
    """This approval is not needed any more; an answered one stays answered."""
    if gate.state is GateState.OPEN:
        draft.put_gate(replace(gate, state=GateState.WITHDRAWN, closed_at=draft.now))
