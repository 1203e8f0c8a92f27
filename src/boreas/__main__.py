"""The one door of the package: `boreas ...` and `python -m boreas ...`.

Chooses between three programs and imports only the chosen one, so that the agent stays small and
the command line starts fast.
"""

import sys
from collections.abc import Callable, Sequence

from boreas.kit import lean

NEEDS_SERVER_EXTRA = "the server needs its extra parts: pip install 'boreas-cd[server]'"


def run() -> None:
    """Run the program the arguments name; ends the process with its exit code."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """The exit code of the program that the first argument names."""
    match list(argv):
        case ["server", *rest]:
            return _server()(rest)
        case ["agent", *rest]:
            return _agent()(rest)
        case rest:
            from boreas.cli.main import main as command_line

            return command_line(rest)


Program = Callable[[Sequence[str]], int]


def _server() -> Program:
    lean.begin_start()
    # FastAPI asks of every model whether it is one of pydantic's old ones: 2.5 MB for a no.
    lean.do_without("pydantic.v1")
    try:
        with lean.as_if_not_installed("rich"):
            from boreas.server.main import main as server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("boreas"):
            raise
        return _without_extra
    program: Program = server
    return program


def _agent() -> Program:
    lean.begin_start()
    with lean.as_if_not_installed("rich"):
        from boreas.agent.main import main as agent

    program: Program = agent
    return program


def _without_extra(_argv: Sequence[str]) -> int:
    sys.stderr.write(f"boreas: {NEEDS_SERVER_EXTRA}\n")
    return 1


if __name__ == "__main__":
    run()
