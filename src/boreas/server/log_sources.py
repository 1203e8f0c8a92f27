"""Where the events of log streams come from: the lines of one task, or of a whole deployment."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, cast
from urllib.parse import quote, unquote

from boreas.domain.deployments import TERMINAL, TERMINAL_TASKS, Deployment
from boreas.domain.errors import invalid
from boreas.domain.ids import DeploymentId
from boreas.kit.tasks import TaskGroup
from boreas.logs.lines import LogLine
from boreas.logs.reader import Mark
from boreas.logs.reading import Query
from boreas.server.event_streams import Put, ServerEvent
from boreas.server.services import ServiceBundle


def is_complete(services: ServiceBundle, deployment: Deployment, task: str) -> bool:
    """The task has ended, and its log is closed or has every byte that was announced."""
    ended = deployment.state in TERMINAL or any(
        each.id == task and each.state in TERMINAL_TASKS for each in deployment.tasks
    )
    if not ended:
        return False
    orders = [
        each.order_id
        for each in deployment.executions
        if each.task_id == task and each.ordered_at is not None
    ]
    if services.misses_logs_of(orders):
        # Also while no log is open: the first byte may be on its way, or had no room here.
        return False
    if (deployment.id, task) not in services.logs.open_logs():
        return True
    return services.has_all_logs_of(orders)


async def _deployment(services: ServiceBundle, deployment_id: DeploymentId) -> Deployment:
    async with services.store.reading() as tx:
        return await tx.deployments.get(deployment_id)


class _Following:
    """One task's lines on their way to one reader."""

    def __init__(
        self, services: ServiceBundle, deployment: DeploymentId, task: str, after: int, query: Query
    ) -> None:
        self._services = services
        self._place = deployment, task
        self._after = after
        self._query = query
        self._mark = Mark(after)

    def batches(self) -> "aclosing[AsyncGenerator[tuple[LogLine, ...], None]]":
        """Leaving the block gives the follower back."""
        follow = self._services.logs.follow(
            *self._place, after=self._after, query=self._query, mark=self._mark
        )
        return aclosing(cast("AsyncGenerator[tuple[LogLine, ...], None]", follow))

    def has_caught_up(self) -> bool:
        """What is stored was looked at: silence is not only a search that takes its time."""
        return self._mark.seq >= self._services.logs.last_seq(*self._place)


class TaskLines:
    """Lines of one task; ids are line numbers."""

    def __init__(
        self, services: ServiceBundle, deployment: Deployment, task: str, after: int, query: Query
    ) -> None:
        self._services = services
        self._deployment = deployment
        self._task = task
        self._last = after
        self._following = _Following(services, deployment.id, task, after, query)
        self._quiet_looks = 0

    async def pour(self, put: Put) -> None:
        async with self._following.batches() as batches:
            async for batch in batches:
                self._last = batch[-1].seq
                await put(ServerEvent(id=str(self._last), data=_batch(self._task, batch)))

    async def is_over(self) -> bool:
        """Twice in a row, because a log may still be on its way when its task ends."""
        deployment = await _deployment(self._services, self._deployment.id)
        complete = is_complete(self._services, deployment, self._task)
        complete = complete and self._following.has_caught_up()
        self._quiet_looks = self._quiet_looks + 1 if complete else 0
        return self._quiet_looks >= 2

    def farewell(self) -> ServerEvent:
        return ServerEvent(event="end", data={"taskId": self._task, "lastSeq": self._last})


class DeploymentLines:
    """Lines of every task as they come; an id holds the last number of each task."""

    def __init__(
        self,
        services: ServiceBundle,
        deployment: Deployment,
        after: Mapping[str, int],
        query: Query,
    ) -> None:
        self._services = services
        self._deployment = deployment
        self._last = dict(after)
        self._followings: dict[str, _Following] = {
            task.id: _Following(services, deployment.id, task.id, after.get(task.id, 0), query)
            for task in deployment.tasks
        }
        self._quiet_looks = 0

    async def pour(self, put: Put) -> None:
        async with TaskGroup("deployment log") as tasks:
            for task in self._followings:
                tasks.start(partial(self._pour_task, task, put), name=task)
            await tasks.join()

    async def _pour_task(self, task: str, put: Put) -> None:
        async with self._followings[task].batches() as batches:
            async for batch in batches:
                self._last[task] = batch[-1].seq
                await put(ServerEvent(id=positions_text(self._last), data=_batch(task, batch)))

    async def is_over(self) -> bool:
        deployment = await _deployment(self._services, self._deployment.id)
        open_ids = {each for each, _ in self._services.logs.open_logs()}
        complete = deployment.state in TERMINAL and deployment.id not in open_ids
        complete = complete and all(it.has_caught_up() for it in self._followings.values())
        self._quiet_looks = self._quiet_looks + 1 if complete else 0
        return self._quiet_looks >= 2

    def farewell(self) -> ServerEvent:
        return ServerEvent(event="end", data={"deploymentId": self._deployment.id})


def _batch(task: str, lines: tuple[LogLine, ...]) -> dict[str, Any]:
    return {"taskId": task, "logs": [line.as_json() for line in lines]}


def positions_text(last: Mapping[str, int]) -> str:
    """`task:number` of each task that has lines, by commas.

    >>> positions_text({"a": 3, "b,c": 7})
    'a:3,b%2Cc:7'
    """
    return ",".join(f"{quote(task, safe='')}:{seq}" for task, seq in last.items() if seq)


def positions_of(text: str) -> dict[str, int]:
    """What `positions_text` wrote; `InvalidInput` for anything else."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        task, _, seq = part.rpartition(":")
        if not (seq.isascii() and seq.isdigit() and len(seq) < 16):
            raise invalid("after", "is not one of ours", "send back the last event's id")
        found[unquote(task)] = int(seq)
    return found
