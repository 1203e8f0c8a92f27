"""Random installations and random requests: applications, targets, graphs and strategies."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from boreas.domain.deployments import ApprovalPolicy, ExpiryOutcome, Origin
from boreas.domain.fleet import Target
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
from boreas.domain.orders import DriverKind, HealthCheck, ProbeKind, ReleaseBody
from boreas.domain.projects import QueuePolicy
from boreas.domain.workflow import (
    ALL_AT_ONCE,
    Bad,
    Condition,
    Retry,
    Size,
    Stage,
    Strategy,
    StrategyKind,
    StrategyStep,
    TaskRequest,
    TaskType,
)
from boreas.engine.plan import DeploymentRequest, PlannedApplication
from boreas.engine.snapshot import ReleaseView
from boreas.testing.simulate.dice import Dice
from boreas.testing.simulate.drive import BEGINNING

PROJECT = ProjectId("shop")
PEOPLE = ("ann", "bob", "cho")
_RATIOS = (Fraction(0), Fraction(0), Fraction(1, 10), Fraction(1, 3), Fraction(1, 2), Fraction(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One application of the simulated project."""

    id: ApplicationId
    can_stage: bool
    health_check: HealthCheck | None
    already_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One environment."""

    id: EnvironmentId
    policy: QueuePolicy
    targets: tuple[Target, ...]


@dataclass(slots=True, kw_only=True)
class World:
    """What exists before anything is deployed."""

    apps: tuple[App, ...]
    environments: tuple[Place, ...]
    agents: tuple[AgentId, ...]
    deployments_wanted: int
    versions: int = 0
    asked: int = field(default=0)

    def targets_of(self, agent_id: AgentId) -> list[TargetId]:
        """The targets that this agent serves."""
        return [it.id for e in self.environments for it in e.targets if it.agent_id == agent_id]


def world_of(dice: Dice) -> World:
    """A small fleet: faults meet often in a small one."""
    agents = tuple(AgentId(f"a{n}") for n in range(1, dice.whole(1, 4) + 1))
    policies = (QueuePolicy.QUEUE, QueuePolicy.QUEUE, QueuePolicy.COALESCE, QueuePolicy.REJECT)
    environments = tuple(
        _environment(dice, name, agents, dice.pick(policies))
        for name in ("prod", "test")[: 2 if dice.chance(0.15) else 1]
    )
    apps = tuple(_app(dice, f"app{n}") for n in range(1, dice.weighted(_FEW) + 1))
    return World(
        apps=apps,
        environments=environments,
        agents=agents,
        deployments_wanted=dice.whole(1, 4),
    )


_FEW = ((4.0, 1), (4.0, 2), (1.0, 3))


def _environment(dice: Dice, name: str, agents: Sequence[AgentId], policy: QueuePolicy) -> Place:
    targets = tuple(
        Target(
            id=TargetId(f"{name}-t{n}"),
            environment_id=EnvironmentId(name),
            name=f"{name}-t{n}",
            agent_id=dice.pick(agents),
            position=n,
            created_at=BEGINNING,
        )
        for n in range(1, dice.whole(1, 6) + 1)
    )
    return Place(id=EnvironmentId(name), policy=policy, targets=targets)


def _app(dice: Dice, name: str) -> App:
    check = None
    if dice.chance(0.7):
        check = HealthCheck(
            type=ProbeKind.COMMAND,
            command="true",
            healthy_deadline=dice.pick((20.0, 60.0, 300.0)),
            progress_deadline=dice.pick((0.0, 40.0, 600.0)),
        )
    return App(
        id=ApplicationId(name),
        can_stage=dice.chance(0.6),
        health_check=check,
        already_live=dice.chance(0.75),
    )


def release_of(app: App, version: str, number: int = 0) -> tuple[ReleaseBody, ReleaseView]:
    """The frozen release of an application in a version, made for a deployment."""
    release_id = ReleaseId(f"{app.id}@{version}" + (f".{number}" if number else ""))
    body = ReleaseBody(
        release_id=release_id,
        version_id=VersionId(version),
        version=version,
        application_id=app.id,
        application=app.id,
        driver=DriverKind.SCRIPT,
        spec={},
        health_check=app.health_check,
    )
    view = ReleaseView(
        id=release_id,
        application_id=app.id,
        version=version,
        can_stage=app.can_stage,
        cannot_stage_because="" if app.can_stage else "it has no `stage` script",
        health_check=app.health_check,
    )
    return body, view


def request_of(
    dice: Dice, world: World, place: Place, planned: Sequence[PlannedApplication], number: int
) -> DeploymentRequest:
    """What somebody asks for. Task lists may be refused as cyclic; that is the engine's to say."""
    ids = [it.id for it in planned]
    request = _plain_request(dice, place, ids, planned, number)
    return in_stages(dice, request) if request.tasks and dice.chance(0.5) else request


def _plain_request(
    dice: Dice,
    place: Place,
    ids: Sequence[ApplicationId],
    planned: Sequence[PlannedApplication],
    number: int,
) -> DeploymentRequest:
    origin = Origin.AUTOMATIC if dice.chance(0.35) else Origin.MANUAL
    return DeploymentRequest(
        id=DeploymentId(f"d{number}"),
        number=number,
        project_id=PROJECT,
        environment_id=place.id,
        version_id=VersionId(planned[0].release.version),
        created_by=dice.pick(PEOPLE),
        origin=origin,
        strategy=strategy_of(dice),
        must_in_order=tuple(dice.shuffled(ids)) if dice.chance(0.4) else (),
        manual_approval=dice.chance(0.15),
        approval_policy=_policy(dice),
        tasks=tuple(tasks_of(dice, ids, place)) if dice.chance(0.6) else None,
        started=dice.chance(0.9),
    )


