"""Turn `async def work(session, ...)` into a Typer command with the options that every verb has.

Also the one place where a failure becomes a sentence and an exit code.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from boreas.cli.client import Client
from boreas.cli.exits import ExitCode
from boreas.cli.failures import Failure, failure_in
from boreas.cli.output import Format, Output
from boreas.cli.settings import remembered

ServerOption = Annotated[
    str | None,
    typer.Option("--server", envvar="BOREAS_URL", metavar="URL", help="Base URL of the server."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="BOREAS_API_TOKEN",
        metavar="TOKEN",
        help="API token. Prefer the variable or `boreas login`: others can see a command line.",
    ),
]
FormatOption = Annotated[
    Format | None, typer.Option("--output", "-o", help="Print the result for people or programs.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that every verb has, as far as they were given."""

    server: str | None = None
    token: str | None = None
    output: Format | None = None

    def over(self, other: "Common") -> "Common":
        """These, with what `other` (given before the verb) has where these are silent."""
        return replace(
            self,
            server=self.server or other.server,
            token=self.token or other.token,
            output=self.output or other.output,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a verb works with."""

    client: Client
    out: Output


def new_app(help_text: str | None = None) -> typer.Typer:
    """An app for the verbs of one file."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        no_args_is_help=help_text is not None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def verb(work: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A Typer command that runs `work(session, ...)`; failures leave with their exit code."""
    own = list(inspect.signature(work, eval_str=True).parameters.values())[1:]

    def command(ctx: typer.Context, **given: Any) -> None:
        common = Common(**{name: given.pop(name) for name in ("server", "token", "output")})
        before = ctx.find_object(Common) or Common()
        run_to_exit(common.over(before), lambda session: work(session, **given))

    _wear_signature(command, own)
    command.__name__, command.__doc__ = getattr(work, "__name__", "verb"), work.__doc__
    return command


def run_to_exit(common: Common, work: Callable[[Session], Awaitable[None]]) -> None:
    """Run the work; raises `typer.Exit` with the right code unless all is well."""
    out = Output(common.output or Format.TEXT)
    try:
        asyncio.run(_in_session(common, out, work))
    except Failure as failure:
        out.failure(failure)
        raise typer.Exit(failure.exit_code) from failure
    except BaseExceptionGroup as group:
        failure_inside = failure_in(group)
        if failure_inside is None:
            raise
        out.failure(failure_inside)
        raise typer.Exit(failure_inside.exit_code) from group
    except asyncio.CancelledError as ended:
        # SIGTERM, where a verb takes it to end in good order.
        raise typer.Exit(ExitCode.TERMINATED) from ended
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt
    except BrokenPipeError as closed:
        # `boreas list | head`: whoever read us has enough.
        raise typer.Exit(ExitCode.OK) from closed


async def _in_session(
    common: Common, out: Output, work: Callable[[Session], Awaitable[None]]
) -> None:
    known = remembered()
    server = (common.server or known.server).rstrip("/")
    async with Client(server, common.token or known.tokens.get(server)) as client:
        await work(Session(client=client, out=out))


def _wear_signature(command: Callable[..., None], own: list[inspect.Parameter]) -> None:
    """Typer reads a command's options from its signature and its hints: give it both."""
    shared = {"server": ServerOption, "token": TokenOption, "output": FormatOption}
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own),
        *(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )
            for name, annotation in shared.items()
        ),
    ]
    # `inspect.signature` looks here first; the type of a function does not have it.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
