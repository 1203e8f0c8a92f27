"""Bring the schema up to date when the database is opened.

The migrations are Alembic's, run in one transaction: a migration that is killed half-way leaves
nothing behind and runs again. Alembic itself is imported only when there is something to do.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from boreas.domain.errors import Conflict
from boreas.kit import lean
from boreas.store import dialects

HEAD: Final = "0002"
"""The revision that `tables` and `release_tables` describe; the newest of migrations/versions."""

SCRIPTS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "schema_revision"


async def bring_up_to_date(engine: AsyncEngine) -> None:
    """Run what is missing; `Conflict` if a newer Boreas has written this database."""
    async with engine.connect() as connection:
        if await revision_of(connection) == HEAD:
            return
    async with engine.connect() as connection, connection.begin():
        # Servers that start together migrate one after the other; the later ones find it done.
        await dialects.take_turn(connection, "migration")
        revision = await revision_of(connection)
        if revision != HEAD:
            # Alembic's templates would bring 2 MB of syntax colouring along.
            with lean.as_if_not_installed("pygments"):
                await connection.run_sync(_upgrade, revision)


async def revision_of(connection: AsyncConnection) -> str | None:
    """Where the schema stands; None in an empty database."""
    if not await connection.run_sync(_has_versions):
        return None
    versions = table(VERSION_TABLE, column("version_num"))
    return str(await connection.scalar(select(versions.c.version_num)))


def _has_versions(connection: Connection) -> bool:
    return inspect(connection).has_table(VERSION_TABLE)


def _upgrade(connection: Connection, revision: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise Conflict(
            f"This database was written by a newer Boreas (schema {revision}, this one knows "
            f"{HEAD}). Start that version again, or restore a backup made before the upgrade.",
            parameters={"schema": revision, "known": HEAD},
        )
    command.upgrade(config, "head")


def alembic_config(connection: Connection) -> Any:
    """Alembic without an ini file, on a connection that is already in its transaction."""
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config
