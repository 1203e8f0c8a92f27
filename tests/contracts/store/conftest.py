"""One suite for every store: the in-memory double, SQLite, PostgreSQL."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.postgres import PrivatePostgres, running_postgres

from boreas.domain.deployments import (
    Deployment,
    DeploymentState,
    Execution,
    ExecutionKind,
    ExecutionState,
    Origin,
    Task,
    TaskState,
)
from boreas.domain.fleet import Agent, Target
from boreas.domain.orders import DriverKind, ReleaseBody
from boreas.domain.projects import Application, Environment, EnvironmentKind, Project, Version
from boreas.domain.workflow import TaskType
from boreas.engine.snapshot import ReleaseView
from boreas.kit.ids import new_id
from boreas.store import SqlStore
from boreas.testing.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


# --- PostgreSQL of our own -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def private_postgres() -> Iterator[PrivatePostgres]:
    yield from running_postgres()


# --- the stores ----------------------------------------------------------------------------------

OpenStore = Callable[[], Awaitable[Any]]


@dataclass(slots=True)
class Stores:
    """Opens stores on one and the same database: as many servers as wanted (SQLite: one)."""

    kind: str
    url: str | None
    data_dir: Path
    stack: AsyncExitStack
    memory: Any = None
    opened: list[Any] = field(default_factory=list)

    async def open(self) -> Any:
        if self.kind == "memory":
            self.memory = self.memory or MemoryStore()
            return self.memory
        opening = SqlStore.open(self.url, self.data_dir)
        store = await self.stack.enter_async_context(opening)
        self.opened.append(store)
        return store


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    url = None
    if request.param == "postgres":
        url = request.getfixturevalue("private_postgres").new_database()
    async with AsyncExitStack() as stack:
        yield Stores(kind=request.param, url=url, data_dir=tmp_path, stack=stack)


@pytest.fixture
async def store(stores: Stores) -> Any:
    return await stores.open()


# --- something to deploy -------------------------------------------------------------------------


@dataclass(slots=True)
class Scene:
    """A project with two applications, one environment and three targets."""

    store: Any
    project: Project
    applications: list[Application]
    environment: Environment
    agents: list[Agent]
    targets: list[Target]
    version: Version

    def draft(
        self,
        *,
        apps: int | tuple[int, ...] = 1,
        targets: int = 3,
        origin: Origin = Origin.MANUAL,
        version: Version | None = None,
    ) -> tuple[Deployment, list[ReleaseBody], list[ReleaseView]]:
        id_ = new_id("dep")
        numbers = range(apps) if isinstance(apps, int) else apps
        chosen = [self.applications[n] for n in numbers]
        wanted = version or self.version
        releases = [a_release(id_, app, wanted) for app in chosen]
        views = [
            ReleaseView(
                id=body.release_id,
                application_id=body.application_id,
                version=body.version,
                can_stage=True,
            )
            for body in releases
        ]
        deployment = Deployment(
            id=id_,
            number=0,
            project_id=self.project.id,
            environment_id=self.environment.id,
            version_id=wanted.id,
            application_ids=tuple(app.id for app in chosen),
            state=DeploymentState.PENDING,
            created_by="ada",
            created_at=NOW,
            updated_at=NOW,
            origin=origin,
            started=True,
            tasks=tuple(a_task(f"t{n}", app) for n, app in enumerate(chosen)),
            executions=tuple(
                an_execution(
                    id_, n * targets + m, f"t{n}", releases[n], self.targets[m], self.agents[m]
                )
                for n in range(len(chosen))
                for m in range(targets)
            ),
        )
        return deployment, releases, views

    async def deploy(self, *, wake_at: datetime | None = NOW, **wishes: Any) -> Deployment:
        async with self.store.transaction() as tx:
            return await tx.deployments.create(*self.draft(**wishes), wake_at=wake_at)

    async def save(self, before: Deployment, **changes: Any) -> Deployment:
        wake_at = changes.pop("wake_at", None)
        async with self.store.transaction() as tx:
            await tx.work.claim([before.id])
            after = replace(before, **changes)
            await tx.work.save(before, after, wake_at=wake_at, now=NOW)
        return replace(after, revision=before.revision + 1)

    async def queue(self, before: Deployment) -> Deployment:
        """It asks for its locks and gets them if they are free."""
        async with self.store.transaction() as tx:
            await tx.work.claim([before.id])
            asking = replace(before, queued_at=NOW)
            admission = await tx.work.try_admit(asking, NOW)
            after = replace(asking, admitted_at=NOW if admission.granted else None)
            await tx.work.save(before, after, wake_at=None, now=NOW)
        return replace(after, revision=before.revision + 1)

    async def finish(self, before: Deployment, state: DeploymentState) -> Deployment:
        async with self.store.transaction() as tx:
            await tx.work.claim([before.id])
            after = replace(before, state=state)
            await tx.work.save(before, after, wake_at=None, now=NOW)
            await tx.work.release_locks(after, NOW)
        return replace(after, revision=before.revision + 1)

    async def due(self) -> list[str]:
        async with self.store.transaction() as tx:
            return list(await tx.work.claim_due(LATER, limit=100))

    async def load(self, *deployments: Deployment) -> Any:
        async with self.store.transaction() as tx:
            ids = await tx.work.claim([each.id for each in deployments])
            return await tx.work.load(ids, NOW)


def a_release(deployment_id: str, app: Application, version: Version) -> ReleaseBody:
    return ReleaseBody(
        release_id=new_id("rel"),
        version_id=version.id,
        version=version.name,
        application_id=app.id,
        application=app.name,
        driver=app.driver,
        spec=app.spec,
    )


def a_task(id_: str, app: Application) -> Task:
    return Task(
        id=id_,
        name=f"deploy {app.name}",
        type=TaskType.DEPLOY,
        state=TaskState.BLOCKED,
        application_id=app.id,
        created_at=NOW,
        updated_at=NOW,
    )


def an_execution(
    deployment_id: str, ordinal: int, task: str, release: ReleaseBody, target: Target, agent: Agent
) -> Execution:
    return Execution(
        id=f"{deployment_id}.{ordinal}",
        ordinal=ordinal,
        task_id=task,
        target_id=target.id,
        agent_id=agent.id,
        kind=ExecutionKind.DEPLOY,
        state=ExecutionState.PENDING,
        application_id=release.application_id,
        release_id=release.release_id,
    )


def an_agent(name: str) -> Agent:
    return Agent(id=new_id("agt"), name=name, key_sha256=new_id("key"), enrolled_at=NOW)


def an_application(project: Project, name: str) -> Application:
    return Application(
        id=new_id("app"),
        project_id=project.id,
        name=name,
        driver=DriverKind.SCRIPT,
        spec={"scripts": {"deploy": "true"}},
        created_at=NOW,
        updated_at=NOW,
    )


def a_version(project: Project, name: str) -> Version:
    return Version(id=new_id("ver"), project_id=project.id, name=name, sequence=0, created_at=NOW)


def a_target(environment: Environment, name: str, agent: Agent) -> Target:
    return Target(
        id=new_id("tgt"),
        environment_id=environment.id,
        name=name,
        agent_id=agent.id,
        position=0,
        created_at=NOW,
    )


async def set_up_scene(store: Any, **environment_wishes: Any) -> Scene:
    project = Project(id=new_id("prj"), name="shop", created_at=NOW)
    environment = Environment(
        id=new_id("env"),
        project_id=project.id,
        name="prod",
        kind=EnvironmentKind.PROD,
        created_at=NOW,
        **environment_wishes,
    )
    async with store.transaction() as tx:
        await tx.projects.add(project)
        apps = [await tx.applications.add(an_application(project, name)) for name in ("web", "api")]
        await tx.environments.add(environment)
        agents = [await tx.agents.add(an_agent(f"node-{n}")) for n in range(3)]
        targets = [
            await tx.targets.add(a_target(environment, f"target-{n}", agent))
            for n, agent in enumerate(agents)
        ]
        version = await tx.versions.add(a_version(project, "1.0"))
    return Scene(
        store=store,
        project=project,
        applications=apps,
        environment=environment,
        agents=agents,
        targets=targets,
        version=version,
    )


@pytest.fixture
async def scene(store: Any) -> Scene:
    return await set_up_scene(store)


@pytest.fixture
def new_scene() -> Callable[..., Awaitable[Scene]]:
    return set_up_scene


@pytest.fixture
def make() -> Any:
    """The builders of single values."""
    return Builders


class Builders:
    agent = staticmethod(an_agent)
    application = staticmethod(an_application)
    target = staticmethod(a_target)
    version = staticmethod(a_version)
