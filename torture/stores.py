"""A database that refuses, fails, or does what it was asked and then says that it failed.

In one process: the real loop over the real store, with agents that keep a journal as real ones do.
"""

import asyncio
import logging
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import structlog
from bench.installation import AGENT, create_chain, found
from sqlalchemy import event

from boreas.domain.deployments import DeploymentState, ExecutionState
from boreas.domain.errors import Unavailable
from boreas.domain.events import ExecutionReport
from boreas.domain.ids import DeploymentId, ServerId
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.kit.clock import SystemClock
from boreas.kit.tasks import TaskGroup
from boreas.runtime.loop import Loop
from boreas.runtime.membership import ALONE, Membership
from boreas.runtime.ports import CHANNEL_OUTBOX
from boreas.store import SqlStore, SqlTransaction
from boreas.store.history import Wanted
from boreas.store.unit import Unit
from torture.tally import Counts, Dose, Tally

SERVER = ServerId("srv")
STUCK_AFTER_SECONDS = 60.0
"""Without any report; how long it takes altogether is the machine's business."""
DEPLOYMENTS, TASKS = 1000, 4
EACH_KIND_OF_FAULT = 0.05
SMALL_DEPLOYMENTS, SMALL_TASKS = 12, 8
_ACTIVE = Wanted(active=True)
_FEW = 3
_DEPLOYMENTS_PER_SECOND = 12
_LOOK_EVERY_SECONDS, _MOST_LOOKS = 0.002, 200


class HurriedClock(SystemClock):
    """Rests after failures are a fiftieth of what they were: there are many of them here."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 50)


class FaultyStore(SqlStore):
    """The store with faults thrown by `fault`: `refused`, `failed` or `unknown`, or none."""

    fault: Callable[[], str | None] = staticmethod(lambda: None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        self._next = self.fault()
        if self._next == "refused":
            raise Unavailable("refused by the dice")
        async with super().transaction() as tx:
            yield tx

    async def _commit(self, unit: Unit) -> None:
        thrown, self._next = self._next, None
        if thrown == "failed":
            raise Unavailable("failed by the dice")
        if thrown != "unknown":
            await super()._commit(unit)
            return

        dialect = self._engine.sync_engine.dialect
        commit = dialect.do_commit

        def commit_and_lose_the_answer(connection: Any) -> None:
            dialect.do_commit = commit  # type: ignore[method-assign]
            commit(connection)
            raise sqlite3.OperationalError("done, but the answer was lost")

        dialect.do_commit = commit_and_lose_the_answer  # type: ignore[assignment,method-assign]  # a trick
        await super()._commit(unit)


class JournalFleet:
    """Agents that do every order once, however often it comes, and repeat what they reported."""

    def __init__(self, store: SqlStore, loop: Loop, clock: SystemClock) -> None:
        self._store = store
        self._loop = loop
        self._clock = clock
        self._came: list[OutboxRow] = []
        self._sent: set[int] = set()
        self.done: Counter[str] = Counter()
        self.settled = 0

    def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Fits `runtime.loop.Post`."""
        new = [row for row in rows if row.id not in self._sent]
        self._sent.update(row.id for row in new)
        self._came.extend(new)

    async def work(self) -> None:
        """A few orders at a time, so that there are many rounds to fail."""
        while True:
            few, self._came = self._came[:_FEW], self._came[_FEW:]
            for row in few:
                self._loop.news.taken(row.id)
                if row.kind is OutboxKind.ORDER:
                    self.done[row.order_id] = 1
                    self._report(row.order_id)
            wanted = self.settled + len(few)
            for _ in range(_MOST_LOOKS):
                await self._clock.sleep(50 * _LOOK_EVERY_SECONDS)
                if self.settled >= wanted:
                    break

    async def fetch(self) -> None:
        """As the gateway does: whenever somebody says that there is something."""
        async for _ in self._store.listen(CHANNEL_OUTBOX):
            while True:
                try:
                    async with self._store.reading() as tx:
                        rows = await tx.outbox.for_agent(AGENT)
                    break
                except Unavailable:
                    await self._clock.sleep(1)
            self.deliver(rows)

    def _report(self, order_id: str) -> None:
        report = ExecutionReport(
            order_id=order_id,
            kind="finished",
            at=self._clock.now(),
            outcome="success",
            exit_code=0,
        )
        self._loop.news.report(report, self._settle)

    def _settle(self) -> None:
        self.settled += 1


