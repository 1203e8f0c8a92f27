"""`boreas export`: the server's projects as files that `boreas apply` takes back."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def export(
    session: Session,
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", help="Name or id; all without it.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Where to write; - stdout.")
    ] = None,
    versions: Annotated[
        bool, typer.Option("--versions/--no-versions", help="With versions.")
    ] = True,
) -> None:
    """Write projects as YAML; secrets without their values."""
    from boreas.cli.manifests.exporting import as_text, project_document

    if project is None:
        found = await session.client.listed(f"{names.RELEASE}/projects")
    else:
        found = [await names.project(session.client, project)]
    documents = [
        await project_document(session.client, each, with_versions=versions) for each in found
    ]
    text = as_text(documents, server=session.client.server)
    if file is not None and str(file) != "-":
        file.write_text(text)
        session.out.say(f"{file}: {len(documents)} projects")
    session.out.result(documents, text.rstrip() if file is None or str(file) == "-" else None)
