"""`boreas diff`: in what the server differs from the files."""

import typer

from boreas.cli.commands.apply import FileOption, PruneOption, UpdateSecretsOption
from boreas.cli.exits import ExitCode
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def diff(
    session: Session,
    file: FileOption,
    prune: PruneOption = False,
    update_secrets: UpdateSecretsOption = False,
) -> None:
    """Print what `apply` would change; ends with 0 when nothing differs, else with 12."""
    from boreas.cli.manifests.runs import compared, show_difference

    found = [
        each
        async for each in compared(session.client, file, prune=prune, update_secrets=update_secrets)
    ]
    show_difference(session.out, found)
    if any(each.differences for each in found):
        raise typer.Exit(ExitCode.DIFFERS)
