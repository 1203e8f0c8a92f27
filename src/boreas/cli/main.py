"""The command line's root: global options, the table of verbs, and the last guard.

A verb's file is imported only when it is used. No traceback ever reaches a user: the guard says
one sentence and, with `--debug FILE`, writes the traceback there.
"""

import importlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from boreas import __version__
from boreas.cli.exits import ExitCode
from boreas.cli.verbs import Common, FormatOption, ServerOption, TokenOption

VERBS: Final = {
    "demo": "demo",
    "server": "programs:server",
    "agent": "programs:agent",
    "setup": "setup",
    "login": "login",
    "logout": "logout",
    "apply": "apply",
    "diff": "diff",
    "export": "export",
    "schema": "schema",
    "plan": "plan",
    "deploy": "deploy",
    "watch": "watch",
    "status": "status",
    "explain": "explain:explain",
    "history": "explain:history",
    "drift": "drift",
    "list": "list",
    "logs": "logs",
    "start": "wishes:start",
    "confirm": "wishes:confirm",
    "reject": "wishes:reject",
    "pause": "wishes:pause",
    "resume": "wishes:resume",
    "cancel": "wishes:cancel",
    "rollback": "wishes:rollback",
    "retry": "wishes:retry",
    "skip": "wishes:skip",
    "skip-window": "wishes:skip_window",
    "ignore": "wishes:ignore",
    "projects": "projects",
    "applications": "applications",
    "environments": "environments",
    "targets": "targets",
    "versions": "versions",
    "builds": "builds",
    "workflows": "workflows",
    "credentials": "credentials",
    "variables": "variables",
    "agents": "agents",
    "users": "users",
    "members": "members",
    "tokens": "tokens",
    "audit": "audit",
    "doctor": "doctor",
    "backup": "backup",
    "restore": "restore",
    "completion": "completion",
}
"""Verb -> module in `boreas.cli.commands`, and the app in it when the file holds several."""

DEBUG_OPTION: Final = "--debug"


class Verbs(TyperGroup):
    """A group that imports a verb's file when the verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs in the order of the help page."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The Click command of a verb, or None."""
        if cmd_name not in VERBS:
            return None
        if cmd_name not in self.commands:
            self.add_command(_imported(cmd_name), cmd_name)
        return self.commands[cmd_name]


def _imported(name: str) -> Any:
    module, _, attribute = VERBS[name].partition(":")
    found = importlib.import_module(f"boreas.cli.commands.{module}")
    command = typer.main.get_command(getattr(found, attribute or "app"))
    command.name = name
    return command


app = typer.Typer(
    name="boreas",
    cls=Verbs,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not signed in, 4 not found, 5 conflict, "
    "6 no server, 7 rolled back, 8 cancelled, 9 timed out, 12 differs.",
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"boreas {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    server: ServerOption = None,
    token: TokenOption = None,
    output: FormatOption = None,
    debug: Annotated[
        Path | None,
        typer.Option(DEBUG_OPTION, metavar="FILE", help="Write the traceback of a crash to FILE."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_say_version, help="Say the version."),
    ] = False,
) -> None:
    """Boreas: deploy to your own machines, see why, and get the whole fleet back."""
    ctx.obj = Common(server=server, token=token, output=output)


def main(argv: Sequence[str]) -> int:
    """Run one command line; its exit code."""
    try:
        typer.main.get_command(app).main(args=list(argv), prog_name="boreas")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last guard: a user never sees a traceback
        return _crashed(error, argv)
    return ExitCode.OK


def _crashed(error: Exception, argv: Sequence[str]) -> int:
    sys.stderr.write(f"boreas: this is a fault of Boreas: {type(error).__name__}: {error}\n")
    file = _debug_file(argv)
    if file is None:
        sys.stderr.write(f"  run it again as: boreas {DEBUG_OPTION} FILE ... and report the file\n")
    else:
        file.write_text("".join(traceback.format_exception(error)))
        sys.stderr.write(f"  the traceback is in {file}\n")
    return ExitCode.BUG


def _debug_file(argv: Sequence[str]) -> Path | None:
    """The file named by `--debug`, read by hand: the crash may lie in the reading itself."""
    for place, word in enumerate(argv[:-1]):
        if word == DEBUG_OPTION:
            return Path(argv[place + 1])
    return None
