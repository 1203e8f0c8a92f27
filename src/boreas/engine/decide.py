"""The one door for time and state: `decide(snapshot, now) -> Decision`.

Called by the runtime on a locked snapshot, as often as it likes: the same snapshot and moment give
the same decision, and deciding again without news changes nothing and sends nothing. Events are
only hints to look again; a lost one delays a decision, it never falsifies one.
"""

from datetime import datetime

from boreas.domain.deployments import TERMINAL, DeploymentState, Phase
from boreas.engine import before_start, forward, gates, rollback, stopping, watch, windows
from boreas.engine.snapshot import Decision, Snapshot
from boreas.engine.turn import Turn


def decide(snapshot: Snapshot, now: datetime) -> Decision:
    """What happens next to this deployment; the very same `next` if nothing does."""
    if snapshot.deployment.state in TERMINAL:
        return Decision(next=snapshot.deployment)
    turn = Turn(snapshot, now)
    if turn.deployment.admitted_at is not None or before_start.admitted(turn):
        _advance(turn)
    return turn.result()


def _advance(turn: Turn) -> None:
    gates.expire(turn)
    if turn.deployment.phase is Phase.FORWARD and turn.deployment.stop is None:
        windows.settle(turn)
    watch.overdue(turn)
    if turn.deployment.phase is Phase.FORWARD:
        _forward_or_wind_down(turn)
    if turn.deployment.phase is Phase.ROLLBACK and turn.deployment.state not in TERMINAL:
        turn.forget_waits()
        rollback.go_back(turn)
    if turn.deployment.state not in TERMINAL:
        _show_state(turn)
        # Once more, for the wake-up times of what was sent, stopped or no longer held just now.
        watch.overdue(turn)


def _forward_or_wind_down(turn: Turn) -> None:
    """Forward while nothing has stopped the deployment; after that, to its end or its turn."""
    if turn.deployment.stop is None:
        forward.go_on(turn)
    if turn.deployment.stop is not None and turn.deployment.state not in TERMINAL:
        stopping.wind_down(turn, turn.deployment.stop)


def _show_state(turn: Turn) -> None:
    waiting = bool(gates.open_gates(turn.deployment))
    turn.update(state=DeploymentState.WAITING_CONFIRM if waiting else DeploymentState.RUNNING)
    turn.settle_hold()
