"""Short commands that only ask: run in the agent's own process tree, gone when they were answered.

Used by the workbench of an order and by the lookout, which has none.
"""

import asyncio
import contextlib
import os
import pwd
import signal
from collections.abc import Mapping
from pathlib import Path

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUTPUT_BYTES = 64 * 1024


def clean_environment() -> dict[str, str]:
    """What every command on this node sees; nothing of the agent's own: its token must not leak."""
    me = pwd.getpwuid(os.geteuid())
    return {
        "PATH": _SYSTEM_PATH,
        "HOME": me.pw_dir,
        "USER": me.pw_name,
        "LOGNAME": me.pw_name,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
    }


async def asked(
    argv: tuple[str, ...], *, at_most: float, env: Mapping[str, str], cwd: Path
) -> tuple[int, str]:
    """Exit code and the end of the output; 124 when the time was up, as `timeout` says it.

    Nothing of the command is left when this returns or is cancelled.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(at_most):
            await _read_last(process.stdout, output)
            code = await process.wait()
    except TimeoutError:
        code = 124
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return code if code >= 0 else 128 - code, output.decode(errors="replace")


async def _read_last(stream: asyncio.StreamReader, output: bytearray) -> None:
    while part := await stream.read(16 * 1024):
        output += part
        del output[:-_OUTPUT_BYTES]
