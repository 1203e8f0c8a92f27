"""What the laws look at after each step: what changed, what was promised, what is really so."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from boreas.domain.deployments import Deployment, Execution, ExecutionKind, ExecutionState, Task
from boreas.domain.ids import AgentId, DeploymentId, ExecutionId, ReleaseId, TargetId, TaskId
from boreas.domain.orders import CHANGING_VERBS
from boreas.domain.outbox import OutboxRow
from boreas.engine.attempts import forward_phase_of
from boreas.testing.simulate.ledger import Ledger
from boreas.testing.simulate.truth import Place, Truth


@dataclass(slots=True)
class Change:
    """One deployment before and after a step; `before` is None when it was just made."""

    before: Deployment | None
    after: Deployment
    was: dict[ExecutionId, Execution] = field(default_factory=dict)
    ordered: list[Execution] = field(default_factory=list)
    """Executions that were sent in this step."""

    def __post_init__(self) -> None:
        if self.before is None or self.before.executions is self.after.executions:
            return
        self.was = {it.id: it for it in self.before.executions}
        for row in self.after.executions:
            old = self.was.get(row.id)
            was_sent = old is not None and old.ordered_at is not None
            if row.ordered_at is not None and not was_sent:
                self.ordered.append(row)

    def changed_rows(self) -> Iterable[tuple[Execution | None, Execution]]:
        """Executions that are not what they were."""
        if self.before is None or self.before.executions is self.after.executions:
            return
        for row in self.after.executions:
            old = self.was.get(row.id)
            if row is not old:
                yield old, row

    def task(self, task_id: TaskId) -> Task:
        """A task as it is now."""
        return next(it for it in self.after.tasks if it.id == task_id)

    def was_task(self, task_id: TaskId) -> Task | None:
        """A task as it was."""
        tasks = self.before.tasks if self.before else ()
        return next((it for it in tasks if it.id == task_id), None)

    def is_forward(self, row: Execution) -> bool:
        """Part of what the deployment was asked for, not of its going back."""
        return row.phase is forward_phase_of(self.after)

    def ordered_work(self) -> list[Execution]:
        """What was sent in this step to go forward."""
        return [
            it for it in self.ordered if self.is_forward(it) and it.kind is not ExecutionKind.RETIRE
        ]


def changes_place(row: Execution) -> bool:
    """Its order makes another release live."""
    return row.application_id is not None and bool(CHANGING_VERBS & set(row.verbs))


def latest_rows(rows: Iterable[Execution]) -> list[Execution]:
    """The newest attempt for each target and kind."""
    found: dict[tuple[TargetId, ExecutionKind], Execution] = {}
    for row in rows:
        found[row.target_id, row.kind] = row
    return list(found.values())


@dataclass(slots=True)
class Moment:
    """One step, seen from outside."""

    now: datetime
    ledger: Ledger
    truth: Truth
    changes: list[Change]
    put: list[OutboxRow]
    after_round: bool
    """The step was a round that came to its commit: what could be done is done."""
    history: "History"
    here: list[AgentId] = field(default_factory=list)
    """Agents whose arrival is committed and whose link stands, when no news is waiting."""


@dataclass(slots=True)
class History:
    """What only grows: promises made, fences used."""

    promised: dict[str, int] = field(default_factory=dict)
    """Order id -> fence."""
    cancels: dict[str, int] = field(default_factory=dict)
    fences: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Scope -> the highest fence, and whose it was."""
    proven: dict[Place, ReleaseId | None] = field(default_factory=dict)
    """What last succeeded there, as the server was told."""
    proven_before: dict[tuple[DeploymentId, Place], ReleaseId | None] = field(default_factory=dict)
    """The same, when a deployment first sent a changing order there."""

    def note(self, changes: Iterable[Change]) -> None:
        """Take a step's news into account: first what succeeded, then what was sent."""
        for change in changes:
            for old, row in change.changed_rows():
                done = row.state is ExecutionState.SUCCESS
                if done and old is not None and old.state is not row.state and changes_place(row):
                    assert row.application_id is not None
                    self.proven[row.application_id, row.target_id] = row.release_id
        for change in changes:
            for row in filter(changes_place, change.ordered):
                assert row.application_id is not None
                place = (row.application_id, row.target_id)
                self.proven_before.setdefault((change.after.id, place), self.proven.get(place))
