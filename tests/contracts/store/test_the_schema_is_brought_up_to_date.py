"""Migrations build what the code expects; killed ones run again, newer ones are refused."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, inspect, text

from boreas.domain.errors import Conflict
from boreas.store import SqlStore, migrate, release_tables
from boreas.store.engines import database_url, make_engine
from boreas.store.tables import metadata

assert release_tables, "importing it adds its tables to the metadata"


@pytest.fixture(params=["sqlite", "postgres"])
def url(request):
    if request.param == "sqlite":
        return None
    return request.getfixturevalue("private_postgres").new_database()


async def test_the_migrated_schema_is_the_one_in_the_code(url, tmp_path):
    async with SqlStore.open(url, tmp_path) as store:

        def differences(connection):
            options = {"version_table": migrate.VERSION_TABLE, "compare_type": True}
            context = MigrationContext.configure(connection, opts=options)
            return compare_metadata(context, metadata)

        async with store._engine.connect() as connection:
            assert await connection.run_sync(differences) == []


async def test_partial_indexes_and_numbering_are_those_of_the_code(tmp_path):
    """Alembic does not compare these, so the whole text is compared on SQLite."""
    made = make_engine(database_url(None, tmp_path / "made"))
    async with made.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with SqlStore.open(None, tmp_path / "migrated") as store:
        assert await schema_text(store._engine) == await schema_text(made)
    await made.dispose()


async def schema_text(engine):
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        )
        return {
            (row.type, row.name): sorted(part.strip() for part in row.sql.split("\n"))
            if row.type == "index"
            else sorted(part.strip(" ,\t") for part in row.sql.split("\n"))
            for row in rows
            if row.name != migrate.VERSION_TABLE
        }


async def test_opening_again_changes_nothing(url, tmp_path):
    for _ in range(2):
        async with SqlStore.open(url, tmp_path) as store, store.transaction() as tx:
            known = await tx.meta.get("k")
            await tx.meta.put("k", "kept")

    assert known == "kept"


async def test_servers_that_start_together_migrate_once(private_postgres, tmp_path):
    url = private_postgres.new_database()

    async def start():
        async with SqlStore.open(url, tmp_path) as store, store.reading() as tx:
            return await tx.meta.get("k")

    assert await asyncio.gather(*(start() for _ in range(4))) == [None] * 4


async def test_a_migration_killed_half_way_leaves_nothing_and_runs_again(url, tmp_path):
    engine = make_engine(database_url(url, tmp_path))
    seen = 0

    def die_in_the_middle(connection, cursor, statement, *rest):
        nonlocal seen
        if statement.lstrip().startswith("CREATE TABLE"):
            seen += 1
            if seen == 12:
                raise KeyboardInterrupt

    event.listen(engine.sync_engine, "before_cursor_execute", die_in_the_middle)
    with pytest.raises(KeyboardInterrupt):
        await migrate.bring_up_to_date(engine)
    event.remove(engine.sync_engine, "before_cursor_execute", die_in_the_middle)
    async with engine.connect() as connection:
        left = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    await engine.dispose()

    assert left == []
    async with SqlStore.open(url, tmp_path) as store, store.transaction() as tx:
        await tx.meta.put("k", "works")


async def test_a_database_of_a_newer_boreas_is_refused_in_words(url, tmp_path):
    async with SqlStore.open(url, tmp_path) as store, store.transaction() as tx:
        await tx._unit.connection.execute(
            text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
        )

    with pytest.raises(Conflict) as refused:
        async with SqlStore.open(url, tmp_path):
            pass

    assert "newer Boreas" in refused.value.message
    assert "9999" in refused.value.message


async def test_the_head_in_the_code_is_the_newest_migration(tmp_path):
    async with SqlStore.open(None, tmp_path) as store, store._engine.connect() as connection:
        config = await connection.run_sync(migrate.alembic_config)

    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]
