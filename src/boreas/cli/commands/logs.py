"""`boreas logs`: what the commands of a deployment said, in order."""

from typing import Annotated

import typer

from boreas.cli import names
from boreas.cli.arguments import DeploymentArgument
from boreas.cli.client import Json
from boreas.cli.logs import LogQuery, follow_logs, read_logs
from boreas.cli.output import plain
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def logs(  # noqa: PLR0913 - a command line's options are its signature
    session: Session,
    deployment: DeploymentArgument = "latest",
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only this task, by id or name.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the deployment has ended.")
    ] = False,
    level: Annotated[
        str | None, typer.Option("--level", metavar="LEVEL", help="info, warn or error, and above.")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="TEXT", help="Only lines with this text.")
    ] = None,
    tail: Annotated[
        int, typer.Option("--tail", "-n", min=1, max=10000, help="The last lines of each task.")
    ] = 100,
) -> None:
    """Show the log of a deployment's tasks."""
    found = await names.deployment(session.client, deployment)
    tasks = [names.task(found, task)] if task else list(found.get("tasks") or ())
    query = LogQuery(level=level, text=grep, tail=tail)
    reading = (follow_logs if follow else read_logs)(session.client, found, tasks, query)
    if session.out.is_json:
        session.out.result({"lines": [line async for line in reading]})
        return
    async for line in reading:
        typer.echo(plain(drawn(line, several_tasks=len(tasks) > 1)))


def drawn(line: Json, *, several_tasks: bool) -> str:
    """A log line for people."""
    where = f"{line['task']} " if several_tasks else ""
    mark = {"error": "E", "warn": "W"}.get(str(line.get("level")), " ")
    time, target = line.get("timestamp", ""), line.get("target", "")
    return f"{time} {mark} {where}{target} | {line.get('message', '')}"
