"""A secret from a file, from standard input or from a person without echo; never from an argument.

Arguments stand in `ps`, in the shell's history and in the logs of CI systems.
"""

import sys
from pathlib import Path
from typing import Final

import typer

from boreas.cli.failures import usage

STDIN: Final = "-"


def read_secret(file: str | None, *, what: str, lines: bool) -> str:
    """The secret. The line break at the end of a file belongs to it only where it has `lines`."""
    if file is None:
        return _asked(what, lines=lines)
    text = sys.stdin.read() if file == STDIN else _text_of(Path(file), what)
    return text if lines else text.rstrip("\r\n")


def _asked(what: str, *, lines: bool) -> str:
    if lines:
        raise usage(f"the {what} is missing", mend="name its file: --file FILE, or --file -")
    if not sys.stdin.isatty():
        raise usage(f"the {what} is missing, and nobody is there to ask", mend="use --file -")
    return str(typer.prompt(what.capitalize(), hide_input=True, err=True))


def _text_of(path: Path, what: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
    raise usage(f"the {what} cannot be read from {path}: {reason}")
