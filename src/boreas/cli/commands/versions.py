"""`boreas versions`: list, show, make, compare, promote and block versions.

They never change and are never removed; what people think of them may.
"""

import json
from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument, VersionArgument
from boreas.cli.commands.plan import lines_of as plan_lines
from boreas.cli.comparisons import comparison_lines, log_lines
from boreas.cli.failures import usage
from boreas.cli.nouns import NameArgument, NewNameArgument, given, made, show
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Versions of a project: immutable snapshots of what to release.")


def _git(version: Any) -> str:
    git = version.get("git") or {}
    return str(git.get("commit") or git.get("ref") or "-")


def _blocked(version: Any) -> str:
    return "blocked" if version.get("blocked") else "-"


COLUMNS = (
    ("NAME", "name"),
    ("GIT", _git),
    ("STATE", _blocked),
    ("CREATED", "created_at"),
    ("ID", "id"),
)

IMAGE_COLUMNS = (
    ("IMAGE", "image"),
    ("DIGEST", "digest"),
    ("BYTES", "size"),
    ("CREATED", "created_at"),
    ("BUILD", "id"),
)


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


@app.command("images")
@verb
async def list_images(session: Session, project: ProjectArgument, name: NameArgument) -> None:
    """List the images that were built for a version, oldest first."""
    path = await _path(session, project, name)
    session.out.table(await session.client.listed(f"{path}/images"), IMAGE_COLUMNS)


@app.command("create")
@verb
async def create_version(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    name: NewNameArgument,
    git: Annotated[str | None, typer.Option("--git", metavar="REPOSITORY")] = None,
    ref: Annotated[str | None, typer.Option("--ref", metavar="REF")] = None,
    commit: Annotated[str | None, typer.Option("--commit", metavar="COMMIT")] = None,
    credential: Annotated[
        str | None,
        typer.Option("--credential", metavar="ID", help="With which the repository is read."),
    ] = None,
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
        git_credential_id=credential,
        artifacts={app: {"image": pinned} for app, pinned in _pairs(image)} or None,
        config={key: _value(text) for key, text in _pairs(config)} or None,
    )
    path = f"{names.RELEASE}/projects/{owner['id']}/versions"
    made(session, await session.client.post(path, body), "version")


@app.command("log")
@verb
async def show_log(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="VERSION", help="Instead of the version before it."),
    ] = None,
) -> None:
    """List the commits since the version before it."""
    path = await _path(session, project, name)
    found = await session.client.get(f"{path}/log", **given(since=since))
    session.out.result(found, "\n".join(log_lines(found["commits"])))


@app.command("compare")
@verb
async def compare_versions(
    session: Session,
    project: ProjectArgument,
    a: VersionArgument,
    b: Annotated[str, typer.Argument(metavar="VERSION", help="Name or id.")],
    env: Annotated[
        str | None,
        typer.Option("--env", "-e", metavar="ENVIRONMENT", help="As they were deployed there."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is the same in both.")
    ] = False,
) -> None:
    """Show two versions side by side: commits, images, configuration, variables."""
    owner = await names.project(session.client, project)
    path = f"{names.RELEASE}/projects/{owner['id']}/versions/compare"
    found = await session.client.get(path, **given(a=a, b=b, environment=env))
    lines = [*comparison_lines(found, everything=everything)]
    session.out.result(found, "\n".join(lines) or "nothing differs")


@app.command("promote")
@verb
async def promote_version(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    environment: Annotated[
        str | None,
        typer.Argument(metavar="[ENVIRONMENT]", help="Left out: the next of the project's order."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    override: Annotated[
        str | None,
        typer.Option("--override", metavar="REASON", help="An owner's word against the order."),
    ] = None,
    start: Annotated[
        bool, typer.Option("--start/--no-start", help="Start it now, or only make it.")
    ] = True,
) -> None:
    """Deploy the very same version into the next environment."""
    owner = await names.project(session.client, project)
    path = await _path(session, project, name)
    where = None
    if environment is not None:
        where = (await names.environment(session.client, owner["id"], environment))["id"]
    body = given(environment_id=where, override_reason=override)
    body = {**body, "dry_run": dry_run, "auto_start": start}
    found = await session.client.post(f"{path}/promote", body)
    if dry_run:
        session.out.result(found, "\n".join(plan_lines(found)))
        return
    to = ", ".join(found["environments"])
    session.out.result(found, f"{names.title(found)} ({found['id']}) brings {name} to {to}")


@app.command("block")
@verb
async def block_version(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    reason: Annotated[
        str, typer.Option("--reason", "-m", metavar="TEXT", help="Everybody reads it.")
    ],
) -> None:
    """Let a bad version go nowhere new; where it runs it may be deployed again or left."""
    path = await _path(session, project, name)
    found = await session.client.post(f"{path}/block", {"reason": reason})
    session.out.result(found, f"{found['name']} is blocked: {reason}")


@app.command("unblock")
@verb
async def unblock_version(session: Session, project: ProjectArgument, name: NameArgument) -> None:
    """Let a version be deployed again."""
    path = await _path(session, project, name)
    found = await session.client.post(f"{path}/unblock", {})
    session.out.result(found, f"{found['name']} may be deployed again")


async def _path(session: Session, project: str, name: str) -> str:
    owner = await names.project(session.client, project)
    found = await names.version(session.client, owner["id"], name)
    return f"{names.RELEASE}/versions/{found['id']}"


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
