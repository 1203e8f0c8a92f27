"""`boreas backup`: a server's data directory as one file; the server may go on meanwhile."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.verbs import Session, new_app, verb
from boreas.kit.clock import SystemClock

app = new_app()

DataDirOption = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="BOREAS_DATA_DIR", metavar="DIR", help="The server's data directory."
    ),
]


@app.command()
@verb
async def backup(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file (tar.gz).")],
    data_dir: DataDirOption = Path("boreas-data"),
) -> None:
    """Back up database, keys and logs of a server on this machine, while it runs.

    With PostgreSQL the database is not in it: use pg_dump for that.
    """
    from boreas.cli.archive.packing import pack

    manifest = pack(data_dir, file, now=SystemClock().now())
    if not manifest["database"]:
        session.out.say("There is no SQLite database here: back PostgreSQL up with pg_dump.")
    size = file.stat().st_size
    document = {**manifest, "file": str(file), "bytes": size}
    session.out.result(document, f"{file}: {size / 1e6:.1f} MB. It holds keys: keep it safe.")
