"""A small installation in any store: a project, an environment, agents that answer at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from boreas.domain.deployments import Deployment
from boreas.domain.events import ExecutionReport
from boreas.domain.fleet import Agent, Target
from boreas.domain.ids import (
    AgentId,
    ApplicationId,
    DeploymentId,
    EnvironmentId,
    ProjectId,
    ReleaseId,
    ServerId,
    TargetId,
    TaskId,
    VersionId,
)
from boreas.domain.orders import DriverKind, ReleaseBody
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.domain.projects import Application, Environment, EnvironmentKind, Project, Version
from boreas.domain.workflow import TaskRequest, TaskType
from boreas.engine.plan import DeploymentRequest, Ground, PlannedApplication, lay_out
from boreas.engine.snapshot import ReleaseView
from boreas.kit.clock import Clock
from boreas.runtime.loop import Loop

PROJECT = ProjectId("prj")
ENVIRONMENT = EnvironmentId("env")
VERSION = VersionId("ver")
AGENT = AgentId("agt")
TARGET = TargetId("tgt")


async def found(
    store: Any,
    server_id: ServerId,
    *,
    applications: int,
    now: datetime,
    agent_id: AgentId = AGENT,
) -> None:
    """The project with so many applications, and one target behind one agent that is online.

    An agent other than the stub is there already.
    """
    async with store.transaction() as tx:
        await tx.projects.add(Project(id=PROJECT, name="bench", created_at=now))
        await tx.environments.add(
            Environment(
                id=ENVIRONMENT,
                project_id=PROJECT,
                name="prod",
                kind=EnvironmentKind.PROD,
                created_at=now,
            )
        )
        if agent_id == AGENT:
            await _add_stub(tx, server_id, now)
        await tx.targets.add(_target(agent_id, now))
        for number in range(applications):
            await tx.applications.add(_application(number, now))
        await tx.versions.add(
            Version(id=VERSION, project_id=PROJECT, name="v1", sequence=0, created_at=now)
        )


async def _add_stub(tx: Any, server_id: ServerId, now: datetime) -> None:
    await tx.agents.add(Agent(id=AGENT, name="stub", key_sha256="k", enrolled_at=now))
    await tx.links.connected(AGENT, server_id=server_id, address="", transport="stub", now=now)


async def create_chain(
    tx: Any, number: int, *, tasks: int, now: datetime, agent_id: AgentId = AGENT
) -> Deployment:
    """A deployment of application `number`: so many no-op tasks, one after the other."""
    view = ReleaseView(
        id=ReleaseId(f"rel{number}"),
        application_id=_application_id(number),
        version="v1",
        can_stage=True,
    )
    targets = (_target(agent_id, now),)
    planned = PlannedApplication(
        id=_application_id(number), name=f"app{number}", release=view, targets=targets
    )
    request = DeploymentRequest(
        id=DeploymentId(f"dep{number}"),
        number=0,
        project_id=PROJECT,
        environment_id=ENVIRONMENT,
        version_id=VERSION,
        created_by="bench",
        tasks=_chain(number, tasks),
    )
    deployment = lay_out(request, Ground(applications=(planned,), targets=targets), now)
    created: Deployment = await tx.deployments.create(
        deployment, [_body(view)], [view], wake_at=now
    )
    return created


@dataclass(slots=True)
class StubFleet:
    """Takes every order and reports it finished at once, as an agent that has nothing to do."""

    loop: Loop
    clock: Clock
    finished: int = 0
    gaps: list[float] = field(default_factory=list)
    """Seconds from a report of a task's end to the order of its successor."""
    _ended: dict[DeploymentId, float] = field(default_factory=dict)

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Fits `runtime.loop.Post`."""
        for row in rows:
            self.loop.news.taken(row.id)
            if row.kind is OutboxKind.ORDER:
                now = self.clock.monotonic()
                if row.deployment_id in self._ended:
                    self.gaps.append(now - self._ended[row.deployment_id])
                self._ended[row.deployment_id] = now
                self.loop.news.report(
                    ExecutionReport(
                        order_id=row.order_id,
                        kind="finished",
                        at=self.clock.now(),
                        outcome="success",
                        exit_code=0,
                    ),
                    self._count,
                )

    def _count(self) -> None:
        self.finished += 1


def _chain(number: int, length: int) -> tuple[TaskRequest, ...]:
    ids = [TaskId(f"task{index}") for index in range(length)]
    return tuple(
        TaskRequest(
            id=each,
            name=each,
            type=TaskType.CUSTOM,
            application_id=_application_id(number),
            block_by=(ids[index - 1],) if index else (),
            payload={"command": "true"},
        )
        for index, each in enumerate(ids)
    )


def _application_id(number: int) -> ApplicationId:
    return ApplicationId(f"app{number}")


def _application(number: int, now: datetime) -> Application:
    return Application(
        id=_application_id(number),
        project_id=PROJECT,
        name=f"app{number}",
        driver=DriverKind.SCRIPT,
        spec={"scripts": {"deploy": "true"}},
        created_at=now,
        updated_at=now,
    )


def _target(agent_id: AgentId, now: datetime) -> Target:
    return Target(
        id=TARGET,
        environment_id=ENVIRONMENT,
        name="stub",
        agent_id=agent_id,
        position=0,
        created_at=now,
    )


def _body(view: ReleaseView) -> ReleaseBody:
    return ReleaseBody(
        release_id=view.id,
        version_id=VERSION,
        version="v1",
        application_id=view.application_id,
        application=view.application_id,
        driver=DriverKind.SCRIPT,
        spec={"scripts": {"deploy": "true"}},
    )
