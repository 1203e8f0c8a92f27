"""The audit trail for those who read it: which entries, in which shape, and whether it holds."""

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any, Final

from boreas.domain.audit import Break, Head, follow
from boreas.domain.permissions import MATRIX, Permission
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import check_thing
from boreas.server.services import ServiceBundle
from boreas.store import SqlTransaction as Transaction
from boreas.store.audit import Sought, StoredEntry

FIELDS: Final = (
    *("sequence", "at", "actor", "actor_id", "address", "via", "action", "subject_kind"),
    *("subject_id", "project_id", "before", "after", "why", "request_id", "hash"),
)
"""The columns of an export."""


async def within_sight(
    tx: Transaction, caller: Caller, project_id: str | None, sought: Sought
) -> Sought:
    """What is sought, as far as this caller may read it.

    Of one project: who may read its trail. Of all: an admin everything, everybody else the
    projects where their role is enough.
    """
    if project_id is not None:
        await check_thing(tx, caller, (Permission.SEE_AUDIT,), "project_id", project_id)
        return replace(sought, project_ids=[project_id])
    if caller.is_admin:
        return sought
    covered = caller.scope.covers(Permission.SEE_AUDIT)
    readable = [
        project
        for project, role in (await tx.members.roles_of(caller.user.id)).items()
        if covered and role in MATRIX[Permission.SEE_AUDIT] and caller.scope.reaches(project)
    ]
    return replace(sought, project_ids=readable)


def line_of(entry: StoredEntry) -> Mapping[str, Any]:
    """An entry as JSON has it."""
    return {**entry.written, "hash": entry.hash}


async def as_ndjson(services: ServiceBundle, sought: Sought) -> AsyncIterator[bytes]:
    """One JSON object a line, the oldest first."""
    async for batch in _batches(services, sought):
        lines = [json.dumps(line_of(entry), ensure_ascii=False) for entry in batch]
        yield ("\n".join(lines) + "\n").encode()


async def as_csv(services: ServiceBundle, sought: Sought) -> AsyncIterator[bytes]:
    """A table with a heading, the oldest first; no cell can be taken for a formula."""
    yield _table([FIELDS])
    async for batch in _batches(services, sought):
        lines = [line_of(entry) for entry in batch]
        yield _table([[_cell(line.get(name)) for name in FIELDS] for line in lines])


def _table(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


async def _batches(services: ServiceBundle, sought: Sought) -> AsyncIterator[list[StoredEntry]]:
    after = 0
    while True:
        async with services.store.reading() as tx:
            batch = list(await tx.audit.exported(sought, after=after))
        if not batch:
            return
        after = int(batch[-1].written["sequence"])
        yield batch


async def verified(services: ServiceBundle) -> Head | Break:
    """Walk the whole chain: where it ends, or the first entry that does not fit."""
    head = Head()
    while True:
        # A transaction each: the trail grows meanwhile, and only ever at its end.
        async with services.store.reading() as tx:
            links = await tx.audit.links(after=head.sequence)
        if not links:
            return head
        found = follow(head, links)
        if isinstance(found, Break):
            return found
        head = found
