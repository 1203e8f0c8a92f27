"""One call of `decide`: the draft, the world around it, and what is to be sent and waited for."""

from datetime import datetime, timedelta
from functools import cached_property

from boreas.domain.deployments import (
    DeploymentState,
    Execution,
    Reason,
    Stop,
    StopKind,
    Task,
)
from boreas.domain.fleet import AgentView
from boreas.domain.ids import ExecutionId, ReleaseId, TargetId, TaskId
from boreas.domain.orders import CHANGING_VERBS, HealthCheck
from boreas.engine.attempts import Place, forward_phase_of
from boreas.engine.draft import Draft
from boreas.engine.graph import Graph, graph_of
from boreas.engine.health_windows import moment_of
from boreas.engine.snapshot import CancelIntent, Decision, OrderIntent, Snapshot

MANY_REASONS = 40
"""More waits than this are counted, not listed: they are stored with every change."""

CANCEL_GRACE = 10.0
"""Seconds between TERM and KILL; the same as an order's own default."""

_ROUNDING = 0.001
"""Wake-up times are whole microseconds: without this slack a deadline could be woken for a hair too
early, for ever."""


class Turn(Draft):
    """Everything that one decision reads and collects."""

    def __init__(self, snapshot: Snapshot, now: datetime) -> None:
        super().__init__(snapshot.deployment, now)
        self.snapshot = snapshot
        self.orders: list[OrderIntent] = []
        self.cancels: list[CancelIntent] = []
        self.because: list[Reason] = []
        self.wakes: list[datetime] = []
        self.active_wakes: list[float] = []
        """In active time: whether it stands still is only known at the end."""
        self.wants_admission = False
        self.release_locks = False
        self._uncounted = 0

    @cached_property
    def graph(self) -> Graph:
        """The tasks' graph; built once for the same tasks and edges."""
        if self._known.graph is None:
            self._known.graph = graph_of(self.original.tasks, self.original.must_in_order)
        return self._known.graph

    @cached_property
    def live_before(self) -> dict[Place, ReleaseId | None]:
        """What was live, before this deployment, at the places that it has already changed."""
        phase = forward_phase_of(self.original)
        return {
            (it.application_id, it.target_id): it.previous_release_id
            for it in self.original.executions
            if it.changed and it.phase is phase and it.application_id is not None
        }

    @cached_property
    def changing(self) -> dict[Place, ExecutionId]:
        """The order that is changing a place; may be over meanwhile."""
        return {
            (it.application_id, it.target_id): it.id
            for it in self.in_flight()
            if it.application_id is not None and CHANGING_VERBS & set(it.verbs)
        }

    # --- names -------------------------------------------------------------------------------

    def target(self, target_id: TargetId) -> str:
        return self.snapshot.target_names.get(target_id, target_id)

    def targets(self, executions: list[Execution], at_most: int = 5) -> str:
        """Target names for a sentence: the first few, and how many more."""
        names = list(dict.fromkeys(self.target(it.target_id) for it in executions))
        more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
        return ", ".join(names[:at_most]) + more

    def agent(self, execution: Execution) -> AgentView | None:
        return self.snapshot.agents.get(execution.agent_id)

    def agent_name(self, execution: Execution) -> str:
        agent = self.agent(execution)
        return agent.name if agent is not None else str(execution.agent_id)

    def is_reachable(self, execution: Execution) -> bool:
        agent = self.agent(execution)
        return agent is not None and agent.online and not agent.revoked

    def health_check_of(self, execution: Execution) -> HealthCheck | None:
        release = self.snapshot.releases.get(execution.release_id) if execution.release_id else None
        return release.health_check if release is not None else None

    # --- collecting --------------------------------------------------------------------------

    def wait(self, code: str, text: str, *, task_id: TaskId | None = None, **about: object) -> None:
        """Something waits, and this is why."""
        if len(self.because) >= MANY_REASONS:
            self._uncounted += 1
            return
        self.because.append(Reason(code=code, text=text, parameters=about, task_id=task_id))

    def forget_waits(self) -> None:
        """What was waited for, and until when, is looked at anew."""
        self.because.clear()
        self.wakes.clear()
        self.active_wakes.clear()
        self._uncounted = 0

    def wake_by(self, at: datetime) -> None:
        """Look again at this time even if nothing happens."""
        self.wakes.append(at)

    def wake_after(self, since: datetime, seconds: float) -> bool:
        """Whether so many seconds have passed since then; if not, look again when they have."""
        at = since + timedelta(seconds=seconds)
        if self.now >= at:
            return True
        self.wake_by(at)
        return False

    def wake_at_active(self, active: float) -> bool:
        """Whether active time has come this far; if not, look again when it will have."""
        if self.active() + _ROUNDING >= active:
            return True
        self.active_wakes.append(active)
        return False

    def ask_to_stop(self, execution: Execution, reason: str) -> None:
        """Send one cancel for an order in flight; its state changes when the agent answers."""
        # The value in hand may be older than a stop that this very decision already sent.
        if self.executions[execution.id].stop_sent_at is not None:
            return
        self.update_execution(execution.id, stop_reason=reason, stop_sent_at=self.now)
        self.cancels.append(
            CancelIntent(
                order_id=execution.order_id,
                agent_id=execution.agent_id,
                grace_seconds=CANCEL_GRACE,
                reason=reason,
            )
        )

    def stop(self, kind: StopKind, reason: str, *, go_back: bool, on: str | None = None) -> None:
        """End forward work; the first reason stays the reason."""
        if self.deployment.stop is None:
            stop = Stop(kind=kind, at=self.now, reason=reason, go_back=go_back, on=on)
            self.update(stop=stop, error_message=reason)
            self.say("stopped", reason, kind=kind.value, go_back=go_back)

    def end(self, state: DeploymentState, text: str | None = None) -> None:
        """Bring the deployment to a final state; its locks are free."""
        if text is not None:
            self.update(error_message=text)
        self.update(state=state, completed_at=self.now)
        self.update(paused_by=None, paused_at=None, frozen_since=None)
        self.settle_hold()
        self.release_locks = True
        self.because.clear()
        self.wakes.clear()
        self.active_wakes.clear()
        self.say("ended", f"{state.value}" + (f": {text}" if text else ""), state=state.value)

    def result(self) -> Decision:
        """The decision; its reasons are stored with the deployment as well."""
        if self._uncounted:
            self.because.append(
                Reason(
                    code="more",
                    text=f"and {self._uncounted} more",
                    parameters={"count": self._uncounted},
                )
            )
        because = tuple(self.because)
        self.update(waiting_for=because)
        return self.decision(
            orders=tuple(self.orders),
            cancels=tuple(self.cancels),
            because=because,
            wake_at=self._wake_at(),
            # 0 stands for a number that is yet to be drawn: at admission, going back, or a retry.
            take_fence=self.deployment.fence == 0 and self.deployment.admitted_at is not None,
            wants_admission=self.wants_admission,
            release_locks=self.release_locks,
        )

    def _wake_at(self) -> datetime | None:
        moments = list(self.wakes)
        if self.active_wakes:
            soonest = moment_of(self.deployment, self.now, min(self.active_wakes))
            moments += [soonest] if soonest is not None else []
        return min(moments, default=None)

    def set_task_reason(self, task: Task, reason: str | None) -> None:
        """What a task that is not final waits for, as shown beside it."""
        self.update_task(task.id, reason=reason)
