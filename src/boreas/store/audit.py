"""The audit trail: noted in the transaction of the change, written as its last statements.

The chain is one for the whole database, so whoever adds to it waits for who added before. That is
why entries are written at the very end: the wait is for a commit, not for somebody's whole work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, insert, literal_column, select

from boreas.domain.audit import Acting, Entry, Head, Link, canonical, difference, hash_of
from boreas.kit.clock import Clock
from boreas.store import dialects
from boreas.store.mapping import plain
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.store.plain_reads import rows, write
from boreas.store.release_tables import audit
from boreas.store.unit import Unit

_TURN: Final = "audit"
_BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """Which entries are wanted; what is left out does not matter."""

    project_ids: Sequence[str] | None = None
    """Entries of these projects only; None for all, also those of no project."""
    actor: str | None = None
    action: str | None = None
    """Exact, or everything that begins so when it ends in a dot: `deployment.`."""
    subject_kind: str | None = None
    subject_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An entry as it is stored: the canonical fields, and its hash."""

    written: Mapping[str, Any]
    hash: str


class SqlAudit:
    """Append-only; the database itself refuses to change or remove a row."""

    def __init__(self, unit: Unit, clock: Clock) -> None:
        self._unit = unit
        self._clock = clock

    async def note(  # noqa: PLR0913 - an entry has that many parts
        self,
        caller: Acting,
        action: str,
        subject_kind: str,
        subject_id: str,
        *,
        project_id: str | None = None,
        before: Any = None,
        after: Any = None,
        why: str = "",
    ) -> None:
        """Somebody did something; stands or falls with this transaction.

        `before` and `after` are values of the domain or mappings; what is the same on both sides
        is left out, and fields that hold secrets are never written.
        """
        left, right = difference(plain(before), plain(after))
        drafted = Entry(
            sequence=0,
            at=self._clock.now(),
            author=caller.author,
            action=action,
            subject_kind=subject_kind,
            subject_id=subject_id,
            project_id=project_id,
            before=left,
            after=right,
            why=why,
        )
        self._unit.notes.append(lambda place: replace(drafted, sequence=place))

    async def page(
        self, sought: Sought, *, cursor: str | None = None, limit: int = USUAL_PER_PAGE
    ) -> Page[StoredEntry]:
        """The newest first."""
        query = select(audit).where(*_conditions(sought)).order_by(audit.c.sequence.desc())
        before = key_of(cursor, (int,))
        if before is not None:
            query = query.where(audit.c.sequence < before[0])
        limit = at_most(limit)
        rows = (await self._unit.connection.execute(query.limit(limit + 1))).all()
        return page_of([_stored(row) for row in rows], [(row.sequence,) for row in rows], limit)

    async def head(self) -> Head:
        """Where the chain ends."""
        return await _head(self._unit)

    async def links(self, *, after: int, limit: int = _BATCH) -> Sequence[Link]:
        """The next entries of the chain, for who verifies it."""
        query = select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence)
        rows = await self._unit.connection.execute(query.limit(limit))
        return [_link(row) for row in rows]

    async def exported(self, sought: Sought, *, after: int = 0) -> Sequence[StoredEntry]:
        """The next entries of an export, the oldest first."""
        query = select(audit).where(audit.c.sequence > after, *_conditions(sought))
        rows = await self._unit.connection.execute(query.order_by(audit.c.sequence).limit(_BATCH))
        return [_stored(row) for row in rows]


_ADD: Final = insert(audit)
_HEAD: Final = (
    select(audit.c.sequence, audit.c.hash)
    .order_by(audit.c.sequence.desc())
    .limit(literal_column("1"))
)


async def write_notes(unit: Unit) -> None:
    """Put what was noted at the end of the chain; the last thing before the commit."""
    if not unit.notes:
        return
    await dialects.take_turn(unit.connection, _TURN)
    head = await _head(unit)
    entries = []
    for drafted in unit.notes:
        entry: Entry = drafted(head.sequence + 1)
        text = canonical(entry)
        head = Head(sequence=entry.sequence, hash=hash_of(head.hash, text))
        entries.append(_row(entry, text, head.hash))
    unit.notes.clear()
    await write(unit.connection, _ADD, entries)


async def _head(unit: Unit) -> Head:
    found = await rows(unit.connection, _HEAD, {})
    return Head(sequence=found[0].sequence, hash=found[0].hash) if found else Head()


def _row(entry: Entry, text: str, hash_: str) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "project_id": entry.project_id,
        "actor": entry.author.name,
        "action": entry.action,
        "subject_id": entry.subject_id,
        "hash": hash_,
        "document": text,
    }


def _link(row: Any) -> Link:
    columns = {
        "at": row.at.isoformat(timespec="microseconds"),
        "project_id": row.project_id,
        "actor": row.actor,
        "action": row.action,
        "subject_id": row.subject_id,
    }
    return Link(sequence=row.sequence, text=row.document, hash=row.hash, columns=columns)


def _stored(row: Any) -> StoredEntry:
    return StoredEntry(written=msgspec.json.decode(row.document), hash=row.hash)


def _conditions(sought: Sought) -> list[ColumnElement[bool]]:
    columns = audit.c
    found: list[ColumnElement[bool]] = []
    if sought.project_ids is not None:
        found.append(columns.project_id.in_(sought.project_ids))
    if sought.actor is not None:
        found.append(columns.actor == sought.actor)
    if sought.action is not None and sought.action.endswith("."):
        found.append(columns.action.startswith(sought.action, autoescape=True))
    elif sought.action is not None:
        found.append(columns.action == sought.action)
    if sought.subject_id is not None:
        found.append(columns.subject_id == sought.subject_id)
    if sought.subject_kind is not None:
        kind = msgspec.json.encode(sought.subject_kind).decode()
        found.append(columns.document.contains(f'"subject_kind":{kind}', autoescape=True))
    if sought.since is not None:
        found.append(columns.at >= sought.since)
    if sought.until is not None:
        found.append(columns.at < sought.until)
    return found
