"""Active time: the clock by which deadlines are kept.

It starts when a deployment is admitted and stands still while people are waited for (a pause, an
open approval) or a window is closed, so that nobody's lunch break can make a target unhealthy.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from boreas.domain.deployments import Deployment, Execution, GateState
from boreas.domain.orders import HealthCheck


def active_seconds(deployment: Deployment, now: datetime) -> float:
    """Seconds of the deployment's life up to `now` in which nobody was waited for."""
    since = deployment.admitted_at or deployment.created_at
    held = deployment.held_seconds
    if deployment.held_since is not None:
        held += max(0.0, (now - deployment.held_since).total_seconds())
    return max(0.0, (now - since).total_seconds() - held)


def is_held(deployment: Deployment) -> bool:
    """Whether people or a window are waited for: deadlines stand still."""
    return (
        deployment.paused_at is not None
        or deployment.frozen_since is not None
        or any(gate.state is GateState.OPEN for gate in deployment.gates)
    )


def with_hold_settled(deployment: Deployment, now: datetime) -> Deployment:
    """The same deployment with its held time begun or closed as its pause and gates now say."""
    held = is_held(deployment)
    if held and deployment.held_since is None:
        return replace(deployment, held_since=now)
    if not held and deployment.held_since is not None:
        passed = max(0.0, (now - deployment.held_since).total_seconds())
        return replace(deployment, held_since=None, held_seconds=deployment.held_seconds + passed)
    return deployment


def moment_of(deployment: Deployment, now: datetime, active: float) -> datetime | None:
    """When active time will have reached `active`; None while it stands still."""
    if deployment.held_since is not None:
        return None
    return now + timedelta(seconds=active - active_seconds(deployment, now))


def healthy_deadline_of(execution: Execution, check: HealthCheck | None) -> float | None:
    """Active time by which this execution must be healthy; None while nothing is checked."""
    if execution.checking_since is None or check is None:
        return None
    return execution.checking_since + check.healthy_deadline