def in_stages(dice: Dice, request: DeploymentRequest) -> DeploymentRequest:
    """The same with what a workflow template adds: stages, conditions, repetitions, going on."""
    count = dice.whole(1, 3)
    stages = tuple(
        Stage(
            name=f"s{n}",
            approval=dice.chance(0.15),
            continue_on=(Bad.FAILURE,) if dice.chance(0.2) else (),
        )
        for n in range(count)
    )
    tasks: list[TaskRequest] = []
    for task in request.tasks or ():
        known = {it.id for it in tasks}
        tasks.append(
            replace(
                task,
                stage=min(len(tasks) * count // len(request.tasks or ()), count - 1),
                when=_condition(dice, [it for it in task.block_by if it in known]),
                retry=Retry(count=dice.whole(1, 2), delay=dice.pick((0.0, 0.0, 7.0)))
                if dice.chance(0.4)
                else None,
                continue_on=dice.pick(((), (), (Bad.FAILURE,), (Bad.FAILURE, Bad.CANCELLED))),
            )
        )
    return replace(request, tasks=tuple(tasks), stages=stages)


_CONDITIONS = ('trigger.kind == "manual"', 'trigger.by != "bob"', "true")


def _condition(dice: Dice, before: Sequence[TaskId]) -> Condition | None:
    if dice.chance(0.6):
        return None
    if not before or dice.chance(0.5):
        return Condition(text=dice.pick(_CONDITIONS))
    asked = dice.pick(before)
    text = dice.pick((f'tasks.{asked}.status == "success"', f"tasks.{asked}.exit_code == 0"))
    return Condition(text=text, results={asked: (asked,)})


def _policy(dice: Dice) -> ApprovalPolicy:
    return ApprovalPolicy(
        required=2 if dice.chance(0.2) else 1,
        forbid_requester=dice.chance(0.2),
        expires_after=dice.pick((30.0, 600.0, 86400.0)),
        on_expiry=dice.pick((ExpiryOutcome.FAIL, ExpiryOutcome.ROLLBACK, ExpiryOutcome.CONFIRM)),
    )


def strategy_of(dice: Dice) -> Strategy:
    """From none at all to several careful steps, and blue-green by both notations."""
    kind = StrategyKind.BLUE_GREEN if dice.chance(0.15) else StrategyKind.ROLLING
    steps = tuple(_step(dice) for _ in range(dice.weighted(_STEPS)))
    return Strategy(kind=kind, steps=steps, grace_seconds=dice.pick((0.0, 0.0, 30.0)))


_STEPS = ((1.0, 0), (3.0, 1), (3.0, 2), (1.0, 3))


def _step(dice: Dice) -> StrategyStep:
    return StrategyStep(
        batch_size=_size(dice),
        batch_interval=dice.pick((0.0, 0.0, 5.0, 60.0)),
        canary_ratio=dice.pick(_RATIOS),
        auto_rollback=dice.chance(0.6),
        approval=dice.chance(0.3),
        answer=dice.pick((None, None, None, True, False)),
        max_failures=dice.pick(
            (ALL_AT_ONCE, ALL_AT_ONCE, Size(count=1), Size(count=2), Size(percent=Fraction(40)))
        ),
    )


def _size(dice: Dice) -> Size:
    if dice.chance(0.3):
        return Size(percent=Fraction(dice.pick((20, 34, 50, 100))))
    return Size(count=dice.pick((0, 1, 1, 2, 3)))


def tasks_of(
    dice: Dice, ids: Sequence[ApplicationId], place: Place, *, first: int = 1, most: int = 7
) -> list[TaskRequest]:
    """A random graph; edges point mostly backwards, so that most graphs have no cycle."""
    tasks: list[TaskRequest] = []
    for n in range(first, first + dice.whole(1, most)):
        known = [it.id for it in tasks]
        before = {dice.pick(known): None for _ in range(dice.whole(0, 2))} if known else {}
        task = _task(dice, TaskId(f"k{n}"), ids, place, tuple(before))
        tasks.append(task)
    return tasks


def _task(
    dice: Dice,
    task_id: TaskId,
    ids: Sequence[ApplicationId],
    place: Place,
    before: tuple[TaskId, ...],
) -> TaskRequest:
    type_ = dice.pick((*TaskType, TaskType.DEPLOY, TaskType.DEPLOY, TaskType.DEPLOY))
    needs_app = type_ in {TaskType.DEPLOY, TaskType.HEALTH_CHECK}
    return TaskRequest(
        id=task_id,
        name=task_id,
        type=type_,
        application_id=dice.pick(ids) if needs_app or dice.chance(0.7) else None,
        block_by=before,
        payload=_payload(dice, type_, place),
        require_confirm=dice.chance(0.12),
        timeout_seconds=dice.pick((None, 30.0, 120.0)),
    )


def _payload(dice: Dice, type_: TaskType, place: Place) -> dict[str, object]:
    if type_ in {TaskType.DEPLOY, TaskType.HEALTH_CHECK}:
        return {}
    if type_ is TaskType.PREPARE and dice.chance(0.5):
        return {}
    payload: dict[str, object] = {"command": "true"}
    if dice.chance(0.4):
        payload["scope"] = "each_target"
    elif dice.chance(0.3):
        payload["target"] = dice.pick(place.targets).name
    return payload
