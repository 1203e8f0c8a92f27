"""What people may wish for, and when: each wish is noted in the deployment, or refused by name.

Called by the API in its own transaction on the locked deployment; the next `decide` acts on it. Of
two wishes that contradict each other the second finds a state that no longer allows it, and is a
`Conflict` with a sentence. Nothing here sends anything.
"""

from dataclasses import replace
from datetime import datetime

from boreas.domain.deployments import (
    TERMINAL,
    Answer,
    Deployment,
    Gate,
    GateState,
    Phase,
    Stop,
    StopKind,
    WindowSkip,
)
from boreas.domain.errors import Conflict, Forbidden, NotFound
from boreas.domain.ids import TaskId
from boreas.engine import gates
from boreas.engine.draft import Draft
from boreas.engine.snapshot import Decision


def start(deployment: Deployment, by: str, *, now: datetime) -> Decision:
    """Let it begin as soon as its turn comes."""
    draft = _open_draft(deployment, now)
    if deployment.started:
        raise Conflict("It has been started already.")
    draft.update(started=True)
    draft.say("started", f"started by {by}", by=by)
    return draft.decision()


def confirm(
    deployment: Deployment,
    by: str,
    *,
    now: datetime,
    gate_id: str | None = None,
    task_id: TaskId | None = None,
    comment: str = "",
) -> Decision:
    """Agree to an approval: the named one, the open one of a task, or the only one that is open.

    With several approvers needed it stays open until enough different people agreed.
    Whether this person may agree at all: `require_approver`.
    """
    draft, gate = _gate_to_answer(deployment, now, gate_id, task_id)
    policy = deployment.approval_policy
    if policy.forbid_requester and by == deployment.created_by:
        raise Forbidden("Whoever asked for a deployment may not approve it in this environment.")
    if any(it.by == by for it in gate.answers):
        raise Conflict(f"{by} has confirmed this already; another person is needed.")
    answers = (*gate.answers, Answer(by=by, at=now, confirmed=True, comment=comment))
    words = gates.words_for(draft, gate)
    said = f": {comment}" if comment else ""
    if len(answers) < policy.required:
        draft.put_gate(replace(gate, answers=answers))
        count = f"{len(answers)} of {policy.required}"
        draft.say("confirmed", f"{words}: {by} agrees ({count}){said}", by=by, gate=gate.id)
        return draft.decision()
    state = GateState.CONFIRMED
    draft.put_gate(replace(gate, answers=answers, state=state, closed_at=now))
    if deployment.admitted_at is not None:
        draft.update(progress_at=draft.active())
    if gate.task_id is not None and gate.id == gates.task_gate(gate.task_id):
        draft.update_task(gate.task_id, confirmed_by=by, confirmed_at=now)
    draft.say("confirmed", f"{words}: confirmed by {by}{said}", by=by, gate=gate.id)
    return draft.decision()


def require_approver(deployment: Deployment, by: str, role: str | None) -> None:
    """`Forbidden` if the environment wants others to agree; `role` is what `by` is here."""
    policy = deployment.approval_policy
    if not policy.admits(by, role):
        raise Forbidden(f"Only {policy.approvers} may approve here; {by} is not among them.")


def reject(
    deployment: Deployment,
    by: str,
    *,
    now: datetime,
    gate_id: str | None = None,
    task_id: TaskId | None = None,
    comment: str = "",
) -> Decision:
    """Refuse an approval: one voice is enough. What was changed goes back; else it is cancelled."""
    draft, gate = _gate_to_answer(deployment, now, gate_id, task_id)
    answers = (*gate.answers, Answer(by=by, at=now, confirmed=False, comment=comment))
    draft.put_gate(replace(gate, answers=answers, state=GateState.REJECTED, closed_at=now))
    reason = f"{gates.words_for(draft, gate)} was refused by {by}"
    reason += f": {comment}" if comment else ""
    _stop(draft, StopKind.REJECTION, reason, by=by, go_back=True)
    draft.say("rejected", reason, by=by, gate=gate.id)
    return draft.decision()


def pause(deployment: Deployment, by: str, *, now: datetime) -> Decision:
    """Start nothing new; what is under way goes on. Deadlines stand still."""
    draft = _open_draft(deployment, now)
    _refuse_when_stopping(deployment, "paused")
    if deployment.paused_at is not None:
        raise Conflict(f"It is paused already, by {deployment.paused_by}.")
    draft.update(paused_by=by, paused_at=now)
    draft.settle_hold()
    draft.say("paused", f"paused by {by}", by=by)
    return draft.decision()


