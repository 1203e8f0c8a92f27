"""One deployment in a small obedient world: what the runtime and the agents do, without them.

A test says what agents answer and how time passes; everything else is decided by the engine. After
each decision the same snapshot is decided once more: without news it must come to nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from boreas.domain.deployments import (
    IN_FLIGHT,
    TERMINAL,
    Deployment,
    Execution,
    Task,
)
from boreas.domain.events import ExecutionReport, Notice
from boreas.domain.fleet import LiveRecord
from boreas.domain.ids import AgentId, ApplicationId, TargetId
from boreas.engine.decide import decide
from boreas.engine.plan import Ground, lay_out
from boreas.engine.reports import apply_reports
from boreas.engine.snapshot import FREE, Admission, CancelIntent, Decision, Rules, Snapshot
from boreas.testing.builders import NOON, a_ground, a_request, a_snapshot


class Rollout:
    """Drives one deployment; every method leaves it decided."""

    def __init__(
        self,
        ground: Ground | None = None,
        *,
        deployment: Deployment | None = None,
        granted: bool = True,
        rules: Rules = FREE,
        **request: Any,
    ) -> None:
        self.ground = ground or a_ground()
        self.now: datetime = NOON
        self.deployment = deployment or lay_out(a_request(**request), self.ground, NOON)
        self.snapshot: Snapshot = a_snapshot(self.deployment, self.ground)
        self.live = dict(self.ground.live)
        self.fences = 0
        self.sent: list[str] = []
        """Order ids in the order in which they were sent."""
        self.cancels: list[CancelIntent] = []
        self.notices: list[Notice] = []
        self.last: Decision = Decision(next=self.deployment)
        self.admission = Admission(granted=granted)
        self.rules = rules
        self.decide()

    # --- the runtime's part ------------------------------------------------------------------

    def decide(self) -> Decision:
        """Decide now; what comes out is saved and sent. Deciding again changes nothing."""
        decision = decide(self.current(), self.now)
        self._save(decision)
        self.last = decision
        again = decide(self.current(), self.now)
        assert again.next is self.deployment, "deciding again changed something"
        assert not again.orders, "deciding again sent an order"
        assert not again.cancels, "deciding again sent a cancel"
        assert not again.notices, "deciding again told something"
        assert again.wake_at == decision.wake_at, "deciding again wants to be woken otherwise"
        return decision

    def current(self) -> Snapshot:
        """What the runtime would load now."""
        return replace(
            self.snapshot,
            deployment=self.deployment,
            live=dict(self.live),
            admission=self.admission,
            rules=self.rules,
        )

    def wish(self, act: Callable[..., Decision], *args: Any, **more: Any) -> Decision:
        """A person's wish (a function of `engine.people`), then what follows from it."""
        decision = act(self.deployment, *args, now=self.now, **more)
        self._save(decision)
        self.decide()
        return decision

    def _save(self, decision: Decision) -> None:
        self.deployment = decision.next
        if decision.take_fence:
            self.fences += 1
            self.deployment = replace(self.deployment, fence=self.fences)
        for change in decision.live:
            self.live[change.application_id, change.target_id] = LiveRecord(
                application_id=change.application_id,
                target_id=change.target_id,
                release_id=change.release_id,
                uncertain_release_id=change.uncertain_release_id,
                deployment_id=self.deployment.id,
                since=self.now,
            )
        by_id = {it.id: it for it in self.deployment.executions}
        self.sent += [by_id[it.execution_id].order_id for it in decision.orders]
        self.cancels += decision.cancels
        self.notices += decision.notices

    # --- the agents' part --------------------------------------------------------------------

    def report(self, execution: Execution, kind: str = "finished", **more: Any) -> None:
        """An agent's news of one order."""
        report = ExecutionReport(order_id=execution.order_id, kind=kind, at=self.now, **more)
        self._save(apply_reports(self.deployment, (report,), self.now))
        self.decide()

    def finish(self, *names: str, outcome: str = "success", **more: Any) -> None:
        """The orders in flight on these targets (none named: on all) end like this."""
        for execution in self.in_flight(*names):
            self.report(execution, outcome=outcome, **more)

    def fail(self, *names: str, reason: str = "exit code 1") -> None:
        """The orders in flight on these targets fail."""
        self.finish(*names, outcome="failed", reason=reason, exit_code=1)

    def check_begins(self, *names: str) -> None:
        """The orders in flight on these targets come to their check."""
        for execution in self.in_flight(*names):
            self.report(execution, "verb", verb="check")

    def agent(self, name: str, **changes: Any) -> None:
        """The agent of target `n1` changes: online=False, revoked=True."""
        agent_id = AgentId("a" + name.removeprefix("n"))
        agents = dict(self.snapshot.agents)
        agents[agent_id] = replace(agents[agent_id], **changes)
        self.snapshot = replace(self.snapshot, agents=agents)
        self.decide()

    # --- time --------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Time passes, with every wake-up on the way."""
        end = self.now + timedelta(seconds=seconds)
        for _ in range(1000):
            at = decide(self.current(), self.now).wake_at
            if at is None or at > end:
                break
            assert at > self.now, "asked to be woken in the past"
            self.now = at
            self.decide()
        else:
            raise AssertionError("woken again and again")
        self.now = end
        self.decide()

    def run(self, answer: Callable[[Execution], dict[str, Any] | None] | None = None) -> None:
        """Answer every order (`None`: never) and let time pass, until nothing moves any more."""
        for _ in range(10_000):
            if self.deployment.state in TERMINAL:
                return
            told = [(it, (answer or _success)(it)) for it in self.in_flight()]
            news = [(it, more) for it, more in told if more is not None]
            if news:
                self.report(news[0][0], **news[0][1])
                continue
            wake = decide(self.current(), self.now).wake_at
            if wake is None:
                return
            self.now = wake
            self.decide()
        raise AssertionError("the deployment never came to rest")

    # --- looking -----------------------------------------------------------------------------

    def in_flight(self, *names: str) -> list[Execution]:
        """Orders under way, on these targets or on all."""
        flying = [it for it in self.deployment.executions if it.state in IN_FLIGHT]
        return [it for it in flying if not names or self.name(it) in names]

    def name(self, execution: Execution) -> str:
        """The execution's target, by name."""
        return self.snapshot.target_names[execution.target_id]

    def busy(self) -> list[str]:
        """Names of the targets with an order under way."""
        return [self.name(it) for it in self.in_flight()]

    def task(self, task_id: str) -> Task:
        """The task with this id."""
        return next(it for it in self.deployment.tasks if it.id == task_id)

    def executions(self, task_id: str | None = None, **wanted: Any) -> list[Execution]:
        """Executions of a task (or all) whose fields are so."""
        return [
            it
            for it in self.deployment.executions
            if task_id in (None, it.task_id)
            and all(getattr(it, key) == value for key, value in wanted.items())
        ]

    def states(self, task_id: str | None = None) -> list[str]:
        """States of the executions, in order of their rows."""
        return [it.state.value for it in self.executions(task_id)]

    @property
    def state(self) -> str:
        """State of the deployment."""
        return self.deployment.state.value

    def version_on(self, name: str, app: str = "web") -> str | None:
        """The version proven live on this target, or None."""
        record = self.live.get((ApplicationId(app), TargetId("t" + name.removeprefix("n"))))
        release = record.release_id if record is not None else None
        return release.partition("@")[2] if release is not None else None

    def waits(self) -> list[str]:
        """Why it does not go on, in sentences."""
        return [it.text for it in self.deployment.waiting_for]

    def codes(self) -> set[str]:
        """Why it does not go on, in codes."""
        return {it.code for it in self.deployment.waiting_for}


def _success(execution: Execution) -> dict[str, Any]:
    return {"outcome": "success"}
