"""Read the log of tasks: the last lines of each, then what comes after them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boreas.cli.client import Client, Json
from boreas.cli.names import DEPLOYMENTS
from boreas.domain.deployments import TERMINAL
from boreas.kit.clock import SystemClock

PAGE: Final = 1000
POLL_SECONDS: Final = 0.5
LAST_LINES_SECONDS: Final = 15.0


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
    """As `read_logs`, and then every new line, each once, until the deployment has ended.

    Agents may still be sending the last lines when it ends: those are waited for, for a while.
    """
    clock = SystemClock()
    places = _Places()
    async for line in read_logs(client, found, tasks, query):
        places.seen[line["task_id"]] = int(line.get("seq") or 0)
        yield line
    ended_at: float | None = None
    while True:
        # Asked for before the lines: whatever was written before the end is then still read.
        if ended_at is None and await _has_ended(client, found):
            ended_at = clock.monotonic()
        for task in tasks:
            async for line in _after(client, found, task, query, places):
                yield line
        if ended_at is not None:
            late = clock.monotonic() - ended_at > LAST_LINES_SECONDS
            if late or len(places.complete) == len(tasks):
                return
        await clock.sleep(POLL_SECONDS)


@dataclass(slots=True)
class _Places:
    """How far each task's log was read, and which have ended."""

    seen: dict[str, int] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)


async def _has_ended(client: Client, found: Json) -> bool:
    now = await client.get(f"{DEPLOYMENTS}/{found['id']}")
    return now.get("status") in TERMINAL


async def _after(
    client: Client, found: Json, task: Json, query: LogQuery, places: _Places
) -> AsyncIterator[Json]:
    """Every line after the last one seen of this task."""
    task_id = task["id"]
    while True:
        after = places.seen.get(task_id, 0)
        page = await client.get(_path(found, task), limit=PAGE, after=after, **query.parameters())
        lines = lines_of(page)
        for line in lines:
            places.seen[task_id] = int(line["seq"])
            yield _named(line, task)
        if not page.get("hasNewer"):
            break
    if page.get("complete", True):
        places.complete.add(task_id)


def lines_of(page: object) -> list[Json]:
    """The lines of a page of a log."""
    return list(page.get("logs") or ()) if isinstance(page, Mapping) else []


def _path(found: Json, task: Json) -> str:
    return f"{DEPLOYMENTS}/{found['id']}/tasks/{task['id']}/logs"


def _named(line: Json, task: Json) -> dict[str, Any]:
    return {**line, "task_id": task["id"], "task": task.get("name") or task["id"]}
