"""What is the same for every noun: add, get, list, change, remove.

A `Shelf` says how one noun is stored. Columns bear the names of the value's fields; columns that
change by themselves (`overlay`) win over the document when a value is read.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from boreas.domain.errors import NotFound
from boreas.store import dialects
from boreas.store.failures import name_is_taken
from boreas.store.mapping import Form, document_of
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.store.plain_reads import documents, rows
from boreas.store.unit import Unit

V = TypeVar("V")

# Well below what either database takes as parameters of one statement.
_KEYS_AT_A_TIME = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf(Generic[V]):
    """How one noun is stored, in either store."""

    noun: str
    kind: type[V]
    table: Table
    label: str = "name"
    """The field that is unique, within the parent if there is one."""
    parent: str | None = None
    order: tuple[tuple[str, type], ...] = (("name", str), ("id", str))
    """Fields by which lists are sorted, with their types; together unique."""
    newest_first: bool = False
    overlay: tuple[str, ...] = ()
    key: str = "id"


class SqlNoun(Generic[V]):
    """The rows of one noun."""

    def __init__(self, unit: Unit, shelf: Shelf[V]) -> None:
        self._unit = unit
        self._shelf = shelf
        self._form = _form(shelf.kind)

    @property
    def _connection(self) -> AsyncConnection:
        return self._unit.connection

    @property
    def _table(self) -> Table:
        return self._shelf.table

    async def add(self, value: V) -> V:
        """Store a new one, and answer with it as stored; `Conflict` if its name is taken."""
        value = await self._numbered(value)
        label = self._shelf.label
        with name_is_taken(self._shelf.noun, label, str(getattr(value, label))):
            await self._connection.execute(insert(self._table).values(self._row(value)))
        return value

    async def _numbered(self, value: V) -> V:
        """With what only the store can know, such as its place among its siblings."""
        return value

    async def get(self, key: str) -> V:
        """The one with this id; `NotFound`."""
        found = await self.find(key)
        if found is None:
            raise not_found(self._shelf, key)
        return found

    async def find(self, key: str) -> V | None:
        """The one with this id, or None."""
        query = self._once("find", lambda: self._where(self._shelf.key))
        return await self._first(query, {WANTED: key})

    async def among(self, keys: Collection[str]) -> Mapping[str, V]:
        """Those of these that exist, by id; asked for at once, however many they are."""
        dialect, key, wanted = self._connection.dialect.name, self._shelf.key, sorted(keys)
        column = self._table.c[key]
        query = self._once(
            "among", lambda: self._select().where(dialects.one_of(dialect, column, WANTED))
        )
        found: list[V] = []
        for start in range(0, len(wanted), _KEYS_AT_A_TIME):
            some = wanted[start : start + _KEYS_AT_A_TIME]
            asked = {WANTED: dialects.listed(self._connection, some)}
            found.extend(await self._values(query, asked))
        return {str(getattr(value, key)): value for value in found}

    async def named(self, label: str, *, within: str | None = None) -> V | None:
        """The one with this name (in this parent), or None."""
        return await self._first(
            self._once(
                f"named {within is None}",
                lambda: self._within(self._where(self._shelf.label), within),
            ),
            {WANTED: label} | self._asked(within),
        )

    async def _first(self, query: Select[Any], asked: Mapping[str, Any]) -> V | None:
        values = await self._values(query, asked)
        return values[0] if values else None

    async def _values(self, query: Select[Any], asked: Mapping[str, Any]) -> Sequence[V]:
        if self._shelf.overlay or type(self)._select is not SqlNoun._select:
            return [self._value(row) for row in await rows(self._connection, query, asked)]
        found = await documents(self._connection, query, asked)
        return [self._form.value(document) for document in found]

    async def all(self, *, within: str | None = None) -> Sequence[V]:
        """All of a parent, in order."""
        query = self._once(
            f"all {within is None}",
            lambda: self._within(self._select(), within).order_by(*self._sort_columns()),
        )
        return await self._values(query, self._asked(within))

    def _once(self, name: str, build: Callable[[], Select[Any]]) -> Select[Any]:
        """Statements of every request: building one costs more than SQLite takes to answer it."""
        key = (type(self), self._table.name, self._connection.dialect.name, name)
        if key not in _built:
            _built[key] = build()
        return _built[key]

    def _where(self, column: str) -> Select[Any]:
        return self._select().where(self._table.c[column] == bindparam(WANTED))

    def _within(self, query: Select[Any], parent: str | None) -> Select[Any]:
        if parent is None or self._shelf.parent is None:
            return query
        return query.where(self._table.c[self._shelf.parent] == bindparam(_WITHIN))

    def _asked(self, within: str | None) -> dict[str, str]:
        return {} if within is None or self._shelf.parent is None else {_WITHIN: within}

    async def page(
        self,
        *,
        within: str | None = None,
        cursor: str | None = None,
        limit: int = USUAL_PER_PAGE,
        only: Sequence[ColumnElement[bool]] = (),
    ) -> Page[V]:
        """A page of them, in order; `only` those for which all of it holds."""
        inside = self._inside(within)
        query = self._select().where(inside, *only).order_by(*self._sort_columns())
        after = key_of(cursor, tuple(kind for _, kind in self._shelf.order))
        if after is not None:
            place = tuple_(*(self._table.c[name] for name, _ in self._shelf.order))
            query = query.where(place < after if self._shelf.newest_first else place > after)
        limit = at_most(limit)
        found = await self._connection.execute(query.limit(limit + 1))
        values = [self._value(row) for row in found]
        return page_of(values, [sort_key(self._shelf, value) for value in values], limit)

    async def change(self, value: V) -> None:
        """Write a new value of the same id; `NotFound`, or `Conflict` if its name is taken."""
        key, label = self._shelf.key, self._shelf.label
        row = {k: v for k, v in self._row(value).items() if k not in self._shelf.overlay}
        statement = update(self._table).where(self._table.c[key] == row.pop(key)).values(row)
        with name_is_taken(self._shelf.noun, label, str(getattr(value, label))):
            changed = await self._connection.execute(statement)
        if changed.rowcount == 0:
            raise not_found(self._shelf, str(getattr(value, key)))

    async def remove(self, key: str) -> None:
        """Forget it and what belongs to it; `NotFound`."""
        removed = await self._connection.execute(
            delete(self._table).where(self._table.c[self._shelf.key] == key)
        )
        if removed.rowcount == 0:
            raise not_found(self._shelf, key)

    async def _next_position(self, parent: str) -> int:
        """After the last of the parent's, for nouns that have a stored order."""
        last = select(func.max(self._table.c.position)).where(self._inside(parent))
        position = await self._connection.scalar(last)
        return 0 if position is None else int(position) + 1

    def _inside(self, parent: str | None) -> ColumnElement[bool]:
        if parent is None or self._shelf.parent is None:
            return self._table.c[self._shelf.key].is_not(None)
        return self._table.c[self._shelf.parent] == parent

    def _sort_columns(self) -> list[ColumnElement[Any]]:
        columns = [self._table.c[name] for name, _ in self._shelf.order]
        return [column.desc() for column in columns] if self._shelf.newest_first else list(columns)

    def _select(self) -> Select[Any]:
        columns = [self._table.c.document, *(self._table.c[n] for n in self._shelf.overlay)]
        return select(*columns)

    def _value(self, row: Any) -> V:
        value = self._form.value(row.document)
        changes = {name: getattr(row, name) for name in self._shelf.overlay}
        # Every noun is a dataclass; a type variable cannot be bound to "some dataclass".
        return replace(value, **changes) if changes else value  # type: ignore[type-var]

    def _row(self, value: V) -> dict[str, Any]:
        columns = [column.name for column in self._table.columns if column.name != "document"]
        row = {name: _plain(getattr(value, name)) for name in columns}
        return {**row, "document": document_of(value)}


# The names of what statements that are built once are asked with.
WANTED: Final = "wanted"
_WITHIN: Final = "within"

_built: dict[tuple[object, ...], Select[Any]] = {}


def _plain(field: object) -> object:
    return field.value if isinstance(field, Enum) else field


_forms: dict[type[Any], Form[Any]] = {}


def _form(kind: type[V]) -> Form[V]:
    """Built once per type: a decoder costs more to make than to use."""
    if kind not in _forms:
        _forms[kind] = Form(kind)
    return _forms[kind]


def sort_key(shelf: Shelf[Any], value: object) -> tuple[Any, ...]:
    """Where a value stands in lists."""
    return tuple(getattr(value, name) for name, _ in shelf.order)


def not_found(shelf: Shelf[Any], key: str) -> NotFound:
    """Nothing has this id."""
    return NotFound(f"There is no {shelf.noun} `{key}`.", parameters={"id": key})
