"""Copies taken under load, restored with everything that happened later fenced off."""

import asyncio
import shutil
import sqlite3
from contextlib import closing

import pytest

from boreas.domain.errors import Conflict, InvalidInput, NotFound
from boreas.store import SqlStore
from boreas.store.backup import FENCE_LEAP, back_up, faults, make_ready_after_restore


async def write_pairs(store, stop):
    n = 0
    while not stop.is_set():
        n += 1
        async with store.transaction() as tx:
            await tx.meta.put("left", str(n))
            await tx.meta.put("right", str(n))
    return n


async def test_a_backup_under_load_is_one_moment(tmp_path):
    copy = tmp_path / "copy" / "boreas.db"
    copy.parent.mkdir()
    async with SqlStore.open(None, tmp_path) as store, asyncio.TaskGroup() as tasks:
        stop = asyncio.Event()
        writing = tasks.create_task(write_pairs(store, stop))
        async with store.transaction() as tx:
            await tx.meta.put("begun", "yes")
        for _ in range(5):
            copy.unlink(missing_ok=True)
            await asyncio.to_thread(back_up, tmp_path / "boreas.db", copy)
            with closing(sqlite3.connect(copy)) as connection:
                rows = dict(connection.execute("SELECT name, value FROM meta"))
            assert rows.get("left") == rows.get("right")
        stop.set()
        assert await writing > 0

    assert faults(copy) == []
    assert copy.stat().st_mode & 0o077 == 0


async def test_after_a_restore_no_number_is_drawn_twice_and_no_server_is_alive(tmp_path):
    async with SqlStore.open(None, tmp_path) as store:
        async with store.transaction() as tx:
            await tx.servers.register("s1", address="a", lease_seconds=3600)
            before = await tx.work.next_fence()
        back_up(tmp_path / "boreas.db", tmp_path / "copy.db")
        async with store.transaction() as tx:
            lost = [await tx.work.next_fence() for _ in range(5)]
    restored = tmp_path / "restored"
    restored.mkdir()
    shutil.copy(tmp_path / "copy.db", restored / "boreas.db")

    make_ready_after_restore(restored / "boreas.db")

    async with SqlStore.open(None, restored) as store, store.transaction() as tx:
        assert await tx.work.next_fence() > max(lost)
        assert await tx.servers.addresses() == []
    assert before + FENCE_LEAP > max(lost)


def test_a_backup_overwrites_nothing(tmp_path):
    (tmp_path / "copy.db").touch()

    with pytest.raises(Conflict):
        back_up(tmp_path / "boreas.db", tmp_path / "copy.db")
    with pytest.raises(NotFound):
        back_up(tmp_path / "boreas.db", tmp_path / "other.db")


async def test_a_damaged_page_is_found(tmp_path):
    database = tmp_path / "boreas.db"
    async with SqlStore.open(None, tmp_path) as store, store.transaction() as tx:
        for n in range(200):
            await tx.meta.put(f"key {n}", "x" * 300)
    whole = bytearray(database.read_bytes())
    for place in range(len(whole) - 4096 * 8, len(whole)):
        whole[place] ^= 0xA5
    database.write_bytes(whole)

    assert faults(database) != []
    with pytest.raises(InvalidInput):
        make_ready_after_restore(database)
