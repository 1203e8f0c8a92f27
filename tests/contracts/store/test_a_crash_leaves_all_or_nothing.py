"""A server killed between any two writes leaves a round done, or not begun."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event

from boreas.domain.deployments import ExecutionState, TaskState
from boreas.domain.events import Notice
from boreas.domain.outbox import OutboxKind, OutboxRow
from boreas.engine.snapshot import LiveChange

WRITES = ("INSERT", "UPDATE", "DELETE")


class Crash(Exception):
    """The server died here."""


class CrashAt:
    """Raises at the n-th write of a store, whichever it is."""

    def __init__(self, store: Any, nth: int) -> None:
        self.writes = 0
        self._nth = nth
        if hasattr(store, "crash"):
            store.crash = self._memory
            self.heal: Callable[[], None] = lambda: setattr(store, "crash", lambda _: None)
        else:
            engine = store._engine.sync_engine
            event.listen(engine, "before_cursor_execute", self._sql)
            self.heal = lambda: event.remove(engine, "before_cursor_execute", self._sql)

    def _memory(self, moment: str) -> None:
        if moment != "committed":
            self._count()

    def _sql(self, connection, cursor, statement, parameters, context, executemany) -> None:
        if statement.lstrip().startswith(WRITES):
            self._count()

    def _count(self) -> None:
        self.writes += 1
        if self.writes == self._nth:
            raise Crash


async def a_round(scene, first) -> None:
    """What the loop writes in one transaction."""
    execution, *others = first.executions
    running = replace(execution, state=ExecutionState.ORDERED)
    task = replace(first.tasks[0], state=TaskState.RUNNING)
    now = first.created_at
    async with scene.store.transaction() as tx:
        await tx.work.claim_due(now, limit=10)
        await tx.work.try_admit(first, now)
        fence = await tx.work.next_fence()
        after = replace(first, fence=fence, tasks=(task,), executions=(running, *others))
        await tx.work.save(first, after, wake_at=None, now=now)
        change = LiveChange(
            application_id=execution.application_id,
            target_id=execution.target_id,
            release_id=None,
            uncertain_release_id=execution.release_id,
        )
        await tx.work.change_live(after, [change], now)
        await tx.work.add_events(first.id, [Notice(code="started", text="started")], now)
        await tx.outbox.put(
            [
                OutboxRow(
                    agent_id=running.agent_id,
                    kind=OutboxKind.ORDER,
                    order_id=running.order_id,
                    deployment_id=first.id,
                )
            ]
        )
        await tx.work.release_locks(replace(after, id="dep_other"), now)
        await tx.announce("boreas_outbox", running.agent_id)


async def all_there_is(scene, first) -> Any:
    async with scene.store.reading() as tx:
        deployment = await tx.deployments.get(first.id)
        events = [event.notice.code for event in await tx.deployments.events(first.id)]
        live = await tx.environments.live(scene.environment.id)
        promises = await tx.outbox.for_agent(scene.agents[0].id)
        admission = (await tx.deployments.admissions([deployment]))[first.id]
    return deployment, events, live, [replace(row, id=0) for row in promises], admission.granted


async def test_a_crash_between_any_two_writes_leaves_nothing_behind(scene):
    first = await scene.deploy()
    before = await all_there_is(scene, first)
    nth = 0
    while True:
        nth += 1
        crash = CrashAt(scene.store, nth)
        try:
            await a_round(scene, first)
        except Crash:
            assert await all_there_is(scene, first) == before, f"crash at write {nth}"
            continue
        finally:
            crash.heal()
        break

    after = await all_there_is(scene, first)
    assert nth > 6, "there were writes to crash at"
    assert after[0].revision == 2
    assert after[0].executions[0].state is ExecutionState.ORDERED
    assert after[1] == ["started"]
    assert len(after[2]) == len(after[3]) == 1
    assert after[4]


async def test_after_a_crash_right_behind_the_commit_everything_is_there(stores, new_scene):
    if stores.kind != "memory":
        pytest.skip("only the double can die exactly there")
    store = await stores.open()
    scene = await new_scene(store)
    first = await scene.deploy()

    def die(moment: str) -> None:
        if moment == "committed":
            raise Crash

    store.crash = die
    with pytest.raises(Crash):
        await a_round(scene, first)
    store.crash = lambda _: None

    assert (await all_there_is(scene, first))[0].revision == 2
