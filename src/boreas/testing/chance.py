"""A random life of one deployment, and the laws that must hold after every step of it.

`Chance` is anything that chooses (hypothesis' `data.draw`, or `random.Random` in a simulator), so
that a failing life replays exactly.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL,
    TERMINAL_EXECUTIONS,
    TERMINAL_TASKS,
    Deployment,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    GateState,
    Phase,
    TaskState,
)
from boreas.domain.errors import BoreasError
from boreas.engine import people, people_targets
from boreas.engine.attempts import KIND_ORDER, forward_phase_of
from boreas.engine.graph import graph_of
from boreas.testing.rollout import Rollout

_T = TypeVar("_T")


class Chance(Protocol):
    """Chooses one of several."""

    def choice(self, seq: Sequence[_T], /) -> _T: ...


_OUTCOMES = ("success", "success", "success", "success", "failed", "lost", "refused", "cancelled")


class Life:
    """Lets things happen to a rollout at random and checks the laws after each."""

    def __init__(self, rollout: Rollout, chance: Chance) -> None:
        self.rollout = rollout
        self.chance = chance
        self.sent = 0
        self.ended: Deployment | None = None
        self.check()

    def live(self, steps: int) -> None:
        """So many things happen."""
        acts: tuple[Callable[[], None], ...] = (
            self.answer,
            self.answer,
            self.answer,
            self.answer,
            self.answer,
            self.verb,
            self.repeat,
            self.agent,
            self.wake,
            self.wake,
            self.wish,
        )
        for _ in range(steps):
            self.chance.choice(acts)()
            self.check()

    def settle(self) -> None:
        """From now on everybody behaves: agents come back, people answer, time passes."""
        rollout = self.rollout
        for target in rollout.ground.targets:
            rollout.agent(target.name, online=True, revoked=False)
        for _ in range(500):
            if rollout.deployment.state in TERMINAL:
                return
            self.behave()
            self.check()
        raise AssertionError("it never ends although everybody behaves")

    def behave(self) -> None:
        rollout = self.rollout
        deployment = rollout.deployment
        if flying := rollout.in_flight():
            outcome = "cancelled" if flying[0].stop_sent_at else "success"
            rollout.report(flying[0], outcome=outcome)
        elif not deployment.started:
            rollout.wish(people.start, "zoe")
        elif deployment.paused_at is not None:
            rollout.wish(people.resume, "zoe")
        elif gates := [it for it in deployment.gates if it.state is GateState.OPEN]:
            by = f"p{len(gates[0].answers)}-{gates[0].id}"
            rollout.wish(people.confirm, by, gate_id=gates[0].id)
        else:
            self.wake()

    # --- what may happen ---------------------------------------------------------------------

    def answer(self) -> None:
        if flying := self.rollout.in_flight():
            outcome = self.chance.choice(_OUTCOMES)
            self.rollout.report(self.chance.choice(flying), outcome=outcome, exit_code=1)

    def verb(self) -> None:
        if flying := self.rollout.in_flight():
            execution = self.chance.choice(flying)
            verb = self.chance.choice(execution.verbs)
            self.rollout.report(execution, "verb", verb=verb.value)

    def repeat(self) -> None:
        """A report comes twice, late, or for an order that the agent lost."""
        sent = [it for it in self.rollout.deployment.executions if it.ordered_at is not None]
        if sent:
            kind = self.chance.choice(("started", "finished", "unknown"))
            outcome = self.chance.choice(_OUTCOMES)
            self.rollout.report(self.chance.choice(sent), kind, outcome=outcome)

    def agent(self) -> None:
        name = self.chance.choice(self.rollout.ground.targets).name
        self.rollout.agent(name, online=self.chance.choice((True, True, False)))

    def wake(self) -> None:
        wake = self.rollout.last.wake_at
        if wake is not None and wake > self.rollout.now:
            self.rollout.now = wake
        self.rollout.decide()

    def wish(self) -> None:
        deployment = self.rollout.deployment
        task = self.chance.choice(deployment.tasks).id
        target = self.chance.choice(self.rollout.ground.targets).id
        wishes: tuple[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]], ...] = (
            (people.start, ("al",), {}),
            (people.confirm, (self.chance.choice(("al", "bo", "cy")),), {}),
            (people.confirm, (self.chance.choice(("al", "bo", "cy")),), {"task_id": task}),
            (people.reject, ("bo",), {}),
            (people.pause, ("bo",), {}),
            (people.resume, ("bo",), {}),
            (people.cancel, ("bo",), {"rollback": self.chance.choice((True, False))}),
            (people.rollback, ("bo",), {}),
            (people_targets.retry_failed, ("bo",), {}),
            (people_targets.retry_failed, ("bo",), {"task_id": task}),
            (people_targets.skip_task, (task, "bo"), {}),
            (people_targets.ignore_target, (target, "bo"), {}),
        )
        act, args, more = self.chance.choice(wishes)
        try:
            self.rollout.wish(act, *args, **more)
        except BoreasError:
            assert self.rollout.deployment is deployment, "a refused wish changed something"

    # --- the laws ----------------------------------------------------------------------------

    def check(self) -> None:
        """Every law, now."""
        self.check_orders()
        self.check_in_flight()
        self.check_end()
        self.check_waiting()

    def check_orders(self) -> None:
        rollout, deployment = self.rollout, self.rollout.deployment
        fresh = rollout.sent[self.sent :]
        self.sent = len(rollout.sent)
        assert len(set(rollout.sent)) == len(rollout.sent), "an order was sent twice"
        rows = {str(it.order_id): it for it in deployment.executions}
        graph = graph_of(deployment.tasks, deployment.must_in_order)
        state = {it.id: it.state for it in deployment.tasks}
        for order in fresh:
            row = rows[order]
            if row.phase is forward_phase_of(deployment) and row.phase is Phase.FORWARD:
                assert deployment.stop is None or deployment.stop.at >= rollout.now, (
                    "something new started after the stop"
                )
                earlier = (it for it in state if row.task_id in graph.after([it]))
                early = [it for it in earlier if state[it] is not _DONE]
                assert not early or deployment.stop, f"{row.task_id} before {early}"

    def check_in_flight(self) -> None:
        flying: dict[object, set[object]] = {}
        for row in self.rollout.deployment.executions:
            if row.state in IN_FLIGHT:
                place: object = row.task_id if row.phase is Phase.FORWARD else row.phase
                flying.setdefault(place, set()).add((KIND_ORDER[row.kind], row.batch))
        for place, rounds in flying.items():
            assert len(rounds) == 1, f"two batches of {place} at once"

    def check_end(self) -> None:
        deployment = self.rollout.deployment
        if self.ended is not None:
            assert deployment is self.ended, "a final state was left"
            return
        if deployment.state not in TERMINAL:
            return
        self.ended = deployment
        assert all(it.state in TERMINAL_EXECUTIONS for it in deployment.executions)
        assert all(it.state in TERMINAL_TASKS for it in deployment.tasks)
        assert all(it.state is not GateState.OPEN for it in deployment.gates)
        assert all(it.reason for it in deployment.executions if _wants_reason(it))
        assert not deployment.waiting_for
        assert deployment.completed_at is not None
        if deployment.state is DeploymentState.ROLLED_BACK:
            self.check_everything_is_back(deployment)

    def check_everything_is_back(self, deployment: Deployment) -> None:
        for row in deployment.executions:
            if row.changed and row.phase is Phase.FORWARD and not _excused(deployment, row):
                assert row.application_id is not None
                record = self.rollout.live[row.application_id, row.target_id]
                assert record.release_id == row.previous_release_id, "not back"
                assert record.uncertain_release_id is None, "left uncertain"

    def check_waiting(self) -> None:
        rollout, deployment = self.rollout, self.rollout.deployment
        if deployment.state in TERMINAL:
            return
        assert deployment.waiting_for, "it waits and does not say why"
        open_ = any(it.state is GateState.OPEN for it in deployment.gates)
        if deployment.admitted_at is not None:
            waiting = deployment.state is DeploymentState.WAITING_CONFIRM
            assert waiting == open_, "waiting_confirm must mean an open approval"
        held = open_ or deployment.paused_at is not None
        assert held == (deployment.held_since is not None)
        person = held or not deployment.started
        moving = rollout.last.wake_at or rollout.last.wants_admission
        assert moving or person, f"nothing will ever happen: {rollout.waits()}"


_DONE = TaskState.SUCCESS


def _wants_reason(row: Execution) -> bool:
    return row.state in {
        ExecutionState.SKIPPED,
        ExecutionState.LOST,
        ExecutionState.FAILED,
        ExecutionState.CANCELLED,
    }


def _excused(deployment: Deployment, row: Execution) -> bool:
    """Nothing was there before, or a person said that this target does not count."""
    back = [
        it
        for it in deployment.executions
        if it.kind is ExecutionKind.REVERT
        and (it.application_id, it.target_id) == (row.application_id, row.target_id)
    ]
    return row.previous_release_id is None or any(it.ignored for it in back)
