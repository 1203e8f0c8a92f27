"""Everything that SQLite and PostgreSQL do differently, and nothing else.

SQLite has one writer at a time (`BEGIN IMMEDIATE`), so what PostgreSQL needs locks for is already
exclusive there.
"""

import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Insert,
    Table,
    Text,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from boreas.store import tables
from boreas.store.columns import UtcTime, micros
from boreas.store.plain_reads import rows, write

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

SQLITE: Final = "sqlite"

# The part of PostgreSQL's advisory lock numbers that is ours ("BORE"), so that other programs in
# the same database are not met.
_LOCK_SPACE: Final = 0x424F5245
ADMISSION: Final = "admission"
_packer = msgspec.json.Encoder()


def insert(connection: AsyncConnection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT that knows ON CONFLICT."""
    return _insert(connection.dialect.name, table)


def _insert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    return sqlite.insert(table) if dialect == SQLITE else _postgres_insert(table)


def _postgres_insert(table: Table) -> "postgresql.Insert":
    from sqlalchemy.dialects import postgresql  # 2 MB that only its users pay

    return postgresql.insert(table)


def upsert(connection: AsyncConnection, table: Table) -> Insert:
    """Insert, or overwrite the row with the same primary key."""
    return _upsert(connection.dialect.name, table)


@cache
def _upsert(dialect: str, table: Table) -> Insert:
    return _overwriting(_insert(dialect, table), table)


def _overwriting(statement: "sqlite.Insert | postgresql.Insert", table: Table) -> Insert:
    keys = [column.name for column in table.primary_key]
    changes: dict[str, Any] = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    if table is tables.live_records:
        # `since` stays while the same release stays.
        same = table.c.release_id.is_not_distinct_from(statement.excluded.release_id)
        changes["since"] = case((same, table.c.since), else_=statement.excluded.since)
    return statement.on_conflict_do_update(index_elements=keys, set_=changes)


async def upsert_many(
    connection: AsyncConnection, table: Table, given: Sequence[Mapping[str, Any]]
) -> None:
    """Insert or overwrite rows by primary key; each has every column, none of them binary.

    PostgreSQL takes them all as one JSON text: a message per row costs both sides more than the
    row itself.
    """
    if not given:
        return
    if connection.dialect.name == SQLITE:
        await write(connection, upsert(connection, table), given)
        return
    packed = _packer.encode([_packed(row) for row in given]).decode()
    await connection.execute(_upsert_packed(table), {"rows": packed})


@cache
def _upsert_packed(table: Table) -> Insert:
    columns = [column(each.name, _plain_type(each)) for each in table.columns]
    rows = func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON()))
    given = rows.table_valued(*columns).render_derived(with_types=True)
    names = [each.name for each in table.columns]
    return _overwriting(_postgres_insert(table).from_select(names, select(*given.c)), table)


def _packed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {k: micros(v) if isinstance(v, datetime) else v for k, v in row.items()}


def _plain_type(each: Column[Any]) -> TypeEngine[Any]:
    if isinstance(each.type, Text):
        return Text()
    return BigInteger() if isinstance(each.type, UtcTime) else each.type


def clock(connection: AsyncConnection) -> ColumnElement[int]:
    """The database's own clock, in microseconds; not frozen at the start of the transaction."""
    if connection.dialect.name == SQLITE:
        # julianday is a double: exact to about 0.05 ms in this century, enough for a lease.
        microseconds = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    else:
        microseconds = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
    return literal_column(microseconds, BigInteger)


async def draw(connection: AsyncConnection, name: str, how_many: int = 1) -> Sequence[int]:
    """The next numbers of a sequence; numbers of a transaction that failed may be skipped."""
    if connection.dialect.name == SQLITE:
        last = await count_up(connection, name, how_many)
        return range(last - how_many + 1, last + 1)
    drawn = await connection.execute(
        select(func.nextval(name)).select_from(func.generate_series(1, how_many))
    )
    return [number for (number,) in drawn]


_RAISE: Final = (
    update(tables.counters)
    .where(tables.counters.c.name == bindparam("counter"))
    .values(value=tables.counters.c.value + bindparam("by", type_=BigInteger()))
    .returning(tables.counters.c.value)
)


async def count_up(connection: AsyncConnection, name: str, by: int = 1) -> int:
    """Raise a counter without gaps; its row stays locked until the commit."""
    asked = {"counter": name, "by": by}
    found = await rows(connection, _RAISE, asked)
    if not found:
        await connection.execute(
            insert(connection, tables.counters).values(name=name, value=0).on_conflict_do_nothing()
        )
        found = await rows(connection, _RAISE, asked)
    return int(found[0].value)


def one_of(dialect: str, column_: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The condition that the column is among the values that `listed` makes of a list.

    SQLite takes them as one parameter, so that the statement is the same for every length.
    """
    if dialect != SQLITE:
        return column_.in_(bindparam(name, expanding=True))
    each = func.json_each(bindparam(name, type_=Text())).table_valued("value")
    return column_.in_(select(each.c.value))


def listed(connection: AsyncConnection, values: Collection[str]) -> object:
    """The parameter for `one_of`."""
    if connection.dialect.name != SQLITE:
        return list(values)
    return _packer.encode(list(values)).decode()


async def take_turn(connection: AsyncConnection, name: str) -> None:
    """Until the commit, no other transaction passes here for the same name."""
    if connection.dialect.name != SQLITE:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:space, :key)"),
            {"space": _LOCK_SPACE, "key": zlib.crc32(name.encode()) - 2**31},
        )


async def notify(connection: AsyncConnection, channel: str, payloads: Sequence[str]) -> None:
    """Tell other servers, if and when the transaction commits."""
    if connection.dialect.name != SQLITE:
        await connection.execute(
            text("SELECT pg_notify(:channel, :payload)"),
            [{"channel": channel, "payload": payload} for payload in payloads],
        )
