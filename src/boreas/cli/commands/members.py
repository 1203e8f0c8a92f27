"""`boreas members`: who is what in a project."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.client import Json
from boreas.cli.nouns import YesOption, be_sure
from boreas.cli.verbs import Session, new_app, verb
from boreas.domain.permissions import Role

app = new_app("Members: who is owner, maintainer, developer or viewer of a project.")
COLUMNS = (
    ("USER", "name"),
    ("ROLE", "role"),
    ("ADDED BY", "added_by"),
    ("ADDED", "added_at"),
    ("ID", "id"),
)
ProjectOption = Annotated[str, typer.Option("--project", "-p", metavar="PROJECT")]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="User name, or an id.")]
RoleArgument = Annotated[Role, typer.Argument(help="What they are in the project.")]


async def _path(session: Session, project: str) -> str:
    found = await names.project(session.client, project)
    return f"{names.RELEASE}/projects/{found['id']}/members"


async def _members(session: Session, path: str) -> list[Json]:
    return [
        {**each, "name": each["user"]["username"]} for each in await session.client.listed(path)
    ]


@app.command("list")
@verb
async def list_members(session: Session, project: ProjectOption) -> None:
    """List who is what."""
    session.out.table(await _members(session, await _path(session, project)), COLUMNS)


@app.command("add")
@verb
async def add_member(
    session: Session, user: UserArgument, role: RoleArgument, project: ProjectOption
) -> None:
    """Make a user a member."""
    path = await _path(session, project)
    found = await session.client.post(path, {"user": user, "role": role.value})
    session.out.result(found, f"{user} is {role.value} of {project}")


@app.command("set")
@verb
async def change_member(
    session: Session, user: UserArgument, role: RoleArgument, project: ProjectOption
) -> None:
    """Give a member another role."""
    path = await _path(session, project)
    member = names.pick(await _members(session, path), user, "member")
    found = await session.client.put(f"{path}/{member['id']}", {"role": role.value})
    session.out.result(found, f"{member['name']} is {role.value} of {project}")


@app.command("remove")
@verb
async def remove_member(
    session: Session, user: UserArgument, project: ProjectOption, yes: YesOption = False
) -> None:
    """Take somebody out of the project; the last owner cannot go."""
    path = await _path(session, project)
    member = names.pick(await _members(session, path), user, "member")
    be_sure(f"Take {member['name']} out of {project}?", yes=yes)
    await session.client.delete(f"{path}/{member['id']}")
    document = {"id": member["id"], "removed": True}
    session.out.result(document, f"{member['name']} is no member of {project} any more")
