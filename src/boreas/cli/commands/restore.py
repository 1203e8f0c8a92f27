"""`boreas restore`: bring a backup back into a data directory that no server uses."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.commands.backup import DataDirOption
from boreas.cli.verbs import Session, new_app, verb
from boreas.kit.clock import SystemClock

app = new_app()


@app.command()
@verb
async def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `boreas backup` wrote.")],
    data_dir: DataDirOption = Path("boreas-data"),
    replace: Annotated[
        bool, typer.Option("--replace", help="Move a directory that is there aside.")
    ] = False,
) -> None:
    """Restore a backup. Orders from before it stay fenced off: agents refuse them."""
    from boreas.cli.archive.unpacking import unpack

    now_ms = int(SystemClock().now().timestamp() * 1000)
    done = unpack(file, data_dir, now_ms=now_ms, keep_old=replace)
    if done["old"]:
        session.out.say(f"The old directory is now {done['old']}.")
    text = f"{data_dir} is as of {done['created_at']}. Start the server; agents come by themselves."
    session.out.result(done, text)
