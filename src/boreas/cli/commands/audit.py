"""`boreas audit`: who did what, when, from where and why; and whether the record holds."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from boreas.cli import names
from boreas.cli.exits import ExitCode
from boreas.cli.nouns import given
from boreas.cli.verbs import Session, new_app, verb

app = new_app("The audit trail: who did what, and whether the record holds.")
PATH: Final = f"{names.RELEASE}/audit"
COLUMNS = (
    ("WHEN", "at"),
    ("WHO", "actor"),
    ("FROM", "address"),
    ("WHAT", "action"),
    ("ON", "subject_id"),
    ("WHY", "why"),
)
ProjectOption = Annotated[str | None, typer.Option("--project", "-p", metavar="PROJECT")]
ActorOption = Annotated[str | None, typer.Option("--actor", metavar="USER", help="Who did it.")]
ActionOption = Annotated[
    str | None,
    typer.Option("--action", metavar="WORD", help="Like member.add; `member.` means all such."),
]
SubjectOption = Annotated[str | None, typer.Option("--subject", metavar="ID", help="On what.")]
FromOption = Annotated[str | None, typer.Option("--from", metavar="TIME", help="ISO 8601.")]
ToOption = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Not included.")]


class Shape(StrEnum):
    """How an export is written."""

    NDJSON = "ndjson"
    CSV = "csv"


async def _query(session: Session, project: str | None, **filters: str | None) -> dict[str, Any]:
    wanted: Mapping[str, Any] = given(**filters)
    if project is None:
        return dict(wanted)
    return {**wanted, "project": (await names.project(session.client, project))["id"]}


@app.command("list")
@verb
async def list_audit(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    project: ProjectOption = None,
    actor: ActorOption = None,
    action: ActionOption = None,
    subject: SubjectOption = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 50,
) -> None:
    """List what was done, the newest first."""
    filters = {"actor": actor, "action": action, "subject": subject, "from": since, "to": until}
    query = await _query(session, project, **filters)
    found = []
    async for each in session.client.every(PATH, **query):
        found.append(each)
        if len(found) == limit:
            break
    session.out.table(found, COLUMNS)


@app.command("export")
@verb
async def export_audit(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    shape: Annotated[Shape, typer.Option("--format", help="How it is written.")] = Shape.NDJSON,
    project: ProjectOption = None,
    actor: ActorOption = None,
    action: ActionOption = None,
    subject: SubjectOption = None,
    since: FromOption = None,
    until: ToOption = None,
) -> None:
    """Write it all to stdout, the oldest first."""
    filters = {"actor": actor, "action": action, "subject": subject, "from": since, "to": until}
    query = {**await _query(session, project, **filters), "format": shape.value}
    async for block in session.client.stream(f"{PATH}/export?{urlencode(query)}"):
        sys.stdout.write(block.decode())
    sys.stdout.flush()


@app.command("verify")
@verb
async def verify_audit(session: Session) -> None:
    """Follow the chain of hashes from the first entry; exit code 1 names the first broken one."""
    found = await session.client.get(f"{PATH}/verify")
    if found["holds"]:
        session.out.result(found, f"{found['entries']} entries hold; the last is {found['head']}")
        return
    session.out.result(found, f"broken: {found['problem']}")
    raise typer.Exit(ExitCode.FAILED)
