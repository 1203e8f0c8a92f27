"""What is known of one command: three files in its directory, and how to read them.

`claim`  made once by linking a locked file into place: the first line names the keeper, the second
         the command, written and synced *before* the command may start. The keeper holds the lock
         for as long as it lives.
`exit`   appears by rename when the command has ended; its room was taken beforehand, so that a full
         disk cannot hide an exit code.
`spec`   is never written: arguments and environment travel over the launcher's socket.

Imports little: it is loaded into every keeper.
"""

import contextlib
import fcntl
import json
import os
from typing import Any, Final, NamedTuple

CLAIM: Final = "claim"
EXIT: Final = "exit"
BOOT_ID_PATH: Final = "/proc/sys/kernel/random/boot_id"


class NeverStarted(NamedTuple):
    """The command has not run and is not running."""


class Starting(NamedTuple):
    """A keeper is at it, but the command has not been let go yet."""


class Running(NamedTuple):
    """The command runs under a living keeper."""

    pid: int
    started: int
    keeper: int
    keeper_started: int


class Exited(NamedTuple):
    """The command has ended; 128 + n when signal n ended it, as shells say it."""

    code: int
    reason: str


class Unknowable(NamedTuple):
    """It was started, and its keeper is gone without having seen its end."""

    pid: int
    started: int
    same_boot: bool


StepFate = NeverStarted | Starting | Running | Exited | Unknowable


def boot_id() -> str:
    """Changes with every boot of the machine."""
    with open(BOOT_ID_PATH, encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int | None:
    """When a process started, in ticks since boot: with the pid it names a process for ever."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else None


def stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat after the name (state, parent, group, session, ...)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat[stat.rindex(b")") + 2 :].split()


def is_alive(pid: int, started: int) -> bool:
    """Is it this very process, and not yet a zombie?"""
    fields = stat_fields(pid)
    return fields is not None and int(fields[19]) == started and fields[0] not in (b"Z", b"X")


def fate(step_dir: str) -> StepFate:
    """What has become of the command, as far as it can be known now."""
    ended = _read_exit(step_dir)
    if ended is not None:
        return ended
    claim = _read_claim(step_dir)
    if claim is None:
        return NeverStarted()
    is_kept, lines = claim
    if not is_kept:
        # It may have ended between the two looks.
        return _read_exit(step_dir) or _fate_without_keeper(lines)
    if len(lines) < 2:
        return Starting()
    return Running(
        lines[1]["pid"], lines[1]["started"], lines[0]["keeper"], lines[0]["keeper_started"]
    )


def forget_claim(step_dir: str) -> None:
    """Let a command that was claimed but never let go be claimed again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(step_dir, CLAIM))


def bar(step_dir: str) -> bool:
    """Keep a command from ever starting; False when somebody has claimed it already."""
    try:
        claim = os.open(os.path.join(step_dir, CLAIM), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    os.close(claim)
    return True


def sync_dir(path: str) -> None:
    """Make the names in a directory durable."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _fate_without_keeper(lines: list[dict[str, Any]]) -> StepFate:
    if len(lines) < 2:
        # The command waits for a word of its keeper before it begins; without one it never began.
        return NeverStarted()
    same_boot = lines[0]["boot_id"] == boot_id()
    return Unknowable(lines[1]["pid"], lines[1]["started"], same_boot)


def _read_exit(step_dir: str) -> Exited | None:
    try:
        with open(os.path.join(step_dir, EXIT), "rb") as file:
            record = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return Exited(record["code"], record["reason"])


def _read_claim(step_dir: str) -> tuple[bool, list[dict[str, Any]]] | None:
    try:
        claim = os.open(os.path.join(step_dir, CLAIM), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        is_kept = _is_locked(claim)
        return is_kept, _whole_lines(os.pread(claim, 4096, 0))
    finally:
        os.close(claim)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _whole_lines(text: bytes) -> list[dict[str, Any]]:
    lines = []
    for line in text.split(b"\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
