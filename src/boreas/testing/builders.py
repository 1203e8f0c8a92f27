"""Valid values for tests: a test names only what it is about, the rest is filled in here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from boreas.domain.deployments import Deployment
from boreas.domain.fleet import AgentView, LiveRecord, Target
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ProjectId,
    ReleaseId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.orders import HealthCheck, ProbeKind
from boreas.domain.workflow import Size, Strategy, StrategyKind, StrategyStep, TaskRequest, TaskType
from boreas.engine.plan import DeploymentRequest, Ground, PlannedApplication, lay_out
from boreas.engine.snapshot import Admission, ReleaseView, Snapshot

NOON = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
"""When tests begin."""

Live = Mapping[tuple[ApplicationId, TargetId], LiveRecord]


def a_size(value: int | str) -> Size:
    """`3` or `"20%"`."""
    if isinstance(value, str):
        return Size(percent=Fraction(value.removesuffix("%")))
    return Size(count=value)


def a_step(  # noqa: PLR0913  every key of a strategy step
    batch: int | str = 0,
    *,
    canary: str | int | Fraction = 0,
    interval: float = 0.0,
    back: bool = False,
    approval: bool = False,
    answer: bool | None = None,
    max_failures: int | str = 0,
) -> StrategyStep:
    """One strategy step; `canary` is a ratio such as "0.1" or "1/3"."""
    return StrategyStep(
        batch_size=a_size(batch),
        batch_interval=interval,
        canary_ratio=Fraction(canary),
        auto_rollback=back,
        approval=approval,
        answer=answer,
        max_failures=a_size(max_failures),
    )


def a_strategy(*steps: StrategyStep, kind: str = "rolling", grace: float = 0.0) -> Strategy:
    """A strategy of these steps."""
    return Strategy(kind=StrategyKind(kind), steps=steps, grace_seconds=grace)


def a_target(number: int = 1, **changes: Any) -> Target:
    """Target `t1` named `n1` behind agent `a1`, and so on."""
    target = Target(
        id=TargetId(f"t{number}"),
        environment_id=EnvironmentId("prod"),
        name=f"n{number}",
        agent_id=AgentId(f"a{number}"),
        position=number,
        created_at=NOON,
    )
    return replace(target, **changes)


def targets(count: int) -> tuple[Target, ...]:
    """The first so many targets."""
    return tuple(a_target(number) for number in range(1, count + 1))


def a_health_check(**changes: Any) -> HealthCheck:
    """A command check with the usual deadlines."""
    return replace(HealthCheck(type=ProbeKind.COMMAND, command="true"), **changes)


def a_release(
    app: str = "web",
    version: str = "v2",
    *,
    health_check: HealthCheck | None = None,
    can_stage: bool = True,
    **changes: Any,
) -> ReleaseView:
    """Release `web@v2` of application `web`."""
    release = ReleaseView(
        id=ReleaseId(f"{app}@{version}"),
        application_id=ApplicationId(app),
        version=version,
        can_stage=can_stage,
        health_check=health_check,
    )
    return replace(release, **changes)


def an_application(
    name: str = "web", *, hosts: int | Sequence[Target] = 3, **release: Any
) -> PlannedApplication:
    """An application (its id is its name) that goes to so many targets."""
    its_targets = targets(hosts) if isinstance(hosts, int) else tuple(hosts)
    return PlannedApplication(
        id=ApplicationId(name), name=name, release=a_release(name, **release), targets=its_targets
    )


def a_ground(*applications: PlannedApplication, live: Live | None = None, hosts: int = 3) -> Ground:
    """The named applications (default: `web` on three hosts) and all their targets."""
    apps = applications or (an_application(hosts=hosts),)
    known = {target.id: target for app in apps for target in app.targets}
    return Ground(applications=apps, targets=tuple(known.values()), live=dict(live or {}))


def live_with(version: str, *applications: PlannedApplication) -> dict[Any, LiveRecord]:
    """Every target of these applications runs this version, proven healthy."""
    return {
        (app.id, target.id): LiveRecord(
            application_id=app.id,
            target_id=target.id,
            release_id=ReleaseId(f"{app.name}@{version}"),
            deployment_id=DeploymentId("earlier"),
            since=NOON,
        )
        for app in applications
        for target in app.targets
    }


def a_task_request(
    id: str = "task",
    type: str = "custom",
    *,
    app: str | None = None,
    after: Iterable[str] = (),
    command: str | None = None,
    **changes: Any,
) -> TaskRequest:
    """A task as a person writes it; types that need a command get one."""
    kind = TaskType(type)
    if command is None and kind in {TaskType.BUILD, TaskType.TEST, TaskType.CUSTOM}:
        command = "true"
    payload = {**({"command": command} if command else {}), **changes.pop("payload", {})}
    return TaskRequest(
        id=TaskId(id),
        name=changes.pop("name", id),
        type=kind,
        application_id=ApplicationId(app) if app else None,
        block_by=tuple(TaskId(it) for it in after),
        payload=payload,
        **changes,
    )


def a_request(**changes: Any) -> DeploymentRequest:
    """Deployment `d1`, number 1, asked for by alice, started at once."""
    request = DeploymentRequest(
        id=DeploymentId("d1"),
        number=1,
        project_id=ProjectId("shop"),
        environment_id=EnvironmentId("prod"),
        version_id=VersionId("v2"),
        created_by="alice",
        strategy=a_strategy(a_step(1, back=True)),
    )
    return replace(request, **changes)


def a_deployment(ground: Ground | None = None, *, hosts: int = 3, **request: Any) -> Deployment:
    """A freshly laid out deployment; keyword arguments change the request."""
    return lay_out(a_request(**request), ground or a_ground(hosts=hosts), NOON)


def agents_of(ground: Ground) -> dict[AgentId, AgentView]:
    """An online agent for each target of the ground."""
    return {
        it.agent_id: AgentView(id=it.agent_id, name=f"node-{it.name}", online=True)
        for it in ground.targets
    }


def releases_of(ground: Ground) -> dict[ReleaseId, ReleaseView]:
    """The ground's own releases, and a view of every release that is live on its targets."""
    views = {app.release.id: app.release for app in ground.applications}
    for record in ground.live.values():
        if record.release_id is not None and record.release_id not in views:
            like = ground.application(record.application_id)
            check = like.release.health_check if like is not None else None
            version = record.release_id.partition("@")[2]
            views[record.release_id] = a_release(record.application_id, version, health_check=check)
    return views


def a_snapshot(
    deployment: Deployment | None = None, ground: Ground | None = None, **changes: Any
) -> Snapshot:
    """The deployment in a quiet world: locks free, agents online."""
    ground = ground or a_ground()
    snapshot = Snapshot(
        deployment=deployment or a_deployment(ground),
        admission=Admission(granted=True),
        agents=agents_of(ground),
        live=ground.live,
        releases=releases_of(ground),
        application_names={it.id: it.name for it in ground.applications},
        target_names={it.id: it.name for it in ground.targets},
    )
    return replace(snapshot, **changes)
