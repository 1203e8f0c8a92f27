"""Two ways to say a result: a table for people, or one JSON document for programs.

Results go to stdout, everything else to stderr, so that `-o json | jq` always works.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from boreas.cli.failures import Failure

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Column = tuple[str, str | Callable[[Mapping[str, Any]], object]]
"""A heading, and the key (or the function) that gives its cell."""


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


class Output:
    """Writes results and remarks of one command."""

    def __init__(self, form: Format = Format.TEXT) -> None:
        self.form = form

    @property
    def is_json(self) -> bool:
        """Does a program read this?"""
        return self.form is Format.JSON

    def say(self, sentence: str) -> None:
        """A remark for people; never part of the result."""
        sys.stderr.write(plain(sentence) + "\n")
        sys.stderr.flush()

    def result(self, document: object, text: "str | RenderableType | None" = None) -> None:
        """The one result: `document` as JSON, or `text` for people."""
        if self.is_json:
            sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        elif text is not None:
            self._print(text)
        sys.stdout.flush()

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Iterable[Column]) -> None:
        """A list of objects: whole as JSON, some columns of them for people."""
        if self.is_json:
            self.result([dict(row) for row in rows])
            return
        self._print(_table(rows, tuple(columns)))

    def failure(self, failure: Failure) -> None:
        """Why the command ends without a result."""
        self.say(f"boreas: {failure.message}")
        for each in failure.fields:
            mend = f"; {each.mend}" if each.mend else ""
            line = f"{each.field}: {each.problem}{mend}"
            if line not in failure.message:
                self.say(f"  {line}")
        if failure.mend:
            self.say(f"  {failure.mend}")
        if self.is_json:
            self.result(failure.document())

    def _print(self, text: "str | RenderableType") -> None:
        if isinstance(text, str):
            sys.stdout.write(plain(text) + "\n")
        else:
            console().print(text)


def console(*, stderr: bool = False) -> "Console":
    """A Rich console; wide enough that a pipe never wraps a table."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 160
    return Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)


def plain(text: str) -> str:
    """Without control characters: what a server or a log line says must not drive a terminal."""
    return "".join(letter for letter in text if letter in "\n\t" or not _drives(letter))


def _drives(letter: str) -> bool:
    number = ord(letter)
    return number < 32 or 0x7F <= number < 0xA0


def _table(rows: Sequence[Mapping[str, Any]], columns: tuple[Column, ...]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, _ in columns:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(_cell(row, source))) for _, source in columns))
    return table


def _cell(row: Mapping[str, Any], source: str | Callable[[Mapping[str, Any]], object]) -> str:
    value = row.get(source) if isinstance(source, str) else source(row)
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={each}" for name, each in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value) or "-"
    return str(value)
