"""Before the first task: asked to start, approved, its time come, admitted.

No lock is held while this waits.
"""

from boreas.domain.deployments import (
    Deployment,
    DeploymentState,
    GateKind,
    Origin,
    StopKind,
    TaskState,
)
from boreas.domain.projects import QueuePolicy
from boreas.engine import gates, windows
from boreas.engine.attempts import forward_phase_of
from boreas.engine.first_deployment import replan_if_no_longer_first
from boreas.engine.snapshot import Admission
from boreas.engine.turn import Turn


def admitted(turn: Turn) -> bool:
    """Whether forward work may begin; otherwise the reason is noted, or the deployment ended."""
    gates.expire(turn)
    if turn.deployment.stop is not None:
        _give_up(turn)
        return False
    if windows.expired(turn.deployment, turn):
        _expire(turn)
        return False
    if not _wanted(turn):
        return False
    if not _approved(turn):
        turn.update(state=DeploymentState.WAITING_CONFIRM)
        return False
    turn.update(state=DeploymentState.PENDING)
    return windows.may_begin(turn) and _admit_or_queue(turn)


def _expire(turn: Turn) -> None:
    at = turn.deployment.expire_at
    reason = f"it had not begun by {at:%Y-%m-%d %H:%M:%S} UTC"
    close_unstarted(turn, reason)
    turn.end(DeploymentState.CANCELLED, reason)


def _give_up(turn: Turn) -> None:
    stop = turn.deployment.stop
    assert stop is not None
    failed = stop.kind in {StopKind.EXPIRY, StopKind.FAILURE}
    close_unstarted(turn, stop.reason)
    turn.end(DeploymentState.FAILED if failed else DeploymentState.CANCELLED, stop.reason)


def close_unstarted(turn: Turn, reason: str) -> None:
    """Nothing was sent and nothing will be: say so at every task and target."""
    gates.withdraw(turn)
    text = f"not started: {reason}"
    turn.skip(list(turn.executions.values()), text)
    for task in list(turn.tasks.values()):
        if task.completed_at is None:
            turn.finish_task(task.id, TaskState.CANCELLED, text)


def _wanted(turn: Turn) -> bool:
    deployment = turn.deployment
    if not deployment.started:
        turn.wait("not_started", "waits for somebody to start it")
    elif deployment.paused_at is not None:
        turn.wait("paused", f"paused by {deployment.paused_by}", by=deployment.paused_by)
    else:
        return True
    return False


def _approved(turn: Turn) -> bool:
    if not turn.deployment.manual_approval:
        return True
    return gates.passed(turn, gates.DEPLOYMENT_GATE, GateKind.DEPLOYMENT)


def _admit_or_queue(turn: Turn) -> bool:
    admission = turn.snapshot.admission
    refusal = refusal_of(turn.deployment, admission)
    if refusal is not None:
        turn.update(superseded_by=admission.superseded_by)
        close_unstarted(turn, refusal)
        turn.end(DeploymentState.CANCELLED, refusal)
        return False
    if admission.granted:
        _admit(turn)
        return True
    if turn.deployment.queued_at is None:
        turn.update(queued_at=turn.now)
    turn.wants_admission = True
    turn.wait("queued", queue_words(turn, admission), place=admission.place)
    return False


def refusal_of(deployment: Deployment, admission: Admission) -> str | None:
    """Why a waiting deployment gives up its place; None while it does not."""
    if deployment.origin is Origin.AUTOMATIC:
        if admission.superseded_by is not None:
            number = admission.superseded_by_number
            by = f"#{number}" if number is not None else admission.superseded_by
            return f"superseded by {by}"
        if admission.newer_version_deployed is not None:
            newer = admission.newer_version_deployed
            return f"outdated: the newer version {newer} is already deployed here"
    holder = next((it for it in admission.holders if it.active), None)
    refused = not admission.granted and admission.policy is QueuePolicy.REJECT
    if refused and holder is not None:
        return (
            f"rejected: #{holder.number} is being deployed here and this environment does not queue"
        )
    return None


def queue_words(turn: Turn, admission: Admission) -> str:
    """The place in the queue, and who stands before."""
    if not admission.holders:
        return "queued: takes its place"
    names = turn.snapshot.application_names
    first = ", ".join(
        f"#{it.number} ({names.get(it.application_id, it.application_id)}, "
        f"{'under way' if it.active else 'queued before'})"
        for it in admission.holders[:3]
    )
    more = f" and {len(admission.holders) - 3} more" if len(admission.holders) > 3 else ""
    return f"queued: place {admission.place}, behind {first}{more}"


def _admit(turn: Turn) -> None:
    turn.update(
        state=DeploymentState.RUNNING,
        started_at=turn.deployment.started_at or turn.now,
        admitted_at=turn.now,
        held_seconds=0.0,
        held_since=None,
        progress_at=0.0,
        fence=0,
        phase=forward_phase_of(turn.deployment),
    )
    turn.say("admitted", "its turn has come")
    replan_if_no_longer_first(turn)
