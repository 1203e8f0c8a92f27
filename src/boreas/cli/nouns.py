"""The groups that list, show, make and remove one kind of thing share these pieces."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from boreas.cli.client import Json
from boreas.cli.failures import usage
from boreas.cli.output import plain
from boreas.cli.verbs import Session

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name or id.")]
NewNameArgument = Annotated[str, typer.Argument(metavar="NAME", help="How it shall be called.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def show(session: Session, found: Json) -> None:
    """One object: whole as JSON, as a readable document for people."""
    import yaml

    text = yaml.safe_dump(dict(found), sort_keys=False, allow_unicode=True).rstrip()
    session.out.result(found, plain(text))


def made(session: Session, found: Json, noun: str) -> None:
    """Say that something was made."""
    session.out.result(found, f"{noun} {found.get('name', '')} ({found.get('id')}) made")


def removed(session: Session, found: Json, noun: str) -> None:
    """Say that something is gone."""
    document = {"id": found.get("id"), "removed": True}
    session.out.result(document, f"{noun} {found.get('name', '')} ({found.get('id')}) removed")


def be_sure(question: str, *, yes: bool) -> None:
    """Ask before something goes away for good; refuse when nobody is there to ask."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise usage(f"{question} Nobody is there to ask", mend="say so with --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(0)


def labels_of(pairs: list[str] | None) -> dict[str, str]:
    """`k=v` words as a mapping."""
    found = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise usage(f"{pair!r} is no label", mend="write NAME=VALUE")
        found[name] = value
    return found


def given(**values: Any) -> Mapping[str, Any]:
    """Only the values that were given."""
    return {name: value for name, value in values.items() if value is not None}
