"""Credentials without their values, their log, and who names them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, func, insert, or_, select

from boreas.domain.credentials import Credential, CredentialAction, CredentialEvent
from boreas.domain.permissions import Sight
from boreas.domain.secrets import SecretKind
from boreas.store import shelves, tables, usage
from boreas.store.mapping import Form, document_of
from boreas.store.members import seen_projects
from boreas.store.nouns import SqlNoun
from boreas.store.paging import USUAL_PER_PAGE, Page, at_most, key_of, page_of
from boreas.store.release_tables import credential_uses, secrets, workflow_versions, workflows
from boreas.store.secrets import SqlSecrets
from boreas.store.unit import Unit

_EVENT = Form(CredentialEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialUser:
    """Something that would miss a credential."""

    kind: str
    """`application`, `workflow` or `deployment`."""
    id: str
    name: str
    project_id: str


class SqlCredentials(SqlNoun[Credential]):
    """Credentials by name, within their project or among the global ones."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.CREDENTIALS)

    async def seen(
        self, sight: Sight, *, cursor: str | None = None, limit: int = USUAL_PER_PAGE
    ) -> Page[Credential]:
        """A page of those in projects that somebody sees; admins see the global ones, too."""
        shown = seen_projects(sight, self._table.c.project_id)
        return await self.page(cursor=cursor, limit=limit, only=shown)

    async def of_owners(
        self, owners: Sequence[str], *, cursor: str | None = None, limit: int = USUAL_PER_PAGE
    ) -> Page[Credential]:
        """A page of those that these own."""
        theirs = self._table.c.owner.in_(owners)
        return await self.page(cursor=cursor, limit=limit, only=[theirs])

    async def lock(self, credential_id: str) -> Credential:
        """Hold it until the commit, so that two changes follow each other; `NotFound`."""
        await usage.lock_row(self._connection, self._table, credential_id)
        return await self.get(credential_id)

    async def users_of(self, credential_id: str) -> Sequence[CredentialUser]:
        """What names it, and what is under way with it.

        Ids are long and random: a document that has one in it means it.
        """
        await self._unit.pending.flush()
        return [
            *await self._applications(credential_id),
            *await self._workflows(credential_id),
            *await self._under_way(credential_id),
        ]

    async def forget_left_values(self) -> None:
        """Values of credentials that were deleted by force, once the last run with one is over."""
        query = select(secrets.c.owner_id).where(
            secrets.c.kind == SecretKind.CREDENTIAL.value,
            secrets.c.owner_id.not_in(select(self._table.c.id)),
        )
        for owner_id in (await self._connection.scalars(query.distinct())).all():
            if not await self._under_way(owner_id):
                await SqlSecrets(self._unit).remove_of(owner_id)

    async def _applications(self, credential_id: str) -> Sequence[CredentialUser]:
        table = tables.applications
        query = select(table.c.id, table.c.name, table.c.project_id)
        return await self._users("application", query.where(_names(table, credential_id)))

    async def _workflows(self, credential_id: str) -> Sequence[CredentialUser]:
        """By their newest version; what an older one says comes back only when it is restored."""
        newest = workflow_versions.c.number == workflows.c.revision
        query = (
            select(workflows.c.id, workflows.c.name, workflows.c.project_id)
            .join(workflow_versions, workflow_versions.c.workflow_id == workflows.c.id)
            .where(newest, _names(workflow_versions, credential_id))
        )
        return await self._users("workflow", query)

    async def _users(self, kind: str, query: Select[Any]) -> Sequence[CredentialUser]:
        rows = (await self._connection.execute(query)).all()
        return [
            CredentialUser(kind=kind, id=id_, name=name, project_id=project)
            for id_, name, project in sorted(rows, key=lambda row: (row[1], row[0]))
        ]

    async def _under_way(self, credential_id: str) -> Sequence[CredentialUser]:
        deployments = tables.deployments
        holding = [
            select(part.c.deployment_id)
            .where(part.c.deployment_id == deployments.c.id)
            .where(_names(part, credential_id))
            .exists()
            for part in (tables.releases, tables.tasks)
        ]
        query = (
            select(deployments.c.id, deployments.c.number, deployments.c.project_id)
            .where(~deployments.c.final, or_(*holding))
            .order_by(deployments.c.number)
        )
        return [
            CredentialUser(kind="deployment", id=id_, name=f"#{number}", project_id=project)
            for id_, number, project in await self._connection.execute(query)
        ]


def _names(table: Table, credential_id: str) -> ColumnElement[bool]:
    return table.c.document.contains(credential_id, autoescape=True)


class SqlCredentialUses:
    """What happened to credentials; outlives them."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    async def note(self, *events: CredentialEvent) -> None:
        """Write it down; stands or falls with this transaction."""
        rows = [
            {
                "credential_id": event.credential_id,
                "at": event.at,
                "action": event.action.value,
                "document": document_of(event),
            }
            for event in events
        ]
        if rows:
            await self._unit.connection.execute(insert(credential_uses), rows)

    async def page(
        self, credential_id: str, *, cursor: str | None = None, limit: int = USUAL_PER_PAGE
    ) -> Page[CredentialEvent]:
        """Of one credential, the newest first."""
        table = credential_uses
        query = select(table.c.id, table.c.document).where(table.c.credential_id == credential_id)
        before = key_of(cursor, (int,))
        if before is not None:
            query = query.where(table.c.id < before[0])
        limit = at_most(limit)
        found = query.order_by(table.c.id.desc()).limit(limit + 1)
        rows = (await self._unit.connection.execute(found)).all()
        events = [replace(_EVENT.value(row.document), id=row.id) for row in rows]
        return page_of(events, [(row.id,) for row in rows], limit)

    async def owner_of(self, credential_id: str) -> str | None:
        """Whose it is or was, as its first line says; None if there never was one."""
        table = credential_uses
        query = select(table.c.document).where(table.c.credential_id == credential_id)
        first = await self._unit.connection.scalar(query.order_by(table.c.id).limit(1))
        return None if first is None else _EVENT.value(first).owner

    async def last_used(self, credential_ids: Sequence[str]) -> Mapping[str, datetime]:
        """When each was last used; those that never were are missing."""
        table = credential_uses
        query = (
            select(table.c.credential_id, func.max(table.c.at))
            .where(table.c.credential_id.in_(credential_ids))
            .where(table.c.action == CredentialAction.USE.value)
            .group_by(table.c.credential_id)
        )
        rows = await self._unit.connection.execute(query)
        return {credential_id: at for credential_id, at in rows}
