"""`boreas server`: reads the settings, puts the parts together, runs until it is told to stop."""

import asyncio
import errno
import signal
import sys
from collections.abc import Sequence
from typing import Final

import structlog
import uvloop

from boreas.domain.errors import BoreasError, InvalidInput
from boreas.kit import lean
from boreas.kit.last_words import log_to_stderr
from boreas.kit.tasks import first_error
from boreas.kit.until import Hint
from boreas.server.settings import Settings, from_process
from boreas.server.wiring import running_server

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


def main(argv: Sequence[str]) -> int:
    """Run a server until SIGTERM or SIGINT; the exit code."""
    log_to_stderr(structlog.processors.JSONRenderer(ensure_ascii=True))
    try:
        settings = from_process(argv)
        return uvloop.run(_run_until_stopped(settings))
    except InvalidInput as error:
        print(f"boreas server: {error.message}", file=sys.stderr)
        return EXIT_USAGE
    except (BoreasError, OSError) as error:
        return _failed(error)
    except BaseExceptionGroup as group:
        # Parts start inside task groups; what kept one from starting is a plain sentence still.
        found = first_error(group)
        if not isinstance(found, BoreasError | OSError):
            raise
        return _failed(found)


def _failed(error: BoreasError | OSError) -> int:
    mend = ""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        mend = "; another program listens there: choose another --http or --quic"
    print(f"boreas server: {error}{mend}", file=sys.stderr)
    return EXIT_FAILED


async def _run_until_stopped(settings: Settings) -> int:
    stop = Hint()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.raise_)
    async with running_server(settings) as server:
        lean.end_start()
        print(server.greeting(), flush=True)
        await stop.wait()
    return EXIT_STOPPED
