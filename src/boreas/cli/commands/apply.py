"""`boreas apply`: make the server's projects as the files say."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.exits import ExitCode
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def apply(
    session: Session,
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE|DIR", help="What to apply.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the difference; change nothing.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Delete what the files do not name (never versions)."),
    ] = False,
) -> None:
    """Create and update projects by name from YAML files; prints what differs."""
    from boreas.cli.manifests.applying import Applier
    from boreas.cli.manifests.differences import Change, Deed
    from boreas.cli.manifests.documents import read_projects

    done: list[tuple[str, Change]] = []
    for wanted in read_projects(file):
        applier = Applier(session.client, wanted, prune=prune)
        changes = await applier.changes()
        for change in changes:
            for line in change.lines():
                session.out.say(line)
        if not dry_run:
            await applier.apply(changes)
        done += [(wanted.name, change) for change in changes]
    session.out.result(
        {
            "applied": not dry_run,
            "changes": [{"project": name, **change.document()} for name, change in done],
        },
        summary(len(done), dry_run=dry_run),
    )
    if dry_run and any(change.deed is Deed.CLASH for _, change in done):
        raise typer.Exit(ExitCode.CONFLICT)


def summary(count: int, *, dry_run: bool) -> str:
    """How many things differ, and what became of that."""
    if count == 0:
        return "Nothing differs."
    things = "1 thing" if count == 1 else f"{count} things"
    return f"{things} would change." if dry_run else f"{things} changed."
