"""Runs one git command of the server for a limited time, and stops it when its mirror grows."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from boreas.domain.errors import Unavailable
from boreas.kit.clock import Clock

_LOOKED_EVERY: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a command may take, and how much it may say or (a watched one) store."""

    seconds: float
    most_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command ended."""

    code: int
    output: bytes
    complaint: bytes
    stopped: str = ""
    """Why it was ended by us."""

    def refuse_failure(self, told: str) -> None:
        """`Unavailable` with git's own words, unless it went well."""
        if self.code == 0:
            return
        lines = [it for it in self.complaint.decode(errors="replace").splitlines() if it.strip()]
        said = next((it for it in lines if it.startswith(("fatal:", "error:", "ERROR"))), "")
        raise Unavailable(f"{told}: {self.stopped or said[:300] or 'git failed'}")


async def run_git(
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    limits: Limits,
    clock: Clock,
    *,
    watched: Path | None = None,
) -> Said:
    """To its end, or to its limit; nothing of it is left running."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
        )
    except FileNotFoundError:
        raise Unavailable("the server has no git") from None
    stopped = ""
    reading = asyncio.gather(
        _read(process.stdout, limits.most_bytes), _read(process.stderr, 64 * 1024)
    )
    try:
        stopped = await _watch(reading, limits, clock, watched)
    finally:
        _kill(process)
        await process.wait()
    output, complaint = await reading
    code = process.returncode if process.returncode is not None else 1
    return Said(code=code or bool(stopped), output=output, complaint=complaint, stopped=stopped)


async def _watch(
    reading: "asyncio.Future[tuple[bytes, bytes]]",
    limits: Limits,
    clock: Clock,
    watched: Path | None,
) -> str:
    """Until it closes its outputs; why it must end before that."""
    began = clock.monotonic()
    while not reading.done():
        await asyncio.wait([reading], timeout=_LOOKED_EVERY)
        if clock.monotonic() - began > limits.seconds:
            return f"it took longer than {limits.seconds:g} s"
        if watched is not None and await asyncio.to_thread(size_of, watched) > limits.most_bytes:
            return f"it is larger than {limits.most_bytes >> 20} MiB"
    return ""


async def _read(stream: asyncio.StreamReader | None, at_most: int) -> bytes:
    """All of it, but keep only the first part."""
    assert stream is not None
    kept = bytearray()
    while block := await stream.read(65_536):
        kept += block[: max(0, at_most - len(kept))]
    return bytes(kept)


def _kill(process: Process) -> None:
    """The whole session: ssh and git-remote-https are children of git."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def size_of(directory: Path) -> int:
    """Bytes of all files below; files that go meanwhile count nothing."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:
                continue
    return total
