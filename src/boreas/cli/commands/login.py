"""`boreas login`: make an API token with a name and a password, and remember it."""

import sys
from typing import Annotated

import typer

from boreas.cli.account import keep, make_token
from boreas.cli.failures import usage
from boreas.cli.verbs import Session, new_app, verb

app = new_app()


@app.command()
@verb
async def login(
    session: Session,
    username: Annotated[
        str | None, typer.Option("--username", "-u", metavar="NAME", help="Who signs in.")
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the token is called.")
    ] = "boreas command line",
) -> None:
    """Sign in at --server and remember an API token in ~/.config/boreas/config.toml."""
    username = username or asked("User name")
    password = read_password(from_stdin=password_stdin)
    token = await make_token(session.client, username, password, name=name)
    path = keep(session.client.server, token)
    document = {"server": session.client.server, "username": username, "config": str(path)}
    session.out.result(document, f"Signed in at {session.client.server} as {username}.")


def asked(question: str) -> str:
    """Ask a person; refuse to wait for one who is not there."""
    if not sys.stdin.isatty():
        raise usage(f"{question.lower()} is missing, and nobody is there to ask")
    return str(typer.prompt(question, err=True))


def read_password(*, from_stdin: bool, new: bool = False) -> str:
    """A password, from a person without echo or from standard input; never from the arguments."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise usage("the password is missing", mend="use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=new, err=True))
