"""Statements of every request, on SQLite without SQLAlchemy's share of the price.

SQLite answers such a question in some ten microseconds; asking it through an engine made for every
database costs two hundred. The statement is still built and compiled by SQLAlchemy, once. Where
somebody listens to statements (a test that lets some of them fail), all go the long way.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Executable, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.store.quick_sqlite import QuickConnection

Convert = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A statement as the driver takes it."""

    text: str
    names: tuple[str, ...]
    fixed: Mapping[str, Any]
    """What the statement says itself."""
    to_stored: tuple[tuple[str, Callable[[Any], Any]], ...]
    """The parameters that are stored otherwise than they are given."""
    row: type[tuple[Any, ...]] | None
    from_stored: tuple[Convert, ...]

    def parameters(self, asked: Mapping[str, Any]) -> list[Any]:
        if self.fixed:
            asked = {**self.fixed, **asked}
        if self.to_stored:
            asked = {**asked, **{name: convert(asked[name]) for name, convert in self.to_stored}}
        return [asked[name] for name in self.names]

    def answer(self, row: Sequence[Any]) -> Any:
        if any(self.from_stored):
            each = zip(self.from_stored, row, strict=True)
            row = [value if convert is None else convert(value) for convert, value in each]
        return row if self.row is None else self.row(*row)


_compiled: dict[tuple[Executable, tuple[str, ...]], _Compiled] = {}


async def documents(
    connection: AsyncConnection, query: Select[Any], asked: Mapping[str, Any]
) -> Sequence[str]:
    """The only column of a query that is kept for ever and asked within a transaction."""
    driver = _driver(connection)
    if driver is None:
        return [document for (document,) in await connection.execute(query, asked)]
    return list(map(itemgetter(0), await _asked(driver, _known(query, (), connection), asked)))


async def rows(connection: AsyncConnection, query: Any, asked: Mapping[str, Any]) -> Sequence[Any]:
    """The rows, by names, of a statement that is kept for ever; it may write and return."""
    driver = _driver(connection)
    if driver is None:
        return (await connection.execute(query, asked)).all()
    known = _known(query, (), connection)
    return [known.answer(row) for row in await _asked(driver, known, asked)]


async def write(
    connection: AsyncConnection, statement: Any, given: Sequence[Mapping[str, Any]]
) -> None:
    """Do a statement that is kept for ever for each of these, which all have the same names."""
    if not given:
        return
    driver = _driver(connection)
    if driver is None:
        await connection.execute(statement, given)
        return
    known = _known(statement, tuple(given[0]), connection)
    cursor = driver.cursor()
    if len(given) == 1:
        await cursor.execute(known.text, known.parameters(given[0]))
    else:
        await cursor.executemany(known.text, [known.parameters(each) for each in given])
    await cursor.close()


async def _asked(
    driver: QuickConnection, known: _Compiled, asked: Mapping[str, Any]
) -> Sequence[Any]:
    cursor = driver.cursor()
    await cursor.execute(known.text, known.parameters(asked))
    found: Sequence[Any] = await cursor.fetchall()
    await cursor.close()
    return found


def _driver(connection: AsyncConnection) -> QuickConnection | None:
    sync = connection.sync_connection
    if connection.dialect.name != "sqlite" or sync is None or sync.dispatch.before_cursor_execute:
        return None
    found = sync.connection.driver_connection
    return found if isinstance(found, QuickConnection) else None


def _known(statement: Any, columns: tuple[str, ...], connection: AsyncConnection) -> _Compiled:
    key = (statement, columns)
    if key not in _compiled:
        _compiled[key] = _compile(statement, columns, connection)
    return _compiled[key]


def _compile(statement: Any, columns: tuple[str, ...], connection: AsyncConnection) -> _Compiled:
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(columns) or None)
    names = tuple(getattr(compiled, "positiontup", None) or ())
    to_stored = {name: bound.type.dialect_impl(dialect) for name, bound in compiled.binds.items()}
    processors = {name: kind.bind_processor(dialect) for name, kind in to_stored.items()}
    answered = list(getattr(statement, "exported_columns", ()))
    kinds = [column.type.dialect_impl(dialect) for column in answered]
    return _Compiled(
        text=str(compiled),
        names=names,
        fixed={name: it for name, it in compiled.params.items() if it is not None},
        to_stored=tuple((name, it) for name, it in processors.items() if it and name in names),
        row=namedtuple("Row", [it.key for it in answered]) if answered else None,
        from_stored=tuple(kind.result_processor(dialect, None) for kind in kinds),
    )
