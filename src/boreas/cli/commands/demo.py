"""`boreas demo`: see everything at work on this machine in a minute."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def demo(
    session: Session,
    once: Annotated[
        bool,
        typer.Option("--once", help="Confirm by itself, stop everything, exit 0 if all was well."),
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", metavar="DIR", help="A new directory that is kept."),
    ] = None,
) -> None:
    """A server, six agents, three applications: first deployment, canary, automatic return."""
    from boreas.cli.demo.run import play

    await play(session.out, directory=data_dir, once=once)
