"""Whatever happens to the database is said in words, and it heals by itself."""

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from boreas.domain.errors import BoreasError, NoSpace, Unavailable
from boreas.store import SqlStore


@pytest.fixture
async def sqlite_store(tmp_path):
    async with SqlStore.open(None, tmp_path) as store:
        yield store


@pytest.fixture
async def postgres_store(private_postgres, tmp_path):
    async with SqlStore.open(private_postgres.new_database(), tmp_path) as store:
        yield store


async def write(store, value="x"):
    async with store.transaction() as tx:
        await tx.meta.put("k", value)


async def read(store):
    async with store.reading() as tx:
        return await tx.meta.get("k")


async def until_it_works(store):
    async with asyncio.timeout(20):
        while True:
            try:
                return await write(store)
            except Unavailable:
                continue


async def test_a_file_locked_by_another_program_is_unavailable_after_five_seconds(
    sqlite_store, tmp_path
):
    with closing(sqlite3.connect(tmp_path / "boreas.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        writers = [write(sqlite_store) for _ in range(3)]
        answers = await asyncio.gather(*writers, return_exceptions=True)
        took = time.monotonic() - began
        assert await read(sqlite_store) is None, "reading goes on meanwhile"

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert took < 9
    await write(sqlite_store)
    assert await read(sqlite_store) == "x"


async def test_a_full_disk_is_said_and_heals(sqlite_store):
    """`max_page_count` makes SQLite answer what it answers on a full disk."""
    await write(sqlite_store)

    async def write_much():
        async with sqlite_store.transaction() as tx:
            connection = tx._unit.connection
            await connection.exec_driver_sql("PRAGMA max_page_count = 1")
            try:
                await tx.meta.put("big", "x" * 5_000_000)
            finally:
                await connection.exec_driver_sql("PRAGMA max_page_count = 1000000")

    with pytest.raises(NoSpace):
        await write_much()

    await write(sqlite_store, "y")
    assert await read(sqlite_store) == "y"


async def test_a_damaged_file_is_named_with_its_mend(tmp_path):
    async with SqlStore.open(None, tmp_path) as store:
        await write(store)
    (tmp_path / "boreas.db").write_bytes(b"not a database at all" * 1000)

    with pytest.raises(Unavailable) as damaged:
        async with SqlStore.open(None, tmp_path):
            pass

    assert "boreas restore" in damaged.value.message


async def test_a_database_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        async with SqlStore.open("postgresql://nobody@/x?host=/tmp/no-such-place", tmp_path):
            pass


async def test_a_killed_connection_is_unavailable_and_the_next_one_works(postgres_store):
    async def die():
        async with postgres_store.transaction() as tx:
            await tx.meta.put("k", "never")
            victim = await tx._unit.connection.exec_driver_sql("SELECT pg_backend_pid()")
            pid = victim.scalar_one()
            async with postgres_store.transaction() as killer:
                await killer._unit.connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")
            await tx.meta.put("k", "never again")

    with pytest.raises(Unavailable):
        await die()

    await write(postgres_store)
    assert await read(postgres_store) == "x"


async def test_a_connection_killed_before_the_commit_is_unavailable(postgres_store):
    async def die():
        async with postgres_store.transaction() as tx:
            await tx.meta.put("k", "never")
            await tx.announce("boreas_due", "")
            victim = await tx._unit.connection.exec_driver_sql("SELECT pg_backend_pid()")
            pid = victim.scalar_one()
            async with postgres_store.transaction() as killer:
                await killer._unit.connection.exec_driver_sql(f"SELECT pg_terminate_backend({pid})")

    listening = postgres_store.listen("boreas_due")
    with pytest.raises(Unavailable):
        await die()

    assert await read(postgres_store) is None
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(listening), 0.05)


async def test_a_server_that_went_away_and_came_back_is_used_again(private_postgres, tmp_path):
    async with SqlStore.open(private_postgres.new_database(), tmp_path) as store:
        await write(store)
        private_postgres.stop_for_now()
        try:
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await write(store)
                with pytest.raises(Unavailable):
                    await read(store)
        finally:
            private_postgres.start_again()
        await until_it_works(store)


async def test_two_transactions_that_block_each_other_end_as_unavailable(postgres_store):
    async with postgres_store.transaction() as tx:
        await tx.meta.put("a", "0")
        await tx.meta.put("b", "0")
    both_hold_one = asyncio.Barrier(2)

    async def lock(first, second):
        async with postgres_store.transaction() as tx:
            await tx.meta.put(first, "1")
            await both_hold_one.wait()
            await tx.meta.put(second, "1")

    answers = await asyncio.gather(lock("a", "b"), lock("b", "a"), return_exceptions=True)

    assert sorted(type(answer).__name__ for answer in answers) == ["NoneType", "Unavailable"]


async def test_a_cancelled_caller_leaves_no_half_done_transaction(sqlite_store):
    holding = asyncio.Event()

    async def hang():
        async with sqlite_store.transaction() as tx:
            await tx.meta.put("k", "half")
            holding.set()
            await asyncio.Event().wait()

    hanging = asyncio.ensure_future(hang())
    await holding.wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging

    assert await read(sqlite_store) is None
    await write(sqlite_store)
    assert await read(sqlite_store) == "x"


async def test_many_cancelled_writers_do_not_break_the_store(sqlite_store):
    async def one(n):
        async with sqlite_store.transaction() as tx:
            await tx.meta.put("k", str(n))

    for n in range(30):
        writing = asyncio.ensure_future(one(n))
        for _ in range(n % 12):
            await asyncio.wait([writing], timeout=0)
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled() or writing.exception() is None
    await write(sqlite_store, "last")

    assert await read(sqlite_store) == "last"


async def test_a_value_no_database_can_hold_is_the_callers_mistake(postgres_store):
    with pytest.raises(BoreasError):
        await write(postgres_store, "nul \0 in it")


async def test_the_file_is_private(sqlite_store, tmp_path):
    await write(sqlite_store)

    for path in tmp_path.glob("boreas.db*"):
        assert path.stat().st_mode & 0o077 == 0, path.name


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_an_error_of_the_caller_comes_out_as_itself(database, request, tmp_path):
    url = None
    if database == "postgres":
        url = request.getfixturevalue("private_postgres").new_database()

    class Mine(ConnectionError):
        pass

    async def use():
        async with SqlStore.open(url, tmp_path):
            raise Mine

    with pytest.raises(Mine):
        await use()
