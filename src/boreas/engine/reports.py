"""Agents' news: what a report means for its execution, and for what is known to be live.

Called by the runtime inside the loop's transaction, before `decide`. A report never starts or ends
anything but its own execution. News of an execution that has come to its end changes nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from boreas.domain.builds import BuiltImage, built_of
from boreas.domain.deployments import (
    TERMINAL,
    TERMINAL_EXECUTIONS,
    Deployment,
    Execution,
    ExecutionKind,
    ExecutionState,
    StopKind,
)
from boreas.domain.events import ExecutionReport
from boreas.domain.ids import ExecutionId
from boreas.domain.orders import CHANGING_VERBS, Outcome, Verb
from boreas.engine.attempts import changes_not_taken_back
from boreas.engine.draft import Draft
from boreas.engine.snapshot import Built, Decision, LiveChange


def apply_reports(
    deployment: Deployment, reports: Iterable[ExecutionReport], now: datetime
) -> Decision:
    """Several reports in the order in which they came; nothing is sent because of them."""
    draft = Draft(deployment, now)
    for report in reports:
        _apply(draft, report)
    return draft.decision()


def _apply(draft: Draft, report: ExecutionReport) -> None:
    execution = draft.executions.get(ExecutionId(report.order_id.partition("#")[0]))
    if execution is None or execution.order_id != report.order_id:
        draft.say("report_unknown", f"a report for an unknown order {report.order_id}")
    elif execution.state in TERMINAL_EXECUTIONS or draft.deployment.state in TERMINAL:
        _note_late(draft, execution, report)
    elif execution.state is ExecutionState.PENDING:
        draft.say("report_early", f"a report for {report.order_id}, which was never sent")
    else:
        _apply_news(draft, execution, report)


def _note_late(draft: Draft, execution: Execution, report: ExecutionReport) -> None:
    """Only contradicting late news is worth a word; repeated news is not."""
    if report.kind == "finished" and report.outcome != execution.state.value:
        text = f"late news changes nothing: {report.outcome} after {execution.state.value}"
        draft.say("report_late", text, task_id=execution.task_id, execution_id=execution.id)


def _apply_news(draft: Draft, execution: Execution, report: ExecutionReport) -> None:
    match report.kind:
        case "started":
            _begin(draft, execution)
        case "verb":
            _begin(draft, execution)
            _note_verb(draft, draft.executions[execution.id], report)
        case "finished":
            _finish(draft, execution, report)
        case "unknown":
            _lose(draft, execution)
        case _:
            draft.say("report_unknown", f"a report of unknown kind {report.kind!r}")


def _begin(draft: Draft, execution: Execution) -> None:
    if execution.state is ExecutionState.ORDERED:
        draft.update_execution(execution.id, state=ExecutionState.RUNNING, started_at=draft.now)


def _note_verb(draft: Draft, execution: Execution, report: ExecutionReport) -> None:
    """A verb begins; verbs only go on, so an older one is a report that came late."""
    names = [it.value for it in execution.verbs]
    if report.verb not in names:
        return
    if execution.verb is not None and names.index(report.verb) <= names.index(execution.verb.value):
        return
    verb = Verb(report.verb)
    checking = draft.active() if verb in {Verb.CHECK, Verb.CHECK_STAGED} else None
    draft.update_execution(execution.id, verb=verb, checking_since=checking)


def _finish(draft: Draft, execution: Execution, report: ExecutionReport) -> None:
    state, reason = _verdict(draft.deployment, execution, report)
    image = _image_of(execution, report)
    execution = draft.update_execution(
        execution.id,
        state=state,
        reason=reason,
        exit_code=report.exit_code,
        outputs=handed_on(report.result),
        image=image,
        started_at=execution.started_at or draft.now,
    )
    if state is ExecutionState.SUCCESS:
        _prove(draft, execution)
        _keep_image(draft, execution)
        draft.update(progress_at=draft.active())
    elif report.outcome == Outcome.REFUSED:
        _never_begun(draft, execution)


MOST_OUTPUTS = 64
LONGEST_OUTPUT = 4_096


def handed_on(result: Mapping[str, Any]) -> Mapping[str, str] | None:
    """What a command left for the conditions of later tasks; an agent may send anything."""
    found = result.get("outputs")
    if not isinstance(found, Mapping):
        return None
    pairs = [(str(name)[:100], str(text)[:LONGEST_OUTPUT]) for name, text in found.items()]
    return dict(pairs[:MOST_OUTPUTS]) or None


def _verdict(
    deployment: Deployment, execution: Execution, report: ExecutionReport
) -> tuple[ExecutionState, str | None]:
    match report.outcome:
        case Outcome.SUCCESS if _lacks_image(execution, report):
            return ExecutionState.FAILED, "the builder did not say which image it made"
        case Outcome.SUCCESS:
            return ExecutionState.SUCCESS, report.reason
        case Outcome.CANCELLED:
            return _verdict_on_stopped(deployment, execution, report)
        case Outcome.LOST:
            return ExecutionState.LOST, f"lost: {report.reason or 'the agent cannot know'}"
        case Outcome.REFUSED:
            return ExecutionState.FAILED, f"refused by the agent: {report.reason or 'no reason'}"
        case _:
            return ExecutionState.FAILED, execution.stop_reason or _words(report)


def _verdict_on_stopped(
    deployment: Deployment, execution: Execution, report: ExecutionReport
) -> tuple[ExecutionState, str | None]:
    """Stopped for a deadline is a failure; stopped because somebody wished so is not."""
    wished = execution.ignored or (
        deployment.stop is not None and deployment.stop.kind is StopKind.CANCEL
    )
    reason = execution.stop_reason or report.reason or "stopped on its node"
    return (ExecutionState.CANCELLED if wished else ExecutionState.FAILED), reason


def _words(report: ExecutionReport) -> str:
    if report.reason:
        return report.reason
    return f"exit code {report.exit_code}" if report.exit_code is not None else "no reason given"


def _prove(draft: Draft, execution: Execution) -> None:
    """After a changing order succeeded its release is what is live, healthy, there."""
    if execution.application_id is not None and CHANGING_VERBS & set(execution.verbs):
        draft.live.append(
            LiveChange(
                application_id=execution.application_id,
                target_id=execution.target_id,
                release_id=execution.release_id,
            )
        )


def _image_of(execution: Execution, report: ExecutionReport) -> BuiltImage | None:
    if execution.kind is not ExecutionKind.BUILD or report.outcome != Outcome.SUCCESS:
        return None
    return built_of(report.result)


def _lacks_image(execution: Execution, report: ExecutionReport) -> bool:
    return execution.kind is ExecutionKind.BUILD and built_of(report.result) is None


def _keep_image(draft: Draft, execution: Execution) -> None:
    """Deploys of this release use the digest from now on, never the tag."""
    if execution.image is None:
        return
    assert execution.release_id is not None
    assert execution.application_id is not None
    draft.built.append(
        Built(
            execution_id=execution.id,
            release_id=execution.release_id,
            application_id=execution.application_id,
            image=execution.image,
        )
    )
    image, digest = execution.image.image, execution.image.digest
    draft.say("built", f"built {image} ({digest})", task_id=execution.task_id, image=image)


def _never_begun(draft: Draft, execution: Execution) -> None:
    """A refused order touched nothing; its target is as sure as before, unless tried earlier."""
    if not execution.changed or execution.kind is ExecutionKind.REVERT:
        return
    draft.update_execution(execution.id, changed=False)
    assert execution.application_id is not None
    place = (execution.application_id, execution.target_id)
    if place not in changes_not_taken_back(draft.deployment, list(draft.executions.values())):
        draft.live.append(
            LiveChange(
                application_id=place[0],
                target_id=place[1],
                release_id=execution.previous_release_id,
            )
        )


def _lose(draft: Draft, execution: Execution) -> None:
    reason = "lost: the agent does not hold this order any more (its disk may have been replaced)"
    draft.update_execution(execution.id, state=ExecutionState.LOST, reason=reason)
    draft.say("execution_lost", reason, task_id=execution.task_id, execution_id=execution.id)
