"""`boreas tokens`: API tokens for programs, as narrow as one likes."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from boreas.cli import names
from boreas.cli.nouns import NameArgument, NewNameArgument, given, removed
from boreas.cli.verbs import Session, new_app, verb

app = new_app("API tokens: what programs sign in with.")
PATH: Final = f"{names.RELEASE}/tokens"
COLUMNS = (
    ("NAME", "name"),
    ("SCOPE", "scope"),
    ("PROJECTS", "project_ids"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("ID", "id"),
)


class Scope(StrEnum):
    """What a token is for."""

    ALL = "all"
    READ = "read"
    DEPLOY = "deploy"


@app.command("list")
@verb
async def list_tokens(session: Session) -> None:
    """List your tokens."""
    session.out.table(await session.client.listed(PATH), COLUMNS)


@app.command("create")
@verb
async def create_token(
    session: Session,
    name: NewNameArgument,
    scope: Annotated[Scope, typer.Option("--scope", help="What it is for.")] = Scope.ALL,
    project: Annotated[
        list[str] | None,
        typer.Option("--project", "-p", metavar="PROJECT", help="Only there (repeatable)."),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3660, help="How long it is good.")
    ] = None,
) -> None:
    """Make a token; it is shown once, alone on stdout."""
    projects = [str((await names.project(session.client, it))["id"]) for it in project or ()]
    body = given(
        name=name,
        scope=scope.value,
        project_ids=projects or None,
        expires_in_seconds=None if days is None else days * 86_400,
    )
    found = await session.client.post(PATH, body)
    session.out.result(found, str(found["token"]))


@app.command("delete")
@verb
async def delete_token(session: Session, name: NameArgument) -> None:
    """End a token at once."""
    found = names.pick(await session.client.listed(PATH), name, "token")
    await session.client.delete(f"{PATH}/{found['id']}")
    removed(session, found, "token")
