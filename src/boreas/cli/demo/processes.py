"""The demo's processes: started in sessions of their own, stopped by pid, none left behind."""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import psutil

from boreas.cli.demo.world import World
from boreas.cli.failures import Failure

GRACE_SECONDS: Final = 5.0


class Processes:
    """Everything the demo started itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, *arguments: str) -> None:
        """Run `python -m boreas <arguments>`, its words in a log file of the demo."""
        argv = (*_tied_to_us(), sys.executable, "-m", "boreas", *arguments)
        with self._world.log(name).open("ab") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._world.directory,
                start_new_session=True,
            )
        self._started.append((name, process))

    def check(self) -> None:
        """Raise `Failure`, with the last words of it, if one has ended by itself."""
        for name, process in self._started:
            if process.poll() is not None:
                said = _last_line(self._world.log(name))
                raise Failure(f"{name} ended with exit code {process.returncode}: {said}")

    def stop(self) -> None:
        """End all of them, agents before the server, and whatever else works for this demo."""
        for _, process in reversed(self._started):
            process.terminate()
        for _, process in self._started:
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._started.clear()
        end_all(deployed_by(self._world))


def _tied_to_us() -> tuple[str, ...]:
    """Where util-linux has it: the kernel stops our children even if we are killed ourselves."""
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "TERM", "--") if setpriv else ()


def deployed_by(world: World) -> Iterator[psutil.Process]:
    """What agents left running: programs of this Python with a path below the demo's directory."""
    mark = f"{world.directory}/"
    for process in psutil.process_iter():
        try:
            argv = process.cmdline()
        except psutil.Error:
            continue
        if argv[:1] == [sys.executable] and any(word.startswith(mark) for word in argv[1:]):
            yield process


def end_all(processes: Iterable[psutil.Process]) -> None:
    """TERM, then KILL what has not ended in time."""
    found = list(processes)
    for process in found:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(found, timeout=GRACE_SECONDS)
    for process in alive:
        _signal(process, kill=True)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill() if kill else process.terminate()


def _last_line(log: Path) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    # A group of exceptions ends in a frame drawn with signs: its last words stand above.
    words = [line.strip(" |") for line in text.splitlines() if any(map(str.isalpha, line))]
    return words[-1] if words else "it said nothing"
