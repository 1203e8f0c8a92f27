"""`boreas versions`: list, show and make versions; they never change and are never removed."""

import json
from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.failures import usage
from boreas.cli.nouns import NameArgument, NewNameArgument, given, made, show
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Versions of a project: immutable snapshots of what to release.")


def _git(version: Any) -> str:
    git = version.get("git") or {}
    return str(git.get("commit") or git.get("ref") or "-")


COLUMNS = (("NAME", "name"), ("GIT", _git), ("CREATED", "created_at"), ("ID", "id"))


@app.command("list")
@verb
async def list_versions(session: Session, project: ProjectArgument) -> None:
    """List the versions of a project."""
    found = await names.project(session.client, project)
    session.out.table(await names.parts(session.client, found["id"], "versions"), COLUMNS)


@app.command("show")
@verb
async def show_version(session: Session, project: ProjectArgument, name: NameArgument) -> None:
    """Show one version."""
    found = await names.project(session.client, project)
    show(session, await names.version(session.client, found["id"], name))


@app.command("create")
@verb
async def create_version(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    name: NewNameArgument,
    git: Annotated[str | None, typer.Option("--git", metavar="REPOSITORY")] = None,
    ref: Annotated[str | None, typer.Option("--ref", metavar="REF")] = None,
    commit: Annotated[str | None, typer.Option("--commit", metavar="COMMIT")] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", metavar="APP=IMAGE", help="Pin an application's image."),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="NAME=VALUE", help="A setting; VALUE may be JSON."),
    ] = None,
) -> None:
    """Make a version."""
    owner = await names.project(session.client, project)
    body = given(
        name=name,
        git={"repository": git, **given(ref=ref, commit=commit)} if git else None,
        artifacts={app: {"image": pinned} for app, pinned in _pairs(image)} or None,
        config={key: _value(text) for key, text in _pairs(config)} or None,
    )
    path = f"{names.RELEASE}/projects/{owner['id']}/versions"
    made(session, await session.client.post(path, body), "version")


def _pairs(words: list[str] | None) -> list[tuple[str, str]]:
    pairs = [word.partition("=") for word in words or ()]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise usage(f"{name!r} has no value", mend="write NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
