"""Who is what in a project. Its owners decide; one of them always stays."""

from dataclasses import replace

from fastapi import APIRouter, Response

from boreas.domain.access import User
from boreas.domain.errors import Conflict, Forbidden, invalid
from boreas.domain.ids import ProjectId
from boreas.domain.permissions import Member, Permission, Role, may_grant
from boreas.server.auth.callers import Caller
from boreas.server.auth.permits import MembersKeeper, Seer
from boreas.server.bodies import Body, Moment, Page, View
from boreas.server.creation import Creating
from boreas.server.services import Services
from boreas.store import SqlTransaction as Transaction

router = APIRouter(prefix="/api/release/projects/{project_id}/members", tags=["members"])


class MemberBody(Body):
    """A new member: `user` is the user name or the id."""

    user: str
    role: Role


class RoleBody(Body):
    """The role a member has from now on."""

    role: Role


class PersonView(View):
    """The person behind a member."""

    id: str
    username: str
    display_name: str
    disabled_at: Moment | None


class MemberView(View):
    """A user's role in a project."""

    id: str
    project_id: str
    user_id: str
    role: Role
    added_by: str
    added_at: Moment
    user: PersonView


def _view(member: Member, user: User) -> MemberView:
    return MemberView(
        id=member.id,
        project_id=member.project_id,
        user_id=member.user_id,
        role=member.role,
        added_by=member.added_by,
        added_at=member.added_at,
        user=PersonView.model_validate(user),
    )


async def _person(tx: Transaction, name_or_id: str) -> User:
    user = await tx.users.find(name_or_id) or await tx.users.named(name_or_id)
    if user is None:
        problem = f"there is no user {name_or_id!r}"
        raise invalid("user", problem, "write the name or the id of a user")
    return user


async def _take_turn(tx: Transaction, caller: Caller, project_id: ProjectId) -> None:
    """Changes of a project's members come one after the other; the caller may still make one."""
    await tx.members.take_turn(project_id)
    await caller.must(tx, Permission.MANAGE_MEMBERS, project_id)


async def _may_give(tx: Transaction, caller: Caller, project_id: ProjectId, role: Role) -> None:
    standing = await tx.members.standing(caller.user.id, project_id)
    if not may_grant(standing, role):
        raise Forbidden("nobody gives a role above their own")


async def _keep_an_owner(tx: Transaction, member: Member) -> None:
    """Called before an owner goes or becomes less."""
    if member.role is not Role.OWNER:
        return
    others = [each for each in await tx.members.owners(member.project_id) if each != member.user_id]
    if not others:
        raise Conflict("this is the last owner; make somebody else an owner first")


@router.post("", status_code=201, response_model=MemberView)
async def add_member(
    project_id: ProjectId,
    body: MemberBody,
    caller: MembersKeeper,
    services: Services,
    creating: Creating,
) -> Response:
    """Make a user a member; who is one already has a role to be changed instead."""

    async def make(tx: Transaction) -> MemberView:
        await _take_turn(tx, caller, project_id)
        await _may_give(tx, caller, project_id, body.role)
        await tx.projects.get(project_id)
        user = await _person(tx, body.user)
        if await tx.members.named(user.id, within=project_id) is not None:
            raise Conflict(f"{user.username} is a member already; change the role instead")
        member = Member(
            id=services.ids("mem"),
            project_id=project_id,
            user_id=user.id,
            role=body.role,
            added_by=caller.name,
            added_at=services.clock.now(),
        )
        await tx.members.add(member)
        await tx.audit.note(
            caller,
            "member.add",
            "member",
            member.id,
            project_id=project_id,
            after={"user": user.username, "role": member.role},
        )
        return _view(member, user)

    return await creating.run(make)


@router.get("")
async def list_members(project_id: ProjectId, caller: Seer, services: Services) -> Page[MemberView]:
    """All members of the project, by user name."""
    async with services.store.reading() as tx:
        found = await tx.members.with_users(project_id)
    return Page(items=[_view(member, user) for member, user in found])


@router.put("/{member_id}")
async def change_member(
    project_id: ProjectId,
    member_id: str,
    body: RoleBody,
    caller: MembersKeeper,
    services: Services,
) -> MemberView:
    """Give a member another role; it counts from the next request on, on open streams too."""
    async with services.store.transaction() as tx:
        await _take_turn(tx, caller, project_id)
        await _may_give(tx, caller, project_id, body.role)
        before = await tx.members.of(member_id, project_id)
        after = replace(before, role=body.role)
        if body.role is not Role.OWNER:
            await _keep_an_owner(tx, before)
        await tx.members.change(after)
        user = await tx.users.get(after.user_id)
        await tx.audit.note(
            caller,
            "member.change",
            "member",
            member_id,
            project_id=project_id,
            before={"user": user.username, "role": before.role},
            after={"role": after.role},
        )
    return _view(after, user)


@router.delete("/{member_id}", status_code=204)
async def remove_member(
    project_id: ProjectId, member_id: str, caller: MembersKeeper, services: Services
) -> None:
    """Take somebody out of the project; the last owner cannot go."""
    async with services.store.transaction() as tx:
        await _take_turn(tx, caller, project_id)
        member = await tx.members.of(member_id, project_id)
        await _keep_an_owner(tx, member)
        await tx.members.remove(member_id)
        user = await tx.users.get(member.user_id)
        await tx.audit.note(
            caller,
            "member.remove",
            "member",
            member_id,
            project_id=project_id,
            before={"user": user.username, "role": member.role},
        )
