"""Statements run in the event loop, unless they have to wait for something."""

import asyncio
import sqlite3

from sqlalchemy import text

from boreas.store import SqlStore

LONG = (
    "SELECT (WITH RECURSIVE numbers(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 3000000) SELECT count(*) FROM numbers)"
)


async def ticks_during(work):
    """How often the loop came round while this was awaited."""
    count = 0
    running = asyncio.ensure_future(work)
    while not running.done():
        await asyncio.wait([running], timeout=0.005)
        count += 1
    return count, await running


async def test_a_long_question_moves_to_a_thread_and_is_answered(tmp_path):
    async with SqlStore.open(None, tmp_path) as store, store.reading() as tx:
        connection = tx._unit.connection
        await connection.execute(text("SELECT 1"))

        ticks, answer = await ticks_during(connection.scalar(text(LONG)))

        assert answer == 3_000_000
        assert ticks > 5
        assert await connection.scalar(text("SELECT 2")) == 2


async def test_the_file_s_lock_is_waited_for_in_a_thread(tmp_path):
    async def write(store):
        async with store.transaction() as tx:
            await tx.meta.put("k", "v")

    async with SqlStore.open(None, tmp_path) as store:
        other = sqlite3.connect(tmp_path / "boreas.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.3, other.execute, "COMMIT")

        ticks, _ = await ticks_during(write(store))

        other.close()
        async with store.reading() as tx:
            assert await tx.meta.get("k") == "v"
    assert ticks > 10
