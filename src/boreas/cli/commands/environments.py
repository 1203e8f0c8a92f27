"""`boreas environments`: list, show, make and remove environments of a project."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.client import Json
from boreas.cli.nouns import (
    NameArgument,
    NewNameArgument,
    YesOption,
    be_sure,
    made,
    removed,
    show,
)
from boreas.cli.verbs import Session, new_app, verb
from boreas.domain.projects import EnvironmentKind

app = new_app("Environments of a project.")
COLUMNS = (("NAME", "name"), ("KIND", "kind"), ("QUEUE", "queue_policy"), ("ID", "id"))


@app.command("list")
@verb
async def list_environments(session: Session, project: ProjectArgument) -> None:
    """List the environments of a project."""
    found = await names.project(session.client, project)
    session.out.table(await names.parts(session.client, found["id"], "environments"), COLUMNS)


@app.command("show")
@verb
async def show_environment(session: Session, project: ProjectArgument, name: NameArgument) -> None:
    """Show one environment."""
    found = await names.project(session.client, project)
    show(session, await names.environment(session.client, found["id"], name))


@app.command("create")
@verb
async def create_environment(
    session: Session,
    project: ProjectArgument,
    name: NewNameArgument,
    kind: Annotated[
        EnvironmentKind, typer.Option("--kind", help="How careful one must be.")
    ] = EnvironmentKind.DEV,
) -> None:
    """Make an environment."""
    owner = await names.project(session.client, project)
    path = f"{names.RELEASE}/projects/{owner['id']}/environments"
    found = await session.client.post(path, {"name": name, "kind": kind.value})
    made(session, found, "environment")


@app.command("delete")
@verb
async def delete_environment(
    session: Session, project: ProjectArgument, name: NameArgument, yes: YesOption = False
) -> None:
    """Remove an environment and its targets. What runs there stays where it is."""
    owner = await names.project(session.client, project)
    found = await names.environment(session.client, owner["id"], name)
    be_sure(f"Remove environment {found['name']} of {owner['name']}?", yes=yes)
    await session.client.delete(f"{names.RELEASE}/environments/{found['id']}")
    removed(session, found, "environment")


ReasonOption = Annotated[
    str, typer.Option("--reason", "-m", metavar="TEXT", help="Shown to everybody who waits.")
]


@app.command("lock")
@verb
async def lock_environment(
    session: Session, project: ProjectArgument, name: NameArgument, reason: ReasonOption
) -> None:
    """Keep new deployments out of an environment until it is unlocked."""
    owner = await names.project(session.client, project)
    found = await names.environment(session.client, owner["id"], name)
    path = f"{names.RELEASE}/environments/{found['id']}/lock"
    lock = await session.client.post(path, {"reason": reason})
    session.out.result(lock, f"{found['name']} is locked: {reason}")


@app.command("unlock")
@verb
async def unlock_environment(
    session: Session, project: ProjectArgument, name: NameArgument
) -> None:
    """Let deployments into an environment begin again."""
    owner = await names.project(session.client, project)
    found = await names.environment(session.client, owner["id"], name)
    await session.client.post(f"{names.RELEASE}/environments/{found['id']}/unlock", {})
    session.out.result({**found, "lock": None}, f"{found['name']} is unlocked")


@app.command("standing")
@verb
async def show_standing(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="At another moment (ISO 8601).")
    ] = None,
) -> None:
    """Say whether a deployment could begin now, and if not, why and until when."""
    owner = await names.project(session.client, project)
    found = await names.environment(session.client, owner["id"], name)
    path = f"{names.RELEASE}/environments/{found['id']}/standing"
    standing = await session.client.get(path, at=at)
    session.out.result(standing, _words(found, standing))


def _words(environment: Json, standing: Json) -> str:
    lock = standing["lock"]
    if lock is not None:
        return f"{environment['name']} is locked by {lock['by']}: {lock['reason']}"
    if standing["open"]:
        return f"{environment['name']} is open"
    return f"{environment['name']} is closed: {standing['text']}"
