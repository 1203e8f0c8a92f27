"""Random plans: applications, hosts, what is live, strategies and tasks, out of any chooser."""

from fractions import Fraction
from typing import Any

from boreas.domain.deployments import ApprovalPolicy, ExpiryOutcome
from boreas.domain.ids import ApplicationId
from boreas.domain.workflow import Strategy, StrategyStep, TaskRequest
from boreas.engine.plan import Ground
from boreas.testing.builders import (
    a_ground,
    a_health_check,
    a_size,
    a_strategy,
    a_task_request,
    an_application,
    live_with,
)
from boreas.testing.chance import Chance

_APPS = ("web", "api", "jobs")


def any_ground(chance: Chance) -> Ground:
    """One to three applications on one to six hosts; live, new, or live in part."""
    hosts = chance.choice((1, 2, 3, 4, 6))
    apps = tuple(
        an_application(
            name,
            hosts=hosts,
            can_stage=chance.choice((True, True, False)),
            health_check=chance.choice((None, a_health_check())),
        )
        for name in _APPS[: chance.choice((1, 1, 2, 3))]
    )
    live = live_with("v1", *apps)
    if chance.choice((1, 2, 3, 4)) == 4:
        live = {}
    if live and chance.choice((1, 2, 3, 4)) == 4:
        live.pop(next(iter(live)))
    return a_ground(*apps, live=live)


def any_strategy(chance: Chance) -> Strategy:
    """No, one or two steps of every kind; sometimes blue-green."""
    steps = tuple(_any_step(chance) for _ in range(chance.choice((0, 1, 1, 2, 2))))
    kind = chance.choice(("rolling", "rolling", "rolling", "blue_green"))
    return a_strategy(*steps, kind=kind, grace=chance.choice((0.0, 60.0)))


_BATCHES: tuple[int | str, ...] = (0, 1, 2, 3, "20%", "50%")
_TOLERANCES: tuple[int | str, ...] = (0, 0, 0, 1, "50%")


def _any_step(chance: Chance) -> StrategyStep:
    approval = chance.choice((False, False, True))
    return StrategyStep(
        batch_size=a_size(chance.choice(_BATCHES)),
        batch_interval=chance.choice((0.0, 0.0, 30.0)),
        canary_ratio=chance.choice((Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1))),
        auto_rollback=chance.choice((True, True, False)),
        approval=approval,
        answer=chance.choice((None, None, True, False)) if approval else None,
        max_failures=a_size(chance.choice(_TOLERANCES)),
    )


def any_tasks(chance: Chance, ground: Ground) -> tuple[TaskRequest, ...] | None:
    """The default list, or every type of task with a few edges of its own."""
    if chance.choice((True, False)):
        return None
    tasks: list[TaskRequest] = []
    for app in ground.applications:
        for kind in ("prepare", "build", "deploy", "health_check", "custom"):
            if kind != "deploy" and chance.choice((True, False)):
                continue
            after = [chance.choice(tasks).id] if tasks and kind == "custom" else []
            task = a_task_request(
                f"{app.name}-{kind}",
                kind,
                app=app.name,
                after=after,
                payload={"scope": chance.choice(("once", "each_target"))},
                require_confirm=chance.choice((True, False, False, False)),
                timeout_seconds=chance.choice((None, 120.0)),
            )
            tasks.append(task)
    return tuple(tasks)


def any_request(chance: Chance, ground: Ground) -> dict[str, Any]:
    """Keyword arguments of a request for this ground."""
    order: tuple[ApplicationId, ...] = tuple(it.id for it in ground.applications)
    return {
        "strategy": any_strategy(chance),
        "tasks": any_tasks(chance, ground),
        "must_in_order": chance.choice(((), order)),
        "manual_approval": chance.choice((False, False, True)),
        "started": chance.choice((True, True, False)),
        "approval_policy": ApprovalPolicy(
            required=chance.choice((1, 1, 2)),
            on_expiry=chance.choice(tuple(ExpiryOutcome)),
        ),
    }
