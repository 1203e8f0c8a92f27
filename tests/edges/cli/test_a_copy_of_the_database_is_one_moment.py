"""Copies of the database, taken while a server writes; what is broken in one is found."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from boreas.cli.archive.data_dir import (
    FENCE,
    OUTBOX,
    copy_database,
    integrity_of,
    make_newer_than_all_agents,
)
from boreas.store import SqlStore, tables


async def write_pairs(store: SqlStore, stop: asyncio.Event) -> int:
    n = 0
    while not stop.is_set():
        n += 1
        async with store.transaction() as tx:
            await tx.meta.put("left", str(n))
            await tx.meta.put("right", str(n))
    return n


async def test_a_copy_under_load_is_one_moment(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with SqlStore.open(None, tmp_path) as store, asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()
        writing = tasks.create_task(write_pairs(store, stop))
        async with store.transaction() as tx:
            await tx.meta.put("begun", "yes")
        for _ in range(5):
            copy.unlink(missing_ok=True)
            await asyncio.to_thread(copy_database, tmp_path / "boreas.db", copy)
            with closing(sqlite3.connect(copy)) as connection:
                rows = dict(connection.execute("SELECT name, value FROM meta"))
            assert rows.get("left") == rows.get("right")
        stop.set()
        assert await writing > 0

    assert integrity_of(copy) == "ok"
    assert copy.stat().st_mode & 0o077 == 0


async def test_a_damaged_page_is_found(tmp_path: Path) -> None:
    database = tmp_path / "boreas.db"
    async with SqlStore.open(None, tmp_path) as store, store.transaction() as tx:
        for n in range(200):
            await tx.meta.put(f"key {n}", "x" * 300)
    whole = bytearray(database.read_bytes())
    for place in range(len(whole) - 4096 * 8, len(whole)):
        whole[place] ^= 0xA5
    database.write_bytes(whole)

    assert integrity_of(database) != "ok"


async def test_after_a_restore_no_number_is_drawn_twice_and_no_server_is_alive(
    tmp_path: Path,
) -> None:
    async with SqlStore.open(None, tmp_path) as store:
        async with store.transaction() as tx:
            await tx.servers.register("s1", address="a", lease_seconds=3600)
        (tmp_path / "restored").mkdir()
        copy = tmp_path / "restored" / "boreas.db"
        copy_database(tmp_path / "boreas.db", copy)
        async with store.transaction() as tx:
            lost = [await tx.work.next_fence() for _ in range(5)]

    make_newer_than_all_agents(copy, now_ms=0)

    async with SqlStore.open(None, tmp_path / "restored") as store, store.transaction() as tx:
        assert await tx.work.next_fence() > max(lost)
        assert await tx.servers.addresses() == []


@pytest.mark.parametrize(("said", "meant"), [(FENCE, tables.FENCE), (OUTBOX, tables.OUTBOX)])
def test_the_command_line_names_the_counters_as_the_store_does(said: str, meant: str) -> None:
    assert said == meant