class Trial:
    """One store, its loop and fleet, and chains of tasks to be carried to their end."""

    def __init__(self, store: FaultyStore, tally: Tally) -> None:
        self.clock = HurriedClock()
        self.store = store
        self.tally = tally
        self.membership = Membership(
            store=store, server_id=SERVER, address="here:1", clock=self.clock, times=ALONE
        )
        self.loop = Loop(store=store, membership=self.membership, clock=self.clock)
        self.fleet = JournalFleet(store, self.loop, self.clock)

    async def prepare(self, deployments: int, tasks: int) -> None:
        """Everything stands in the database; nothing has begun."""
        self.ids = [DeploymentId(f"dep{number}") for number in range(deployments)]
        await self.membership.join()
        await found(self.store, SERVER, applications=deployments, now=self.clock.now())
        for number in range(deployments):
            async with self.store.transaction() as tx:
                await create_chain(tx, number, tasks=tasks, now=self.clock.now())

    async def run(self) -> None:
        """Until all are final, or nothing moves any more."""
        async with TaskGroup("trial") as group:
            group.start(self.fleet.fetch, name="fetch")
            group.start(self.fleet.work, name="work")
            running = group.start(lambda: self.loop.run(self.fleet), name="loop")
            last, since = -1, self.clock.monotonic()
            while await self._unfinished() and not running.done():
                await self.clock.sleep(2)
                if self.fleet.settled != last:
                    last, since = self.fleet.settled, self.clock.monotonic()
                elif self.clock.monotonic() - since > STUCK_AFTER_SECONDS:
                    break

    async def settle(self) -> None:
        """Hold every deployment against what the fleet did."""
        for deployment_id in self.ids:
            async with self.store.reading() as tx:
                deployment = await tx.deployments.get(deployment_id)
            self.tally.add(deployments=1)
            if deployment.state is not DeploymentState.SUCCESS:
                is_stuck = deployment.state is DeploymentState.RUNNING
                words = f"{deployment_id} is {deployment.state}"
                self.tally.add(stuck=is_stuck, wrong_ends=not is_stuck, problem=words)
            for execution in deployment.executions:
                self._settle_execution(execution)

    def _settle_execution(self, execution: Any) -> None:
        orders = [o for o in self.fleet.done if o.startswith(f"{execution.id}#")]
        self.tally.add(executions=1)
        if execution.state is ExecutionState.SUCCESS and not orders:
            self.tally.add(lost=1, problem=f"{execution.id} never ran")
        if len(orders) > 1:
            self.tally.add(doubled=1, problem=f"{execution.id} ran as {orders}")

    async def _unfinished(self) -> bool:
        async with self.store.reading() as tx:
            return bool((await tx.deployments.page(_ACTIVE, limit=1)).items)


def fail_at_random(directory: Path, dose: Dose) -> Tally:
    """One transaction in seven is refused, fails, or stands although it is said to have failed."""
    workers = os.cpu_count() or 1
    in_time = int(dose.at_most_seconds * _DEPLOYMENTS_PER_SECOND)
    each = max(1, min(DEPLOYMENTS, dose.rounds) // workers)
    asks = [(directory / f"w{it}", min(each, in_time), dose.seed + it) for it in range(workers)]
    tally = Tally(fault="fail_at_random")
    with _processes() as pool:
        for came_of_it in pool.map(_random_faults, asks):
            tally.absorb(came_of_it)
    return tally


def _processes() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        os.cpu_count() or 1, mp_context=get_context("spawn"), initializer=_be_silent
    )


def _be_silent() -> None:
    """What the parts say of their faults is not the result."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _random_faults(asked: tuple[Path, int, int]) -> Counts:
    directory, deployments, seed = asked
    directory.mkdir()
    return asyncio.run(_fail_at_random(directory, deployments, random.Random(seed))).counts()


async def _fail_at_random(directory: Path, deployments: int, dice: random.Random) -> Tally:
    tally = Tally(fault="fail_at_random")

    def fault() -> str | None:
        thrown = int(dice.random() / EACH_KIND_OF_FAULT)
        kind = ("refused", "failed", "unknown")[thrown] if thrown < 3 else None
        if kind:
            tally.add(problem="", tried=1, **{kind: 1})
        return kind

    async with FaultyStore.open(None, directory) as store:
        trial = Trial(store, tally)
        await trial.prepare(deployments, TASKS)
        store.fault = fault
        await trial.run()
        store.fault = lambda: None
        await trial.settle()
    return tally


def fail_nth_write(directory: Path, dose: Dose) -> Tally:
    """The first write fails, in the next trial the second, and so on; several trials at a time."""
    tally = Tally(fault="fail_nth_write")
    workers = os.cpu_count() or 1
    with _processes() as pool:
        turns = dose.turns()
        while numbers := list(islice(turns, 4 * workers)):
            for came_of_it in pool.map(partial(_trial, directory), numbers):
                tally.absorb(came_of_it)
    return tally


def _trial(directory: Path, number: int) -> Counts:
    return asyncio.run(_fail_nth_write(directory / f"n{number}", number)).counts()


async def _fail_nth_write(directory: Path, number: int) -> Tally:
    tally = Tally(fault="fail_nth_write")
    directory.mkdir()
    async with FaultyStore.open(None, directory) as store:
        trial = Trial(store, tally)
        await trial.prepare(SMALL_DEPLOYMENTS, SMALL_TASKS)
        failing = FailingWrite(number)
        failing.watch(store)
        await trial.run()
        await trial.settle()
    tally.add(tried=failing.failed)
    tally.must(failing.failed, f"there was no write number {number}")
    shutil.rmtree(directory)
    return tally


class FailingWrite:
    """Lets the n-th INSERT, UPDATE, DELETE or COMMIT of a store fail, once."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._count = 0
        self.failed = 0

    def watch(self, store: SqlStore) -> None:
        """From now on."""
        engine = store._engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._before_statement)
        event.listen(engine, "commit", self._before_commit)

    def _before_statement(self, *about: Any) -> None:
        statement: str = about[2]
        if statement.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE"):
            self._write()

    def _before_commit(self, _: Any) -> None:
        self._write()

    def _write(self) -> None:
        self._count += 1
        if self._count == self._number:
            self.failed += 1
            raise sqlite3.OperationalError("disk I/O error")
