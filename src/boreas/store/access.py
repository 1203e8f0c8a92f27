"""Users, sessions, API tokens, and how often somebody guessed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import case, delete, func, select, update

from boreas.domain.access import ApiToken, Identity, Session, User
from boreas.store import dialects, shelves, tables
from boreas.store.mapping import Form
from boreas.store.nouns import WANTED, SqlNoun
from boreas.store.plain_reads import rows
from boreas.store.unit import Unit

V = TypeVar("V")
_USER: Final = Form(User)


class SqlUsers(SqlNoun[User]):
    """Users by name. Removing one ends its sessions and tokens."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.USERS)

    async def change(self, value: User) -> None:
        """Write a new value of the same id; `NotFound`."""
        self._unit.people_changed = True
        await super().change(value)

    async def remove(self, key: str) -> None:
        """Forget them; `NotFound`."""
        self._unit.people_changed = True
        await super().remove(key)

    async def count(self) -> int:
        """How many there are; none means that the set-up is still to be done."""
        counted = await self._connection.execute(select(func.count()).select_from(self._table))
        return int(counted.scalar_one())


class SqlIdentities(SqlNoun[Identity]):
    """Users as identity providers know them: `named(subject, within=issuer)`."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.IDENTITIES)


class _WithUser(SqlNoun[V]):
    """What somebody signs in with; each request asks for it together with whose it is."""

    async def with_user(self, secret_sha256: str) -> tuple[V, User] | None:
        """The one with this hash, and its user; one query, because every request begins so."""
        table, users = self._table, tables.users
        query = self._once(
            "with user",
            lambda: (
                self._where(self._shelf.label)
                .add_columns(users.c.document.label("account"))
                .join_from(table, users, users.c.id == table.c.user_id)
            ),
        )
        found = await rows(self._connection, query, {WANTED: secret_sha256})
        return (self._value(found[0]), _USER.value(found[0].account)) if found else None


class SqlSessions(_WithUser[Session]):
    """Sessions by the hash of their cookie."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.SESSIONS)

    async def touch(self, id_sha256: str, *, seen_at: datetime, expires_at: datetime) -> None:
        """It was used; unknown ones are passed over."""
        table = self._table
        used = update(table).where(table.c.id_sha256 == id_sha256)
        await self._connection.execute(used.values(last_seen_at=seen_at, expires_at=expires_at))

    async def remove_of(self, user_id: str, *, but: str | None = None) -> None:
        """End all sessions of a user, except perhaps one."""
        table = self._table
        await self._connection.execute(
            delete(table).where(table.c.user_id == user_id, table.c.id_sha256 != (but or ""))
        )

    async def remove_expired(self, now: datetime) -> None:
        """Forget those that count no more."""
        await self._connection.execute(delete(self._table).where(self._table.c.expires_at <= now))


class SqlApiTokens(_WithUser[ApiToken]):
    """API tokens by the hash of their secret (`named(hash)`)."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.API_TOKENS)

    async def touch(self, token_id: str, now: datetime) -> None:
        """It was used."""
        used = update(self._table).where(self._table.c.id == token_id)
        await self._connection.execute(used.values(last_used_at=now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Failed tries for one key (a user name, an address) without a success or a long pause."""

    failures: int
    last_failed_at: datetime


class SqlLoginAttempts:
    """Counts guesses; what follows from the count is decided by who asks."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def of(self, key: str) -> Attempts | None:
        """What is counted for this key."""
        table = tables.login_attempts
        query = select(table).where(table.c.key == key)
        row = (await self._unit.connection.execute(query)).first()
        if row is None:
            return None
        return Attempts(failures=row.failures, last_failed_at=row.last_failed_at)

    async def failed(self, key: str, now: datetime, *, forget_after: timedelta) -> Attempts:
        """One more; counting starts anew if the last was longer ago than `forget_after`."""
        connection, table = self._unit.connection, tables.login_attempts
        statement = dialects.insert(connection, table).values(
            key=key, failures=1, last_failed_at=now
        )
        recent = table.c.last_failed_at > now - forget_after
        counted = statement.on_conflict_do_update(
            index_elements=["key"],
            set_={
                "failures": case((recent, table.c.failures + 1), else_=1),
                "last_failed_at": statement.excluded.last_failed_at,
            },
        ).returning(table.c.failures)
        failures = await connection.scalar(counted)
        return Attempts(failures=int(failures or 1), last_failed_at=now)

    async def clear(self, key: str) -> None:
        """A success: nothing is held against this key any more."""
        table = tables.login_attempts
        await self._unit.connection.execute(delete(table).where(table.c.key == key))

    async def remove_older(self, than: datetime) -> None:
        """Forget what nobody asks about any more."""
        table = tables.login_attempts
        await self._unit.connection.execute(delete(table).where(table.c.last_failed_at < than))
