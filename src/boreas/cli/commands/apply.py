"""`boreas apply`: make the server's projects as the files say."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.exits import ExitCode
from boreas.cli.verbs import Session, new_app, verb

app = new_app()

FileOption = Annotated[Path, typer.Option("--file", "-f", metavar="FILE|DIR", help="The files.")]
PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune", help="Delete what is missing in a list that the files speak of (not versions)."
    ),
]
UpdateSecretsOption = Annotated[
    bool,
    typer.Option("--update-secrets", help="Send the values of secrets that are there already."),
]


@app.command()
@verb
async def apply(
    session: Session,
    file: FileOption,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the difference; change nothing.")
    ] = False,
    prune: PruneOption = False,
    update_secrets: UpdateSecretsOption = False,
) -> None:
    """Create and update projects by name from YAML files; prints what differs."""
    from boreas.cli.manifests.differences import Deed
    from boreas.cli.manifests.runs import as_document, compared, said, show_difference

    done = []
    async for each in compared(session.client, file, prune=prune, update_secrets=update_secrets):
        done.append(each)
        if not dry_run:
            for line in (line for change in each.changes for line in change.lines()):
                session.out.say(line)
            await each.applier.apply(each.changes)
            for line in each.applier.kept:
                session.out.say(line)
    if dry_run:
        show_difference(session.out, done)
        if any(change.deed is Deed.CLASH for each in done for change in each.changes):
            raise typer.Exit(ExitCode.CONFLICT)
        return
    count = sum(len(each.differences) for each in done)
    session.out.result(as_document(done, applied=True), said(count, applied=True))
