"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

# Bytewise order on both databases: a cursor made on one page must compare like the next page sorts.
Word = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite numbers rows by itself only in a column that is exactly INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A moment as microseconds since 1970 in UTC: exact, sortable, the same on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


def micros(value: datetime) -> int:
    """The stored form of a moment."""
    return (value - EPOCH) // MICROSECOND


def moment(value: int) -> datetime:
    """The moment of a stored form."""
    return EPOCH + timedelta(microseconds=value)


def own_id() -> Column[Any]:
    """The key of a noun."""
    return Column("id", Word, primary_key=True)


def word(name: str, *, nullable: bool = False, index: bool = False) -> Column[Any]:
    """An id, a name, a state."""
    return Column(name, Word, nullable=nullable, index=index)


def time(name: str, *, nullable: bool = False) -> Column[Any]:
    """A moment."""
    return Column(name, UtcTime, nullable=nullable)


def within(name: str, parent: str, *, nullable: bool = False, index: bool = False) -> Column[Any]:
    """Goes with its parent."""
    return Column(
        name, Word, ForeignKey(parent, ondelete="CASCADE"), nullable=nullable, index=index
    )


def document() -> Column[Any]:
    """The whole value."""
    return Column("document", Text, nullable=False)
