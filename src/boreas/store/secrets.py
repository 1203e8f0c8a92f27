"""The one table of ciphertexts. What they mean is known to `boreas.credentials` alone."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from boreas.domain.ids import ProjectId
from boreas.domain.secrets import CHANNEL_SECRETS, SealedSecret, SecretKind, SecretRef
from boreas.store.release_tables import secrets as table
from boreas.store.unit import Unit

# SQLite takes some thousand parameters in one statement.
_AT_ONCE = 500


class SqlSecrets:
    """Fits `boreas.credentials.ports.SecretRows`."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def next_revision(self, owner_id: str) -> int:
        """One more than the last of this owner. Of two who add the same, one meets `Conflict`."""
        last = await self._unit.connection.scalar(
            select(func.max(table.c.revision)).where(table.c.owner_id == owner_id)
        )
        return int(last or 0) + 1

    async def add(self, row: SealedSecret) -> None:
        """Store a new revision; every server hears of it."""
        self._unit.announced[CHANNEL_SECRETS, row.owner_id] = None
        await self._unit.connection.execute(
            insert(table).values(
                id=row.place,
                kind=row.kind.value,
                owner_id=row.owner_id,
                revision=row.revision,
                project_id=row.project_id,
                key_id=row.key_id,
                sealed=row.sealed,
                created_at=row.created_at,
            )
        )

    async def find(self, refs: Sequence[SecretRef]) -> Mapping[SecretRef, SealedSecret]:
        """Those that are there."""
        found: dict[SecretRef, SealedSecret] = {}
        wanted = set(refs)
        owners = sorted({ref.owner_id for ref in refs})
        for start in range(0, len(owners), _AT_ONCE):
            # By owner, not by place: what is asked is who owns it.
            some = table.c.owner_id.in_(owners[start : start + _AT_ONCE])
            for row in await self._unit.connection.execute(select(table).where(some)):
                value = _secret(row)
                if value.ref in wanted:
                    found[value.ref] = value
        return found

    async def revisions(self, owners: Collection[str], *, newest: int) -> Sequence[SecretRef]:
        """The newest that are kept of each of these owners, in order."""
        columns = (table.c.owner_id, table.c.revision)
        query = select(*columns).where(table.c.owner_id.in_(owners)).order_by(*columns)
        found: dict[str, list[SecretRef]] = {}
        for owner, revision in await self._unit.connection.execute(query):
            found.setdefault(owner, []).append(SecretRef(owner_id=owner, revision=revision))
        return [ref for refs in found.values() for ref in refs[-newest:]]

    async def key_counts(self) -> Mapping[str, int]:
        """How many rows each key sealed."""
        query = select(table.c.key_id, func.count()).group_by(table.c.key_id)
        return {row[0]: int(row[1]) for row in await self._unit.connection.execute(query)}

    async def sealed_with_others(
        self, key_id: str, *, after: str, limit: int
    ) -> Sequence[SealedSecret]:
        """Rows that other keys sealed, by place, after this place."""
        others = (table.c.key_id != key_id) & (table.c.id > after)
        query = select(table).where(others).order_by(table.c.id).limit(limit)
        return [_secret(row) for row in await self._unit.connection.execute(query)]

    async def reseal(self, rows: Sequence[SealedSecret], before: Sequence[str]) -> int:
        """Put other seals in the places of these; how many still had the key they had before."""
        place = table.c.id == bindparam("at_place")
        same = table.c.key_id == bindparam("key_before")
        values = [
            {
                "at_place": row.place,
                "key_before": key,
                "new_key": row.key_id,
                "new_seal": row.sealed,
            }
            for row, key in zip(rows, before, strict=True)
        ]
        changed = await self._unit.connection.execute(
            update(table)
            .where(place, same)
            .values(key_id=bindparam("new_key"), sealed=bindparam("new_seal")),
            values,
        )
        return changed.rowcount

    async def remove_of(self, owner_id: str, *, keep: Sequence[int] = ()) -> None:
        """Forget an owner's revisions, except perhaps some."""
        gone = (table.c.owner_id == owner_id) & table.c.revision.not_in(keep)
        await self._unit.connection.execute(delete(table).where(gone))

    async def remove_in(self, project_id: ProjectId) -> None:
        """Forget all of a project."""
        await self._unit.connection.execute(delete(table).where(table.c.project_id == project_id))


def _secret(row: Row[tuple[object, ...]]) -> SealedSecret:
    return SealedSecret(
        kind=SecretKind(row.kind),
        owner_id=row.owner_id,
        revision=row.revision,
        project_id=row.project_id,
        key_id=row.key_id,
        sealed=bytes(row.sealed),
        created_at=row.created_at,
    )
