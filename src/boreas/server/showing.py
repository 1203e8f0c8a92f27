"""Read deployments together with the names that their ids have, for the routes and live pushes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

from boreas.domain.deployments import Deployment, Task
from boreas.domain.errors import NotFound
from boreas.domain.ids import DeploymentId
from boreas.domain.orders import ReleaseBody
from boreas.engine.loaded import Loaded
from boreas.logs.lines import LogLine
from boreas.logs.pages import Window
from boreas.server.deployment_views import (
    DeploymentDetailView,
    DeploymentView,
    deployment_view,
    detail_view,
)
from boreas.server.services import ServiceBundle
from boreas.server.task_views import Names, TaskView
from boreas.store import SqlTransaction as Transaction

T = TypeVar("T", Task, TaskView)
LAST_LINES: Final = 20
# A graph of thousands of tasks is looked at task by task; their logs have routes of their own.
MOST_TASKS_WITH_LINES: Final = 50


def named_task(tasks: Iterable[T], task_id: str) -> T:
    """The one with this id; `NotFound`."""
    found = next((task for task in tasks if task.id == task_id), None)
    if found is None:
        raise NotFound(f"this deployment has no task {task_id!r}")
    return found


async def load(tx: Transaction, services: ServiceBundle, deployment_id: DeploymentId) -> Loaded:
    """The deployment with its world; `NotFound`."""
    found = await tx.work.load([deployment_id], services.clock.now())
    if deployment_id not in found:
        raise NotFound(f"there is no deployment {deployment_id!r}")
    return found[deployment_id]


async def names_for(tx: Transaction, loaded: Loaded) -> Names:
    """What the ids in a loaded deployment are called."""
    snapshot = loaded.snapshot
    version = await tx.versions.find(snapshot.deployment.version_id)
    return Names(
        version="" if version is None else version.name,
        environment=loaded.environment,
        applications={str(id_): name for id_, name in snapshot.application_names.items()},
        targets={str(id_): name for id_, name in snapshot.target_names.items()},
        agents={agent_id: agent.name for agent_id, agent in snapshot.agents.items()},
    )


async def shown(
    services: ServiceBundle, deployment_id: DeploymentId, *, with_lines: bool = True
) -> DeploymentDetailView:
    """The whole deployment as clients get it."""
    async with services.store.reading() as tx:
        loaded = await load(tx, services, deployment_id)
        names = await names_for(tx, loaded)
        releases = await releases_of(tx, loaded.snapshot.deployment)
    deployment = loaded.snapshot.deployment
    lines = await last_lines(services, deployment) if with_lines else {}
    return detail_view(deployment, names, services.clock.now(), lines, releases)


async def releases_of(tx: Transaction, deployment: Deployment) -> Sequence[ReleaseBody]:
    """The releases that a deployment brings, or takes targets back to, each once."""
    ids = [it.release_id for it in deployment.executions if it.release_id is not None]
    wanted = list(dict.fromkeys(ids))
    bodies = await tx.releases.bodies(wanted)
    return [bodies[id_] for id_ in wanted if id_ in bodies]


async def shown_list(
    tx: Transaction, services: ServiceBundle, heads: Sequence[Deployment]
) -> list[DeploymentView]:
    """Deployments in the order of these heads, as lists show them."""
    now = services.clock.now()
    found = await tx.work.load([head.id for head in heads], now) if heads else {}
    views = []
    for head in heads:
        if loaded := found.get(head.id):
            names = await names_for(tx, loaded)
            views.append(deployment_view(loaded.snapshot.deployment, names, now))
    return views


async def last_lines(
    services: ServiceBundle, deployment: Deployment
) -> Mapping[str, Sequence[LogLine]]:
    """The last lines of each task that began, the latest tasks first."""
    begun = [task for task in deployment.tasks if task.started_at is not None]
    begun.sort(key=lambda task: task.updated_at, reverse=True)
    found: dict[str, Sequence[LogLine]] = {}
    for task in begun[:MOST_TASKS_WITH_LINES]:
        page = await services.logs.page(deployment.id, task.id, Window(limit=LAST_LINES))
        if page.lines:
            found[task.id] = page.lines
    return found
