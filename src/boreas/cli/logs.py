"""Read the log of tasks: the last lines of each, then what comes after them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from boreas.cli.client import Client, Json
from boreas.cli.names import DEPLOYMENTS
from boreas.domain.deployments import TERMINAL
from boreas.kit.clock import SystemClock

PAGE: Final = 1000
POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines are wanted."""

    level: str | None = None
    text: str | None = None
    tail: int = 100

    def parameters(self) -> dict[str, Any]:
        """The filter as the server takes it."""
        return {"level": self.level, "q": self.text}


async def read_logs(
    client: Client, found: Json, tasks: Sequence[Json], query: LogQuery
) -> AsyncIterator[Json]:
    """The last lines of each task, oldest first over all of them."""
    lines: list[Json] = []
    for task in tasks:
        page = await client.get(_path(found, task), tail=query.tail, **query.parameters())
        lines += [_named(line, task) for line in lines_of(page)]
    for line in sorted(lines, key=lambda each: str(each.get("timestamp"))):
        yield line


async def follow_logs(
    client: Client, found: Json, tasks: Sequence[Json], query: LogQuery
) -> AsyncIterator[Json]:
    """As `read_logs`, and then every new line, each once, until the deployment has ended."""
    last: dict[str, Any] = {}
    async for line in read_logs(client, found, tasks, query):
        last[line["task_id"]] = line.get("seq")
        yield line
    while True:
        # Asked for before the lines: whatever was written before the end is then still read.
        ended = (await client.get(f"{DEPLOYMENTS}/{found['id']}")).get("status") in TERMINAL
        for task in tasks:
            async for line in _after(client, found, task, query, last):
                yield line
        if ended:
            return
        await SystemClock().sleep(POLL_SECONDS)


async def _after(
    client: Client, found: Json, task: Json, query: LogQuery, last: dict[str, Any]
) -> AsyncIterator[Json]:
    """Every line after the last one seen of this task."""
    while True:
        after = last.get(task["id"]) or 0
        page = await client.get(_path(found, task), limit=PAGE, after=after, **query.parameters())
        lines = lines_of(page)
        for line in lines:
            last[task["id"]] = line.get("seq")
            yield _named(line, task)
        if not lines or not page.get("hasNewer"):
            return


def lines_of(page: object) -> list[Json]:
    """The lines of a page of a log."""
    return list(page.get("lines") or ()) if isinstance(page, Mapping) else []


def _path(found: Json, task: Json) -> str:
    return f"{DEPLOYMENTS}/{found['id']}/tasks/{task['id']}/logs"


def _named(line: Json, task: Json) -> dict[str, Any]:
    return {**line, "task_id": task["id"], "task": task.get("name") or task["id"]}
