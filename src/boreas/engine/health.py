"""Judge health from a row of probe answers.

Called by `boreas.drivers.probes` on the agent after every probe. Pure: time comes in with each
answer, so a test can play years in a moment. `healthy_deadline` is not judged here: the engine
keeps it, because time spent waiting for people must not count.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from boreas.domain.orders import HealthCheck


class Health(StrEnum):
    """What is known so far. The last two are final."""

    UNDECIDED = "undecided"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one answer came to: ask again at `ask_again_at`, or a final word with its reason."""

    health: Health
    reason: str
    ask_again_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthWatch:
    """What must be remembered between two probes of one target."""

    check: HealthCheck
    began: float
    failures_in_a_row: int = 0
    passing_since: float | None = None


def begin(check: HealthCheck, now: float) -> HealthWatch:
    """Start watching; `start_period` counts from here."""
    return HealthWatch(check=check, began=now)


def judge(
    watch: HealthWatch, *, at: float, passed: bool, detail: str = ""
) -> tuple[HealthWatch, Verdict]:
    """Take one more answer into account. `at` never goes back; `detail` says why a probe failed."""
    return _passed(watch, at) if passed else _failed(watch, at, detail)


def _passed(watch: HealthWatch, at: float) -> tuple[HealthWatch, Verdict]:
    since = at if watch.passing_since is None else watch.passing_since
    needed = watch.check.min_healthy_seconds
    watch = replace(watch, failures_in_a_row=0, passing_since=since)
    if at >= since + needed:
        told = f"passed for {at - since:g} s in a row" if needed else "passed"
        return watch, Verdict(health=Health.HEALTHY, reason=told)
    # Not later than the moment that decides, even when the interval is long.
    again = min(at + watch.check.interval, since + needed)
    told = f"passed, must hold for {needed:g} s"
    return watch, Verdict(health=Health.UNDECIDED, reason=told, ask_again_at=again)


def _failed(watch: HealthWatch, at: float, detail: str) -> tuple[HealthWatch, Verdict]:
    again = at + watch.check.interval
    why = f": {detail}" if detail else ""
    if at - watch.began < watch.check.start_period:
        watch = replace(watch, failures_in_a_row=0, passing_since=None)
        told = f"not yet up, and its start period still runs{why}"
        return watch, Verdict(health=Health.UNDECIDED, reason=told, ask_again_at=again)
    count = watch.failures_in_a_row + 1
    watch = replace(watch, failures_in_a_row=count, passing_since=None)
    allowed = max(1, watch.check.retries)
    if count >= allowed:
        times = "once" if count == 1 else f"{count} times in a row"
        return watch, Verdict(health=Health.UNHEALTHY, reason=f"failed {times}{why}")
    told = f"failed {count} of {allowed} times{why}"
    return watch, Verdict(health=Health.UNDECIDED, reason=told, ask_again_at=again)
