"""How many tasks a second the runtime and the store carry, with agents that answer at once."""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.postgres import PrivatePostgres, postgres_binaries

from bench.installation import StubFleet, create_chain, found
from bench.line import line, percentile
from boreas.domain.ids import ServerId
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, Membership
from boreas.store import SqlStore

Line = dict[str, Any]
DEPLOYMENTS = 200
TASKS = 20
GOAL = ">= 1,500 tasks/s, p99 from a task's end to its successor's start <= 250 ms"


def on_sqlite() -> Iterator[Line]:
    """With `synchronous=FULL`, as always."""
    yield asyncio.run(_measure("sqlite", None))


def on_postgresql() -> Iterator[Line]:
    """A cluster of our own, if its programs are here."""
    binaries = postgres_binaries()
    if binaries is None:
        yield line("tasks_per_second", GOAL, reached=None, skipped="PostgreSQL is not installed")
        return
    cluster = PrivatePostgres(binaries)
    try:
        cluster.start()
        yield asyncio.run(_measure("postgresql", cluster.new_database()))
    finally:
        cluster.stop()


async def _measure(database: str, url: str | None) -> Line:
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        async with SqlStore.open(url, Path(directory), clock=clock) as store:
            loop = await _loop_with_work(store, clock)
            fleet = StubFleet(loop, clock)
            used, began = time.process_time(), clock.monotonic()
            async with TaskGroup("bench") as group:
                group.start(lambda: loop.run(fleet), name="loop")
                while fleet.finished < DEPLOYMENTS * TASKS:
                    await clock.sleep(0.005)
            seconds, used = clock.monotonic() - began, time.process_time() - used
    tasks, late = DEPLOYMENTS * TASKS, percentile(fleet.gaps, 99) * 1000
    return line(
        "tasks_per_second",
        GOAL,
        reached=tasks / seconds >= 1500 and late <= 250,
        database=database,
        tasks_per_second=round(tasks / seconds),
        gap_p99_ms=late,
        seconds=seconds,
        cpu_seconds=used,
    )


async def _loop_with_work(store: SqlStore, clock: SystemClock) -> Loop:
    """Chains of no-op tasks, all of them due."""
    server_id = ServerId("srv")
    membership = Membership(
        store=store, server_id=server_id, address="bench:1", clock=clock, times=ALONE
    )
    await membership.join()
    await found(store, server_id, applications=DEPLOYMENTS, now=clock.now())
    for number in range(DEPLOYMENTS):
        async with store.transaction() as tx:
            await create_chain(tx, number, tasks=TASKS, now=clock.now())
    return Loop(store=store, membership=membership, clock=clock)
