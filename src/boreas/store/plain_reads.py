"""Documents that every request reads, on SQLite without SQLAlchemy's share of the price.

SQLite answers such a question in some ten microseconds; asking it through an engine made for every
database costs two hundred. The statement is still built and compiled by SQLAlchemy, once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.store.quick_sqlite import QuickConnection

_compiled: dict[Select[Any], tuple[str, tuple[str, ...]]] = {}


async def documents(
    connection: AsyncConnection, query: Select[Any], asked: Mapping[str, Any]
) -> Sequence[str]:
    """The only column of a query that is kept for ever and asked within a transaction."""
    driver = _driver(connection)
    if driver is None:
        return [document for (document,) in await connection.execute(query, asked)]
    text, names = _compiled.get(query) or _compile(query, connection)
    cursor = driver.cursor()
    await cursor.execute(text, [asked[name] for name in names])
    rows = await cursor.fetchall()
    await cursor.close()
    return [document for (document,) in rows]


def _driver(connection: AsyncConnection) -> QuickConnection | None:
    if connection.dialect.name != "sqlite" or connection.sync_connection is None:
        return None
    found = connection.sync_connection.connection.driver_connection
    return found if isinstance(found, QuickConnection) else None


def _compile(query: Select[Any], connection: AsyncConnection) -> tuple[str, tuple[str, ...]]:
    compiled = query.compile(dialect=connection.dialect)
    # The only literals of these queries are bound by name.
    names = tuple(getattr(compiled, "positiontup", None) or ())
    _compiled[query] = (str(compiled), names)
    return _compiled[query]
