"""The loop over a real SQLite that refuses, fails, or does what it says it did not."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from torture.stores import FaultyStore, HurriedClock, fail_at_random, fail_nth_write
from torture.tally import Dose, Tally

from boreas.domain.errors import Unavailable
from boreas.domain.ids import ServerId
from boreas.runtime.membership import ALONE, Membership
from boreas.store import SqlStore


async def clean(fault: Any, directory: Path, *, rounds: int) -> Tally:
    dose = Dose(rounds=rounds, at_most_seconds=300, seed=7)
    tally: Tally = await asyncio.to_thread(fault, directory, dose)
    assert tally.is_clean, tally.as_json()
    return tally


async def test_whatever_the_database_says_every_task_is_done_once(tmp_path: Path) -> None:
    tally = await clean(fail_at_random, tmp_path, rounds=100)

    assert {"refused", "failed", "unknown"} <= tally.facts.keys()


async def test_any_single_write_may_fail(tmp_path: Path) -> None:
    tally = await clean(fail_nth_write, tmp_path, rounds=16)

    assert tally.tried == 16


class _FailingCommit:
    """The next COMMIT fails; SQLite keeps the transaction open then."""

    def __init__(self, store: SqlStore) -> None:
        self._dialect: Any = store._engine.sync_engine.dialect
        self._commit = self._dialect.do_commit
        self._dialect.do_commit = self._fail

    def _fail(self, connection: Any) -> None:
        self._dialect.do_commit = self._commit
        raise sqlite3.OperationalError("disk I/O error")


async def test_a_commit_that_failed_leaves_no_lock_behind(tmp_path: Path) -> None:
    async with SqlStore.open(None, tmp_path) as store:
        _FailingCommit(store)
        with pytest.raises(Unavailable):
            async with store.transaction() as tx:
                await tx.meta.put("name", "lost")

        async with store.transaction() as tx:
            assert await tx.meta.get("name") is None
            await tx.meta.put("name", "kept")


async def test_a_commit_of_unknown_fate_is_announced_all_the_same(tmp_path: Path) -> None:
    async with SqlStore.open(None, tmp_path) as store:
        heard = store.listen("news")
        _FailingCommit(store)
        with pytest.raises(Unavailable):
            async with store.transaction() as tx:
                await tx.announce("news", "look")

        assert await asyncio.wait_for(anext(heard), 5) == ("news", "look")


async def test_a_lost_lease_is_taken_up_again_however_often_the_database_fails(
    tmp_path: Path,
) -> None:
    async with FaultyStore.open(None, tmp_path) as store:
        clock = HurriedClock()
        membership = Membership(
            store=store, server_id=ServerId("srv"), address="here:1", clock=clock, times=ALONE
        )
        await membership.join()
        await membership.leave()
        faults = iter([None, "failed", None, "unknown", None, None])
        store.fault = lambda: next(faults, None)

        for _ in range(3):
            await membership.ensure()

        async with store.transaction() as tx:
            await membership.check(tx)
