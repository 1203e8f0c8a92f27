"""`boreas builds`: start, list, show, follow and stop builds of images."""

from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectArgument
from boreas.cli.client import Client, Json
from boreas.cli.commands.logs import drawn
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure, not_found, usage
from boreas.cli.logs import LogQuery, follow_logs, read_logs
from boreas.cli.nouns import given, show
from boreas.cli.output import plain
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Builds: images of applications, made by agents with the label builder.")

BuildArgument = Annotated[str, typer.Argument(metavar="BUILD", help="The id of a build.")]
EXIT_OF_STATUS = {"failed": ExitCode.FAILED, "cancelled": ExitCode.CANCELLED}
WHOLE_LOG = 10_000

COLUMNS = (
    ("STATUS", "status"),
    ("IMAGE", "image"),
    ("DIGEST", lambda each: _short(str(each.get("digest") or ""))),
    ("SECONDS", "duration"),
    ("BUILDER", "builder"),
    ("ID", "id"),
)


@app.command("list")
@verb
async def list_builds(
    session: Session,
    project: ProjectArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 20,
) -> None:
    """List the builds of a project, newest first: alone or as part of deployments."""
    owner = await names.project(session.client, project)
    rows: list[Json] = []
    path = f"{names.RELEASE}/projects/{owner['id']}/builds"
    async for each in session.client.every(path, limit=min(limit, 200)):
        rows.append(each)
        if len(rows) >= limit:
            break
    session.out.table(rows, COLUMNS)


@app.command("start")
@verb
async def start_build(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="Name or id; or --ref, or --commit.")
    ] = None,
    app: Annotated[
        str | None,
        typer.Option("--app", metavar="APP", help="Needed when several are built by Boreas."),
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", metavar="REF", help="Makes a version of this branch.")
    ] = None,
    commit: Annotated[str | None, typer.Option("--commit", metavar="COMMIT")] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the version that is made.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build every layer anew.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show its log; leave with its exit code.")
    ] = False,
) -> None:
    """Build an image, whether there is one already or not."""
    if (version, ref, commit).count(None) != 2:
        raise usage("it is not clear what to build", mend="write a VERSION, --ref or --commit")
    owner = await names.project(session.client, project)
    known = await names.version(session.client, owner["id"], version) if version else None
    body = given(
        application=app,
        version_id=known["id"] if known else None,
        git=None if known else given(ref=ref, commit=commit),
        version=name,
        no_cache=no_cache or None,
    )
    made = await session.client.post(f"{names.RELEASE}/projects/{owner['id']}/build", body)
    if not watch:
        session.out.result(made, f"build {made['id']} makes {made['image']}")
        return
    session.out.say(f"build {made['id']} makes {made['image']}")
    await _watched(session, made)


@app.command("show")
@verb
async def show_build(session: Session, build: BuildArgument) -> None:
    """Show one build."""
    show(session, await _build(session.client, build))


@app.command("logs")
@verb
async def show_log(
    session: Session,
    build: BuildArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on to its end.")] = False,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="TEXT", help="Only lines with this text.")
    ] = None,
    tail: Annotated[
        int, typer.Option("--tail", "-n", min=1, max=WHOLE_LOG, help="The last lines.")
    ] = 100,
) -> None:
    """Show what the engine said while it built and pushed."""
    found = await _build(session.client, build)
    lines = _lines(session.client, found, LogQuery(text=grep, tail=tail), follow=follow)
    if session.out.is_json:
        session.out.result({"lines": [line async for line in lines]})
        return
    async for line in lines:
        typer.echo(plain(drawn(line, several_tasks=False)))


@app.command("cancel")
@verb
async def cancel_build(session: Session, build: BuildArgument) -> None:
    """Stop a build of its own; one of a deployment stops with that."""
    found = await _build(session.client, build)
    after = await session.client.post(f"{names.RELEASE}/builds/{found['id']}/cancel")
    session.out.result(after, f"build {after['id']} is asked to stop")


async def _build(client: Client, wanted: str) -> Json:
    try:
        found: Json = await client.get(f"{names.RELEASE}/builds/{wanted}")
    except Failure as failure:
        if failure.exit_code is not ExitCode.NOT_FOUND:
            raise
        mend = "see them with: boreas builds list PROJECT"
        raise not_found(f"there is no build {wanted}", mend=mend) from failure
    return found


def _lines(client: Client, build: Json, query: LogQuery, *, follow: bool) -> Any:
    deployment = {"id": build["deployment_id"]}
    task = {"id": build["task_id"], "name": "build"}
    return (follow_logs if follow else read_logs)(client, deployment, [task], query)


async def _watched(session: Session, build: Json) -> None:
    """Its log on stderr, then the build itself as the result."""
    async for line in _lines(session.client, build, LogQuery(tail=WHOLE_LOG), follow=True):
        session.out.say(plain(drawn(line, several_tasks=False)))
    done = await _build(session.client, str(build["id"]))
    why = f": {done['error']}" if done.get("error") else ""
    session.out.result(done, f"{done['status']}{why} {done.get('digest') or ''}".rstrip())
    if code := EXIT_OF_STATUS.get(str(done["status"])):
        raise typer.Exit(code)


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or "-"
