"""When a deployment may begin, and whether it may go on: schedule, manual lock, windows.

Before the start all three only make it wait, outside of the queue, so that nobody waits for one
that cannot begin. Once it is under way only a window without overrun holds it. Windows never hold
what goes back: nobody wants to keep a bad version because it is Friday.
"""

from datetime import datetime

from boreas.domain.deployments import Deployment
from boreas.domain.projects import EnvironmentLock
from boreas.domain.windows import WindowStanding, standing_at
from boreas.engine.snapshot import Rules
from boreas.engine.turn import Turn


def may_begin(turn: Turn) -> bool:
    """Whether nothing but the queue stands before the first task; otherwise the reason is noted."""
    if _is_scheduled(turn) or _is_locked(turn) or _is_closed(turn):
        # Out of the queue: whoever comes after it may go first.
        turn.update(queued_at=None)
        return False
    return True


def expired(deployment: Deployment, turn: Turn) -> bool:
    """Whether it was to begin by a moment that has come; looked at again then."""
    if deployment.expire_at is None:
        return False
    if turn.now < deployment.expire_at:
        turn.wake_by(deployment.expire_at)
        return False
    return True


def holds(deployment: Deployment, rules: Rules, now: datetime) -> tuple[str, ...]:
    """Everything that would keep it from beginning at this moment, in words."""
    found = []
    if deployment.deploy_at is not None and now < deployment.deploy_at:
        found.append(_scheduled_words(deployment.deploy_at))
    if rules.lock is not None:
        found.append(_lock_words(rules.lock))
    # At its own time other windows may be open than now.
    standing = standing_at(rules.windows, max(now, deployment.deploy_at or now))
    if not standing.is_open:
        found.append(standing.text)
    return tuple(found)


def _scheduled_words(at: datetime) -> str:
    return f"is to begin at {at:%Y-%m-%d %H:%M:%S} UTC"


def _lock_words(lock: EnvironmentLock) -> str:
    return (
        f"the environment is locked by {lock.by} since {lock.at:%Y-%m-%d %H:%M} UTC: {lock.reason}"
    )


def _is_scheduled(turn: Turn) -> bool:
    at = turn.deployment.deploy_at
    if at is None or turn.now >= at:
        return False
    turn.wait("scheduled", _scheduled_words(at), at=at.isoformat())
    turn.wake_by(at)
    return True


def _is_locked(turn: Turn) -> bool:
    lock = turn.snapshot.rules.lock
    if lock is None:
        return False
    turn.wait("locked", _lock_words(lock), by=lock.by)
    return True


def _is_closed(turn: Turn) -> bool:
    standing = _standing(turn)
    if standing.is_open or _is_passed(turn.deployment, standing):
        return False
    _wait_for(turn, standing)
    return True


def settle(turn: Turn) -> None:
    """Begin or end the hold of a deployment under way, as its windows now say."""
    standing = _standing(turn)
    held = not standing.is_open and not standing.overrun
    held = held and not _is_passed(turn.deployment, standing)
    since = turn.deployment.frozen_since
    if held and since is None:
        turn.update(frozen_since=turn.now)
        turn.say("frozen", f"held: {standing.text}")
    elif not held and since is not None:
        turn.update(frozen_since=None)
        turn.say("thawed", "the windows let it go on")
    turn.settle_hold()


def watch(turn: Turn) -> None:
    """Say that a window holds what is under way, and look again when that changes."""
    standing = _standing(turn)
    if turn.deployment.frozen_since is not None:
        _wait_for(turn, standing)
    elif standing.changes_at and not all(it.overrun for it in turn.snapshot.rules.windows):
        turn.wake_by(standing.changes_at)


def _standing(turn: Turn) -> WindowStanding:
    return standing_at(turn.snapshot.rules.windows, turn.now)


def _is_passed(deployment: Deployment, standing: WindowStanding) -> bool:
    if deployment.rollback_of is not None:
        return True
    return deployment.window_skip is not None and standing.skippable


def _wait_for(turn: Turn, standing: WindowStanding) -> None:
    skip = turn.deployment.window_skip
    nobody = " (nobody can pass this window)" if skip and not standing.skippable else ""
    turn.wait("window", f"{standing.text}{nobody}")
    if standing.changes_at is not None:
        turn.wake_by(standing.changes_at)
