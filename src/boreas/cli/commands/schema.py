"""`boreas schema`: the JSON Schemas by which editors check the files while they are written."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.verbs import Session, new_app, verb

app = new_app()


class What(StrEnum):
    """Which files."""

    PROJECT = "project"
    WORKFLOW = "workflow"


@app.command()
@verb
async def schema(
    session: Session,
    what: Annotated[What, typer.Argument(help="Of project files or workflows.")] = What.PROJECT,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Where to write it.")
    ] = None,
) -> None:
    """Write the JSON Schema of project files or workflow templates; needs no server."""
    from boreas.domain.manifests import schema as of_projects
    from boreas.domain.workflows import schema as of_workflows

    found = of_projects.SCHEMA if what is What.PROJECT else of_workflows.SCHEMA
    text = json.dumps(found, indent=2, ensure_ascii=False)
    if file is None or str(file) == "-":
        session.out.result(found, text)
        return
    file.write_text(text + "\n")
    session.out.say(f"{file}: name it at the top of a file as")
    session.out.result(found, f"# yaml-language-server: $schema={file}")
