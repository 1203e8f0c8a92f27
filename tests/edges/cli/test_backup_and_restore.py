"""A backup is whole while a server writes; a restore is safe for the agents that went on."""

import json
import sqlite3
import stat
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from boreas.store import SqlStore
from boreas.store.file_lock import FileLock


async def a_server_was_here(data_dir: Path) -> None:
    """A real schema with a few facts in it."""
    data_dir.mkdir()
    async with SqlStore.open(None, data_dir) as store, store.transaction() as tx:
        for _ in range(7):
            await tx.work.next_fence()
    (data_dir / "keys").mkdir()
    (data_dir / "keys" / "ca.key").write_text("secret")
    (data_dir / "setup-token").write_text("one-time")


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    await a_server_was_here(tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def packed(data_dir: Path, stranger: Any, tmp_path: Path) -> Path:
    archive = tmp_path / "backup.tar.gz"
    ran = stranger("backup", archive, "--data-dir", data_dir)
    assert ran.code == 0, ran.err
    return archive


def fence_of(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "boreas.db")) as connection:
        query = "SELECT value FROM counters WHERE name = 'boreas_fence'"
        return int(connection.execute(query).fetchone()[0])


@pytest.fixture
def running(data_dir: Path) -> Iterator[None]:
    """Another process holds the directory, as a server does."""
    lock = FileLock(data_dir / "boreas.db.lock")
    lock.acquire("srv_1 at 127.0.0.1:8443")
    yield
    lock.release()


def test_a_backup_comes_back_as_it_was(packed: Path, stranger: Any, tmp_path: Path) -> None:
    ran = stranger("restore", packed, "--data-dir", tmp_path / "new")

    assert ran.code == 0
    assert (tmp_path / "new" / "keys" / "ca.key").read_text() == "secret"
    assert not (tmp_path / "new" / "setup-token").exists()


def test_only_its_owner_can_read_a_backup(packed: Path) -> None:
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600


@pytest.mark.usefixtures("running")
def test_a_backup_works_while_a_server_runs(data_dir: Path, stranger: Any, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data_dir / "boreas.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE counters SET value = 99")

        ran = stranger("backup", tmp_path / "live.tar.gz", "--data-dir", data_dir)

    assert ran.code == 0, ran.err


def test_a_restore_outruns_every_fence_that_agents_may_have_seen(
    packed: Path, stranger: Any, tmp_path: Path
) -> None:
    before = fence_of(tmp_path / "data")

    stranger("restore", packed, "--data-dir", tmp_path / "first")
    stranger("restore", packed, "--data-dir", tmp_path / "second")

    assert fence_of(tmp_path / "first") > before + 1_000_000
    assert fence_of(tmp_path / "second") > fence_of(tmp_path / "first")


async def test_a_restored_database_opens_and_counts_on(
    packed: Path, stranger: Any, tmp_path: Path
) -> None:
    from boreas.cli.archive.unpacking import unpack

    unpack(packed, tmp_path / "new", now_ms=2_000_000_000_000, keep_old=False)

    async with SqlStore.open(None, tmp_path / "new") as store, store.transaction() as tx:
        assert await tx.work.next_fence() > 2_000_000_000_000


@pytest.mark.usefixtures("running")
def test_a_restore_is_refused_while_a_server_runs(
    packed: Path, data_dir: Path, stranger: Any
) -> None:
    ran = stranger("restore", packed, "--data-dir", data_dir, "--replace")

    assert ran.code == 5
    assert "srv_1" in ran.err
    assert (data_dir / "keys" / "ca.key").exists()


def test_a_restore_does_not_overwrite(packed: Path, data_dir: Path, stranger: Any) -> None:
    ran = stranger("restore", packed, "--data-dir", data_dir)

    assert ran.code == 2
    assert "--replace" in ran.err


def test_with_replace_the_old_directory_is_moved_aside(
    packed: Path, data_dir: Path, stranger: Any
) -> None:
    (data_dir / "newer").write_text("x")

    ran = stranger("restore", packed, "--data-dir", data_dir, "--replace", "-o", "json")

    assert (Path(ran.document["old"]) / "newer").exists()
    assert not (data_dir / "newer").exists()


def test_the_agent_beside_the_server_never_goes_back_in_time(
    data_dir: Path, stranger: Any, tmp_path: Path
) -> None:
    (data_dir / "agent").mkdir()
    (data_dir / "agent" / "journal").write_text("old")
    stranger("backup", tmp_path / "b.tar.gz", "--data-dir", data_dir)
    (data_dir / "agent" / "journal").write_text("newer")

    stranger("restore", tmp_path / "b.tar.gz", "--data-dir", data_dir, "--replace")

    assert (data_dir / "agent" / "journal").read_text() == "newer"


def test_a_backup_is_never_overwritten(packed: Path, data_dir: Path, stranger: Any) -> None:
    before = packed.read_bytes()

    assert stranger("backup", packed, "--data-dir", data_dir).code == 2
    assert packed.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "other", "missing"])
def test_a_damaged_archive_leaves_everything_as_it_was(
    packed: Path, data_dir: Path, stranger: Any, tmp_path: Path, damage: str
) -> None:
    archive = tmp_path / "bad.tar.gz"
    if damage == "cut":
        archive.write_bytes(packed.read_bytes()[:-2000])
    elif damage == "other":
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(data_dir / "keys", "keys")

    ran = stranger("restore", archive, "--data-dir", data_dir, "--replace")

    assert ran.code == 2
    assert (data_dir / "keys" / "ca.key").exists()
    assert not list(tmp_path.glob("*.restoring"))


def test_names_that_climb_out_and_links_are_left_out(stranger: Any, tmp_path: Path) -> None:
    archive = tmp_path / "evil.tar.gz"
    manifest = tmp_path / "manifest"
    manifest.write_text(json.dumps({"format": 1, "database": False, "created_at": "now"}))
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(manifest, "boreas-backup.json")
        tar.add(manifest, "data/../../escaped")
        link = tarfile.TarInfo("data/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(link)
        tar.add(manifest, "data/kept")

    stranger("restore", archive, "--data-dir", tmp_path / "deep" / "new")

    assert [each.name for each in (tmp_path / "deep" / "new").iterdir()] == ["kept"]
    assert not (tmp_path / "escaped").exists()
