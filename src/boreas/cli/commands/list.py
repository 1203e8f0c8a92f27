"""`boreas list`: deployments, newest first."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import ProjectOption
from boreas.cli.client import Json
from boreas.cli.verbs import Session, new_app, verb
from boreas.cli.watching.model import heading_of
from boreas.cli.watching.words import said

app = new_app()

COLUMNS = (
    ("NUMBER", lambda each: f"#{each.get('number', '')}"),
    ("WHAT", heading_of),
    ("STATE", lambda each: said(str(each.get("status")))),
    ("BY", "createdBy"),
    ("CREATED", "createdAt"),
    ("ID", "id"),
)


@app.command("list")
@verb
async def list_deployments(
    session: Session,
    project: ProjectOption = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="STATE", help="Only in this state.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000)] = 20,
) -> None:
    """List deployments, newest first."""
    found = await names.project(session.client, project) if project else None
    query = {"projectId": found["id"] if found else None, "status": state}
    rows: list[Json] = []
    async for each in session.client.every(names.DEPLOYMENTS, limit=min(limit, 200), **query):
        if state is None or each.get("status") == state:
            rows.append(each)
        if len(rows) >= limit:
            break
    session.out.table(rows, COLUMNS)
