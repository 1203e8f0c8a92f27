"""Follow a deployment until it ends.

Level-triggered: the WebSocket only hints that something changed; what is shown is always read
again. Without a WebSocket, or when it falls silent, reading every second does the same, later.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from boreas.cli.client import Client, Json
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure
from boreas.cli.logs import lines_of
from boreas.cli.names import DEPLOYMENTS
from boreas.domain.deployments import TERMINAL
from boreas.kit.clock import Clock, SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.kit.until import Hint

POLL_SECONDS: Final = 1.0
REST_SECONDS: Final = 0.1
"""Between two reads at least: a burst of hints is one look."""
PATIENCE_SECONDS: Final = 60.0
"""So long a server may be away (a restart, a takeover) before watching gives up."""
LOG_TAIL: Final = 8


class Viewer(Protocol):
    """Shows a deployment to somebody."""

    wants_log: bool
    """Is the tail of the log worth fetching?"""

    def show(self, found: Json, log: Sequence[str], now: datetime) -> None:
        """The deployment as it is now, with the last lines of its running tasks."""
        ...


async def follow(
    client: Client, deployment_id: str, viewer: Viewer, *, clock: Clock | None = None
) -> Json:
    """Show every change until the deployment has ended; the answer is its last word.

    Raises `Unreachable` when the server stays away for longer than a takeover may need.
    """
    clock = clock or SystemClock()
    changed = Hint()
    async with TaskGroup("watch") as tasks:
        tasks.start(lambda: _listen(client, deployment_id, changed), name="websocket")
        return await _look_until_the_end(client, deployment_id, viewer, clock, changed)


async def _look_until_the_end(
    client: Client, deployment_id: str, viewer: Viewer, clock: Clock, changed: Hint
) -> Json:
    last_answer = clock.monotonic()
    while True:
        try:
            found: Json = await client.get(f"{DEPLOYMENTS}/{deployment_id}")
            log = await _log_tail(client, found) if viewer.wants_log else ()
        except Failure as failure:
            away = failure.exit_code is ExitCode.UNREACHABLE
            if not away or clock.monotonic() - last_answer > PATIENCE_SECONDS:
                raise
        else:
            last_answer = clock.monotonic()
            viewer.show(found, log, clock.now())
            if found.get("status") in TERMINAL:
                return found
        await clock.sleep(REST_SECONDS)
        await changed.wait(at_most=POLL_SECONDS)


async def _log_tail(client: Client, found: Json) -> list[str]:
    """The last lines of the tasks that run now, told apart by target."""
    lines: list[Json] = []
    running = [task for task in found.get("tasks") or () if task.get("status") == "running"]
    for task in running[:3]:
        path = f"{DEPLOYMENTS}/{found['id']}/tasks/{task['id']}/logs"
        lines += lines_of(await client.get(path, tail=LOG_TAIL))
    lines.sort(key=lambda line: str(line.get("timestamp")))
    return [f"{line.get('target', '')} | {line.get('message', '')}" for line in lines[-LOG_TAIL:]]


async def _listen(client: Client, deployment_id: str, changed: Hint) -> None:
    """Raise the hint with every message; end quietly, polling is enough."""
    try:
        socket = await client.websocket("/api/v1/ws")
    except Failure:
        return
    async with socket:
        topic = f"deployment:{deployment_id}"
        await socket.send_str(json.dumps({"type": "subscribe", "topic": topic}))
        async for _message in socket:
            changed.raise_()
