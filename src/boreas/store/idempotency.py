"""Answers that were given under an Idempotency-Key, and small facts of the installation."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from boreas.domain.errors import Conflict
from boreas.store import dialects, tables
from boreas.store.unit import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What was answered to a request, to be answered again."""

    status: int
    body: bytes


class SqlIdempotency:
    """In the same transaction as what the request creates: both are there, or neither."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def recall(self, caller: str, key: str, fingerprint: str) -> StoredAnswer | None:
        """The answer given before; None if this is the first time.

        A second request with the same key waits here until the first one's transaction ends.
        `Conflict` if the key was used for another request (another fingerprint).
        """
        connection, table = self._unit.connection, tables.idempotency_keys
        await dialects.take_turn(connection, f"idempotency {caller} {key}")
        query = select(table).where(table.c.caller == caller, table.c.key == key)
        row = (await connection.execute(query)).first()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise other_request(key)
        return StoredAnswer(status=row.status, body=bytes(row.body))

    async def keep(
        self, caller: str, key: str, fingerprint: str, answer: StoredAnswer, now: datetime
    ) -> None:
        """Remember the answer."""
        await self._unit.connection.execute(
            insert(tables.idempotency_keys).values(
                caller=caller,
                key=key,
                fingerprint=fingerprint,
                status=answer.status,
                body=answer.body,
                created_at=now,
            )
        )

    async def remove_older(self, than: datetime) -> None:
        """Forget answers that nobody asks for again."""
        table = tables.idempotency_keys
        await self._unit.connection.execute(delete(table).where(table.c.created_at < than))


class SqlMeta:
    """Small facts of the installation, by name."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def take_turn(self, name: str) -> None:
        """Wait until nobody else who took this turn is in a transaction."""
        await dialects.take_turn(self._unit.connection, f"meta {name}")

    async def get(self, name: str) -> str | None:
        """The fact, or None."""
        table = tables.meta
        found = await self._unit.connection.scalar(
            select(table.c.value).where(table.c.name == name)
        )
        return None if found is None else str(found)

    async def put(self, name: str, value: str) -> None:
        """Set it."""
        connection = self._unit.connection
        await connection.execute(
            dialects.upsert(connection, tables.meta), {"name": name, "value": value}
        )

    async def remove(self, name: str) -> None:
        """Forget it."""
        await self._unit.connection.execute(delete(tables.meta).where(tables.meta.c.name == name))


def other_request(key: str) -> Conflict:
    """One key stands for one request."""
    return Conflict(f"The Idempotency-Key `{key}` was used for another request; make a new one.")
