"""Members of projects, and what a user may do where."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Select, and_, bindparam, select

from boreas.domain.access import User
from boreas.domain.errors import NotFound
from boreas.domain.ids import ProjectId
from boreas.domain.permissions import Member, Role, Sight, Standing
from boreas.store import dialects, shelves, tables
from boreas.store.nouns import SqlNoun
from boreas.store.plain_reads import rows
from boreas.store.release_tables import members
from boreas.store.unit import Unit

_NOBODY: Final = Standing(is_active=False)


class _Account(msgspec.Struct):
    """The part of a user's document that says what they may do."""

    is_admin: bool = False
    disabled_at: str | None = None


_ACCOUNT: Final = msgspec.json.Decoder(_Account)


class SqlMembers(SqlNoun[Member]):
    """Who is what in which project."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(unit, shelves.MEMBERS)

    async def standing(self, user_id: str, project_id: str) -> Standing:
        """What this user is in this project at this moment; a user who is no more is nobody."""
        return await self._unit.seen(
            ("standing", user_id, project_id), lambda: self._standing(user_id, project_id)
        )

    async def _standing(self, user_id: str, project_id: str) -> Standing:
        asked = {"user": user_id, "project": project_id}
        found = await rows(self._connection, _STANDING, asked)
        return standing_of(found[0].document, found[0].role) if found else _NOBODY

    async def add(self, value: Member) -> Member:
        """Store a new one; `Conflict` if this user is a member already."""
        self._unit.people_changed = True
        return await super().add(value)

    async def change(self, value: Member) -> None:
        """Write a new value of the same id; `NotFound`."""
        self._unit.people_changed = True
        await super().change(value)

    async def remove(self, key: str) -> None:
        """Forget it; `NotFound`."""
        self._unit.people_changed = True
        await super().remove(key)

    async def roles_of(self, user_id: str) -> Mapping[ProjectId, Role]:
        """Everywhere a user is a member."""
        query = select(members.c.project_id, members.c.role).where(members.c.user_id == user_id)
        found = await self._connection.execute(query)
        return {ProjectId(project): Role(role) for project, role in found}

    async def seen_by(self, sight: Sight) -> frozenset[str] | None:
        """The projects somebody sees; None for all there are."""
        if sight.user_id is None:
            return sight.project_ids
        mine = frozenset(await self.roles_of(sight.user_id))
        return mine if sight.project_ids is None else mine & sight.project_ids

    async def take_turn(self, project_id: str) -> None:
        """Until the commit nobody else changes who is what in this project."""
        await dialects.take_turn(self._connection, f"members {project_id}")

    async def of(self, member_id: str, project_id: str) -> Member:
        """A member of this very project; `NotFound`."""
        member = await self.find(member_id)
        if member is None or member.project_id != project_id:
            raise NotFound(f"There is no member `{member_id}`.", parameters={"id": member_id})
        return member

    async def owners(self, project_id: str) -> Sequence[str]:
        """Users who own the project and whose accounts are not disabled."""
        query = select(tables.users.c.id, tables.users.c.document).where(
            tables.users.c.id == members.c.user_id,
            members.c.project_id == project_id,
            members.c.role == Role.OWNER.value,
        )
        found = await self._connection.execute(query)
        return [id_ for id_, text in found if _ACCOUNT.decode(text).disabled_at is None]

    async def with_users(self, project_id: str) -> Sequence[tuple[Member, User]]:
        """All members of a project with who they are, by user name."""
        users = SqlNoun(self._unit, shelves.USERS)
        found = [
            (each, await users.get(each.user_id)) for each in await self.all(within=project_id)
        ]
        return sorted(found, key=lambda pair: pair[1].username)


def standing_of(account: str | None, role: str | None) -> Standing:
    """From a user's document and the role, as they are stored."""
    if account is None:
        return _NOBODY
    found = _ACCOUNT.decode(account)
    return Standing(
        role=None if role is None else Role(role),
        is_admin=found.is_admin,
        is_active=found.disabled_at is None,
    )


def _standing() -> Select[Any]:
    users = tables.users
    user: BindParameter[str] = bindparam("user")
    here = and_(members.c.user_id == user, members.c.project_id == bindparam("project"))
    joined = users.outerjoin(members, here)
    return select(users.c.document, members.c.role).select_from(joined).where(users.c.id == user)


_STANDING: Final = _standing()


def seen_projects(sight: Sight, project: ColumnElement[Any]) -> Sequence[ColumnElement[bool]]:
    """The condition that a row of this project is shown to somebody."""
    found: list[ColumnElement[bool]] = []
    if sight.user_id is not None:
        mine = select(members.c.project_id).where(members.c.user_id == sight.user_id)
        found.append(project.in_(mine))
    if sight.project_ids is not None:
        found.append(project.in_(sorted(sight.project_ids)))
    return found
