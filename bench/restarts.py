"""Ends and beginnings: a server with a long history, and stops in the middle of work."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.support.installation import Server

from bench.installation import create_chain, found
from bench.line import line
from bench.world import boreas, command, directory
from boreas.domain.deployments import DeploymentState
from boreas.domain.ids import ServerId
from boreas.kit.clock import SystemClock
from boreas.logs.chunks import STDOUT, OutputSplitter
from boreas.logs.openlog import LogSource
from boreas.logs.store import LogStore
from boreas.store import SqlStore

Line = dict[str, Any]
FINISHED = 10_000
LOGS = 100
LINES_EACH = 10_000


def restart_with_history() -> Iterator[Line]:
    """10,000 finished deployments and 1,000,000 lines: how long until the server is ready."""
    with directory() as path:
        asyncio.run(_make_history(path))
        ready = []
        for _ in range(3):
            server = Server(path)
            began = time.monotonic()
            server.start()
            ready.append(time.monotonic() - began)
            server.stop()
    yield line(
        "restart_with_history",
        "ready <= 2 s",
        reached=sorted(ready)[1] <= 2,
        ready_seconds=sorted(ready)[1],
        deployments=FINISHED,
        log_lines=LOGS * LINES_EACH,
    )


async def _make_history(path: Path) -> None:
    clock = SystemClock()
    async with SqlStore.open(None, path, clock=clock) as store:
        async with store.transaction() as tx:
            server_id = ServerId("srv_gone")
            await tx.servers.register(server_id, address="x:1", lease_seconds=1)
        await found(store, server_id, applications=FINISHED, now=clock.now())
        for start in range(0, FINISHED, 500):
            async with store.transaction() as tx:
                for number in range(start, start + 500):
                    made = await create_chain(tx, number, tasks=1, now=clock.now())
                    over = replace(made, state=DeploymentState.SUCCESS, completed_at=clock.now())
                    await tx.work.save(made, over, wake_at=None, now=clock.now())
        async with store.transaction() as tx:
            await tx.servers.bury_dead(clock.now() + timedelta(days=1))
    await _make_logs(path / "logs", clock)


async def _make_logs(place: Path, clock: SystemClock) -> None:
    logs = LogStore(place, clock)
    text = "".join(f"line {number} " + "x" * 100 + "\n" for number in range(LINES_EACH)).encode()
    chunks = OutputSplitter(STDOUT).feed(text, 1_700_000_000_000_000)
    for number in range(LOGS):
        source = LogSource(
            deployment=f"dep{number}",
            task="task0",
            execution_id=f"dep{number}.1",
            target="stub",
            order_id=f"dep{number}.1#1",
        )
        logs.append(source, 0, chunks)
        await logs.flush()
        if number >= LOGS // 10:
            await logs.close(source.deployment, source.task)
    await logs.aclose()


def sigterm_with_50_tasks() -> Iterator[Line]:
    """Server and agents told to stop while 50 commands run, then started again."""
    with boreas(agents=5) as whole:
        mark = whole.directory / "marks"
        tasks = [
            command(f"t{number}", f"echo {number} >> {mark}; sleep 6", target=f"s{number}")
            for number in range(50)
        ]
        # Orders of one target run one after the other: fifty at once need fifty targets.
        for number in range(50):
            wish = {"name": f"s{number}", "agent": f"n{number % 5 + 1}"}
            whole.post(f"/api/release/environments/{whole.environment}/targets", wish)
        deployment = whole.start(whole.wish(tasks))
        end = time.monotonic() + 60
        while not mark.exists() or len(mark.read_text().split()) < 50:
            assert time.monotonic() < end, "the 50 commands did not start"
            time.sleep(0.05)
        began = time.monotonic()
        whole.servers[0].stop()
        server = time.monotonic() - began
        began = time.monotonic()
        for agent in whole.agents:
            agent.stop()
        agents = time.monotonic() - began
        whole.servers[0].start()
        for agent in whole.agents:
            agent.start()
        whole.until_done(deployment)
        started = mark.read_text().split()
    adopted = len(started) == 50 == len(set(started))
    yield line(
        "sigterm_with_50_tasks",
        "exits <= 5 s, all adopted by the next start",
        reached=adopted and server <= 5 and agents <= 5,
        server_exit_seconds=server,
        five_agents_exit_seconds=agents,
        adopted=50 if adopted else len(set(started)),
    )
