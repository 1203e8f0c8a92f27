"""`boreas workflows`: templates of a project's deployments, saved in versions."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from boreas.cli import names
from boreas.cli.arguments import EnvironmentArgument, ProjectArgument, VersionArgument
from boreas.cli.client import Json
from boreas.cli.failures import usage
from boreas.cli.nouns import NameArgument, NewNameArgument, YesOption, be_sure, given, removed
from boreas.cli.requests import AppsOption, VariablesOption, application_ids, pairs
from boreas.cli.verbs import Session, new_app, verb

app = new_app("Workflow templates of a project: what a deployment's tasks are made of.")

COLUMNS = (
    ("NAME", "name"),
    ("VERSION", "revision"),
    ("SAVED", "updated_at"),
    ("BY", "updated_by"),
    ("ID", "id"),
)
VERSION_COLUMNS = (
    ("VERSION", "number"),
    ("SAVED", "created_at"),
    ("BY", "author"),
    ("MESSAGE", "message"),
    ("FROM", "origin"),
)
NumberOption = Annotated[
    int | None, typer.Option("--version", min=1, metavar="N", help="Not the newest, this one.")
]
MessageOption = Annotated[
    str, typer.Option("--message", "-m", metavar="TEXT", help="Why; shown beside the version.")
]
FileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="The template (YAML); `-`: standard input."),
]


def _path(project: Json, workflow: Json | None = None) -> str:
    base = f"{names.RELEASE}/projects/{project['id']}/workflows"
    return base if workflow is None else f"{base}/{workflow['id']}"


async def _found(session: Session, project: str, name: str) -> tuple[Json, Json]:
    owner = await names.project(session.client, project)
    known = await session.client.listed(_path(owner))
    return owner, names.pick(known, name, "workflow")


@app.command("list")
@verb
async def list_workflows(session: Session, project: ProjectArgument) -> None:
    """List the workflows of a project."""
    owner = await names.project(session.client, project)
    session.out.table(await session.client.listed(_path(owner)), COLUMNS)


@app.command("show")
@verb
async def show_workflow(
    session: Session, project: ProjectArgument, name: NameArgument, number: NumberOption = None
) -> None:
    """Print a workflow's template."""
    path = _path(*await _found(session, project, name))
    found = await session.client.get(path if number is None else f"{path}/versions/{number}")
    session.out.result(found, str(found["text"]).rstrip("\n"))


@app.command("save")
@verb
async def save_workflow(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    name: NewNameArgument,
    file: FileOption = None,
    from_deployment: Annotated[
        str | None,
        typer.Option("--from", metavar="DEPLOYMENT", help="Make it of this deployment's graph."),
    ] = None,
    message: MessageOption = "",
    revision: Annotated[
        int | None,
        typer.Option("--revision", min=1, metavar="N", help="Only if nobody saved after this one."),
    ] = None,
) -> None:
    """Save a template: a new workflow, or the next version of the one with this name."""
    if (file is None) == (from_deployment is None):
        raise usage("nothing to save", mend="name a file with --file, or a deployment with --from")
    owner = await names.project(session.client, project)
    known = await session.client.listed(_path(owner))
    present = next((it for it in known if name in (it.get("name"), it.get("id"))), None)
    body: dict[str, Any] = {"message": message}
    if file is not None:
        body["text"] = _read(file)
    if present is None:
        if from_deployment is not None:
            made_of = await names.deployment(session.client, from_deployment)
            body["from_deployment"] = made_of["id"]
        saved = await session.client.post(_path(owner), {**body, "name": name})
    else:
        if file is None:
            raise usage(f"there is a workflow {name} already", mend="choose another name")
        changed = {**body, **given(revision=revision)}
        saved = await session.client.put(_path(owner, present), changed)
    session.out.result(saved, f"workflow {saved['name']}: version {saved['revision']}")


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise usage(f"{file} cannot be read: {error}") from error


@app.command("preview")
@verb
async def preview_workflow(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectArgument,
    environment: EnvironmentArgument,
    version: VersionArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Left out: only the file's.")
    ] = None,
    file: FileOption = None,
    number: NumberOption = None,
    app: AppsOption = None,
    variable: VariablesOption = None,
) -> None:
    """Draw the graph it would make, and say which conditions are not met and why.

    With --file: as it would be with this text, which is not saved.
    """
    if name is None and file is None:
        raise usage("nothing to preview", mend="name a workflow, or a file with --file")
    owner = await names.project(session.client, project)
    path = _path(owner) if name is None else _path(*await _found(session, project, name))
    body = given(
        version_id=(await names.version(session.client, owner["id"], version))["id"],
        environment_id=(await names.environment(session.client, owner["id"], environment))["id"],
        application_ids=await application_ids(session.client, owner["id"], app or ()),
        variables=pairs(variable) or None,
        text=_read(file) if file is not None else None,
        number=number,
    )
    found = await session.client.post(f"{path}/preview", body)
    session.out.result(found, "\n".join(_lines(found)))


def _lines(found: Json) -> list[str]:
    lines = [str(found["text"])]
    lines += [f"approval: {it}" for it in found["approvals"]]
    lines += [f"offline: {it}" for it in found["offline"]]
    lines += [f"note: {it}" for it in found["notes"]]
    lines += [f"warning: {it['text']}" for it in found["warnings"]]
    return [*lines, "+ is done, - is skipped, ? depends on results"]


@app.command("versions")
@verb
async def list_versions(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    diff: Annotated[bool, typer.Option("--diff", help="Show what each changed.")] = False,
) -> None:
    """List the versions of a workflow, the newest first."""
    path = _path(*await _found(session, project, name))
    found = await session.client.listed(f"{path}/versions")
    if not diff or session.out.is_json:
        session.out.table(found, VERSION_COLUMNS)
        return
    told = [
        f"version {it['number']} by {it['author']} at {it['created_at']}: "
        f"{it['message'] or it['origin']}\n{it['diff']}"
        for it in found
    ]
    session.out.result(found, "\n".join(told).rstrip())


@app.command("restore")
@verb
async def restore_version(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="The version's number.")],
    message: MessageOption = "",
) -> None:
    """Make an old version the newest one again."""
    path = _path(*await _found(session, project, name))
    saved = await session.client.post(f"{path}/versions/{number}/restore", {"message": message})
    session.out.result(
        saved, f"workflow {saved['name']}: version {number} is version {saved['revision']} again"
    )


@app.command("copy")
@verb
async def copy_workflow(
    session: Session,
    project: ProjectArgument,
    name: NameArgument,
    to: Annotated[str, typer.Argument(metavar="PROJECT", help="Where to; name or id.")],
    called: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="How the copy is called.")
    ] = None,
) -> None:
    """Copy a workflow to another project."""
    path = _path(*await _found(session, project, name))
    target = await names.project(session.client, to)
    made = await session.client.post(
        f"{path}/copy", {"project_id": target["id"], **given(name=called)}
    )
    session.out.result(made, f"workflow {made['name']} ({made['id']}) made in {target['name']}")


@app.command("delete")
@verb
async def delete_workflow(
    session: Session, project: ProjectArgument, name: NameArgument, yes: YesOption = False
) -> None:
    """Remove a workflow with its versions; deployments keep their copies."""
    owner, found = await _found(session, project, name)
    be_sure(f"Remove workflow {found['name']} and all its versions?", yes=yes)
    await session.client.delete(_path(owner, found))
    removed(session, found, "workflow")
