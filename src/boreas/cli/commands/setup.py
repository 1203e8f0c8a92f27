"""`boreas setup`: make the first admin with the one-time token that the server printed."""

from pathlib import Path
from typing import Annotated

import typer

from boreas.cli.account import keep, make_token
from boreas.cli.commands.login import asked, read_password
from boreas.cli.failures import usage
from boreas.cli.names import RELEASE
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def setup(
    session: Session,
    username: Annotated[str, typer.Option("--username", "-u", metavar="NAME")] = "admin",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option("--setup-token-file", metavar="FILE", help="<data-dir>/setup-token"),
    ] = None,
) -> None:
    """Make the first admin of a new server, and sign in as it."""
    token = read_token(token_file)
    password = read_password(from_stdin=password_stdin, new=True)
    body = {"token": token, "username": username, "password": password}
    await session.client.post(f"{RELEASE}/setup", body)
    api_token = await make_token(session.client, username, password, name="boreas command line")
    path = keep(session.client.server, api_token)
    document = {"server": session.client.server, "username": username, "config": str(path)}
    session.out.result(document, f"{username} is the first admin of {session.client.server}.")


def read_token(file: Path | None) -> str:
    """The one-time token, from its file or from a person."""
    if file is None:
        return asked("Setup token (the server printed it)")
    try:
        return file.read_text().strip()
    except OSError as error:
        raise usage(f"{file} cannot be read: {error.strerror}") from error
