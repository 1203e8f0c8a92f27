"""Deployments as live readers last saw them, shared by all connections of this server.

A picture remembers for each task since which revision it looks as it does, so that any reader can
be told what changed after the revision it knows. Losing a picture costs one snapshot.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from boreas.domain.deployments import Deployment, Execution, Task
from boreas.domain.errors import NotFound
from boreas.domain.ids import DeploymentId
from boreas.engine.explain import blocked_words
from boreas.server.deployment_views import deployment_view
from boreas.server.services import ServiceBundle
from boreas.server.showing import load, names_for, releases_of
from boreas.server.task_views import Names, task_view
from boreas.server.variable_views import snapshot_views

MOST_PICTURES: Final = 64

_Seen = tuple[Task, tuple[Execution, ...], str | None]


@dataclass(slots=True)
class Picture:
    """One deployment at its newest known revision `v`."""

    deployment: Deployment
    names: Names
    since: int
    """The first revision this picture knows; changes after it can be told apart."""
    tasks: dict[str, _Seen] = field(default_factory=dict)
    changed_at: dict[str, int] = field(default_factory=dict)
    removed_at: dict[str, int] = field(default_factory=dict)
    variables: list[dict[str, Any]] = field(default_factory=list)
    """As they were frozen; they never change, so that only the whole picture has them."""

    @property
    def v(self) -> int:
        """The revision that is pictured."""
        return self.deployment.revision

    def moved_on(self, deployment: Deployment, names: Names) -> None:
        """Take in a newer revision."""
        seen = _seen(deployment)
        for task_id, task in seen.items():
            if self.tasks.get(task_id) != task:
                self.changed_at[task_id] = deployment.revision
                self.removed_at.pop(task_id, None)
        for task_id in self.tasks.keys() - seen.keys():
            self.removed_at[task_id] = deployment.revision
            self.changed_at.pop(task_id, None)
        self.deployment, self.names, self.tasks = deployment, names, seen

    def snapshot(self, services: ServiceBundle) -> dict[str, Any]:
        """The whole of it, without logs."""
        header = self._header(services)
        tasks = self._tasks(services, self.tasks)
        return {**header, "tasks": tasks, "variables": self.variables}

    def changes_after(self, v: int, services: ServiceBundle) -> dict[str, Any]:
        """What is different from revision `v`, which must not be older than `since`."""
        changed = [task_id for task_id, at in self.changed_at.items() if at > v]
        return {
            "deployment": self._header(services),
            "tasks": self._tasks(services, changed),
            "removedTasks": [task_id for task_id, at in self.removed_at.items() if at > v],
        }

    def _header(self, services: ServiceBundle) -> dict[str, Any]:
        view = deployment_view(self.deployment, self.names, services.clock.now())
        return view.model_dump(mode="json", by_alias=True)

    def _tasks(self, services: ServiceBundle, wanted: Any) -> list[dict[str, Any]]:
        now = services.clock.now()
        shown = []
        for task_id in wanted:
            task, executions, words = self.tasks[task_id]
            view = task_view(self.deployment, task, executions, self.names, now, words)
            shown.append(view.model_dump(mode="json", by_alias=True))
        return shown


def _seen(deployment: Deployment) -> dict[str, _Seen]:
    executions: dict[str, list[Execution]] = {}
    for execution in deployment.executions:
        executions.setdefault(execution.task_id, []).append(execution)
    words = blocked_words(deployment)
    return {
        task.id: (task, tuple(executions.get(task.id, ())), words.get(task.id))
        for task in deployment.tasks
    }


class Pictures:
    """The pictures that were looked at last; however many readers ask, one reads the database."""

    def __init__(self, services: ServiceBundle) -> None:
        self._services = services
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def of(self, deployment_id: DeploymentId, *, at_least: int) -> Picture:
        """The deployment at this revision or a newer one, if there is one; `NotFound`."""
        known = self._pictures.get(deployment_id)
        if known is not None and at_least and known.v >= at_least:
            return known
        async with self._locks.setdefault(deployment_id, asyncio.Lock()):
            known = self._pictures.get(deployment_id)
            if known is not None and at_least and known.v >= at_least:
                return known
            try:
                return await self._look(deployment_id, known)
            except NotFound:
                self._forget(deployment_id)
                raise

    def _forget(self, deployment_id: str) -> None:
        self._pictures.pop(deployment_id, None)
        self._locks.pop(deployment_id, None)

    async def _look(self, deployment_id: DeploymentId, known: Picture | None) -> Picture:
        async with self._services.store.reading() as tx:
            loaded = await load(tx, self._services, deployment_id)
            names = await names_for(tx, loaded)
            releases = await releases_of(tx, loaded.snapshot.deployment) if known is None else ()
        deployment = loaded.snapshot.deployment
        if known is None:
            known = Picture(deployment, names, since=deployment.revision, tasks=_seen(deployment))
            known.variables = [
                it.model_dump(mode="json", by_alias=True)
                for it in snapshot_views(deployment, releases)
            ]
            self._pictures[deployment_id] = known
        elif deployment.revision > known.v:
            known.moved_on(deployment, names)
        self._pictures.move_to_end(deployment_id)
        while len(self._pictures) > MOST_PICTURES:
            self._forget(next(iter(self._pictures)))
        return known
