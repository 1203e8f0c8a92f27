"""`boreas projects`: list, show, make and remove projects."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.nouns import (
    NameArgument,
    NewNameArgument,
    YesOption,
    be_sure,
    given,
    made,
    removed,
    show,
)
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Projects: what belongs together.")
PATH = f"{names.RELEASE}/projects"
COLUMNS = (
    ("NAME", "name"),
    ("DESCRIPTION", "description"),
    ("CREATED", "created_at"),
    ("ID", "id"),
)


@app.command("list")
@verb
async def list_projects(session: Session) -> None:
    """List all projects."""
    session.out.table(await session.client.listed(PATH), COLUMNS)


@app.command("show")
@verb
async def show_project(session: Session, name: NameArgument) -> None:
    """Show one project."""
    show(session, await names.project(session.client, name))


@app.command("create")
@verb
async def create_project(
    session: Session,
    name: NewNameArgument,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT")] = None,
) -> None:
    """Make a project."""
    body = given(name=name, description=description)
    made(session, await session.client.post(PATH, body), "project")


@app.command("delete")
@verb
async def delete_project(session: Session, name: NameArgument, yes: YesOption = False) -> None:
    """Remove a project and all it owns. What it deployed stays where it is."""
    found = await names.project(session.client, name)
    be_sure(f"Remove project {found['name']} with all its records?", yes=yes)
    await session.client.delete(f"{PATH}/{found['id']}")
    removed(session, found, "project")