def resume(deployment: Deployment, by: str, *, now: datetime) -> Decision:
    """Go on after a pause."""
    draft = _open_draft(deployment, now)
    if deployment.paused_at is None:
        raise Conflict("It is not paused.")
    draft.update(paused_by=None, paused_at=None)
    draft.settle_hold()
    draft.say("resumed", f"resumed by {by}", by=by)
    return draft.decision()


def skip_window(deployment: Deployment, by: str, *, now: datetime, reason: str) -> Decision:
    """Let it pass the environment's windows, this once; windows may say that nobody can."""
    draft = _open_draft(deployment, now)
    if deployment.window_skip is not None:
        raise Conflict(f"{deployment.window_skip.by} has let it pass the windows already.")
    draft.update(window_skip=WindowSkip(by=by, at=now, reason=reason))
    draft.say("window_skipped", f"{by} lets it pass the windows: {reason}", by=by)
    return draft.decision()


def cancel(
    deployment: Deployment, by: str, *, now: datetime, rollback: bool = False, comment: str = ""
) -> Decision:
    """Ask it to end. It says `cancelled` only once every agent has stopped; or it goes back."""
    draft = _open_draft(deployment, now)
    if deployment.phase is Phase.ROLLBACK and deployment.admitted_at is not None:
        raise Conflict("It is going back; that cannot be cancelled half-way.")
    if deployment.stop is not None and deployment.stop.kind is not StopKind.FAILURE:
        raise Conflict(f"It is stopping already: {deployment.stop.reason}.")
    reason = f"cancelled by {by}" + (f": {comment}" if comment else "")
    # A failure that goes back already still does: a cancel only makes it stop waiting for agents.
    goes_back = rollback or (deployment.stop is not None and deployment.stop.go_back)
    _stop(draft, StopKind.CANCEL, reason, by=by, go_back=goes_back)
    draft.say("cancel_asked", reason, by=by, rollback=rollback)
    return draft.decision()


def rollback(deployment: Deployment, by: str, *, now: datetime, comment: str = "") -> Decision:
    """Stop what is under way and bring every changed target back, in place.

    Only while it is active; for a finished one see `engine.successor.rollback_of`.
    """
    draft = _open_draft(deployment, now)
    if deployment.admitted_at is None:
        raise Conflict("Nothing was changed yet; cancel it instead.")
    if deployment.phase is Phase.ROLLBACK:
        raise Conflict("It is going back already.")
    if deployment.stop is not None:
        raise Conflict(f"It is stopping already: {deployment.stop.reason}.")
    reason = f"rollback asked for by {by}" + (f": {comment}" if comment else "")
    _stop(draft, StopKind.CANCEL, reason, by=by, go_back=True)
    draft.say("rollback_asked", reason, by=by)
    return draft.decision()


def _stop(draft: Draft, kind: StopKind, reason: str, *, by: str, go_back: bool) -> None:
    stop = Stop(kind=kind, at=draft.now, reason=reason, by=by, go_back=go_back)
    draft.update(stop=stop, error_message=reason)


def _open_draft(deployment: Deployment, now: datetime) -> Draft:
    if deployment.state in TERMINAL:
        raise Conflict(f"It has ended ({deployment.state}).")
    return Draft(deployment, now)


def _refuse_when_stopping(deployment: Deployment, what: str) -> None:
    if deployment.phase is Phase.ROLLBACK:
        raise Conflict(f"It is going back; that cannot be {what}.")
    if deployment.stop is not None:
        raise Conflict(f"It is stopping: {deployment.stop.reason}.")


def _gate_to_answer(
    deployment: Deployment, now: datetime, gate_id: str | None, task_id: TaskId | None
) -> tuple[Draft, Gate]:
    draft = _open_draft(deployment, now)
    _refuse_when_stopping(deployment, "answered any more")
    gate = _find_gate(deployment, gate_id, task_id)
    if gate.state is not GateState.OPEN:
        raise Conflict(f"This approval is {gate.state} already.")
    if now >= gate.expires_at:
        raise Conflict(f"This approval ran out at {gates.clock(gate)}.")
    return draft, gate


def _find_gate(deployment: Deployment, gate_id: str | None, task_id: TaskId | None) -> Gate:
    if gate_id is not None:
        gate = gates.gate_of(deployment, gate_id)
        if gate is None:
            raise NotFound(f"There is no approval {gate_id!r} in this deployment.")
        return gate
    open_ = [it for it in gates.open_gates(deployment) if task_id in (None, it.task_id)]
    if not open_:
        raise Conflict("No approval is waited for.")
    if len(open_) > 1:
        named = ", ".join(it.id for it in open_)
        raise Conflict(f"Several approvals are waited for; name one of: {named}.")
    return open_[0]
