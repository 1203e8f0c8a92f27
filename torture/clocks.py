"""An agent whose clock is a day off: the server's time rules. A server whose clock jumps.

The wrong clock comes from a `sitecustomize` that is put before everything else in the process.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.installation import Installation

from torture.api import Api
from torture.counting import CountingWork
from torture.site import holds_within, installation
from torture.tally import Dose, Tally

AGENTS = 3
DAY_SECONDS = 24 * 3600
JUMP_SECONDS = 3600

_WRONG_CLOCK = """
import datetime, time

SHIFT = {seconds}
_real_time, _real_time_ns, _Real = time.time, time.time_ns, datetime.datetime


class datetime_(_Real):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(_real_time() + SHIFT, tz)

    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(_real_time() + SHIFT)


time.time = lambda: _real_time() + SHIFT
time.time_ns = lambda: _real_time_ns() + SHIFT * 1_000_000_000
datetime.datetime = datetime_
"""

_JUMPY_CLOCK = """
import mmap
from datetime import timedelta

from boreas.kit.clock import SystemClock

with open({file!r}, "rb") as _file:
    _shift = mmap.mmap(_file.fileno(), 16, prot=mmap.PROT_READ)
_real_now = SystemClock.now
SystemClock.now = lambda self: _real_now(self) + timedelta(seconds=int(_shift[:16]))
"""


def wrong_clock(directory: Path, dose: Dose) -> Tally:
    """A day ahead it works as any other; a day behind it says what is wrong, or works."""
    tally = Tally(fault="wrong_clock")
    with installation(directory, agents=1) as whole:
        for turn in dose.turns():
            for days in (1, -1):
                _try(whole, directory / f"clock{turn}.{days}", days, tally)
                tally.add(tried=1)
    return tally


def _try(whole: Installation, directory: Path, days: int, tally: Tally) -> None:
    name = directory.name
    with _agent_with_wrong_clock(whole, directory, days) as process:
        came = holds_within(20, lambda: name in whole.online() or process.poll() is not None)
        said = (directory / "stderr").read_text()
        if name not in whole.online():
            is_told = "clock" in said or "not valid" in said or "expired" in said
            tally.must(came or said, f"{name}: neither came nor said why")
            tally.must(is_told, f"{name} does not say that the clock is wrong: {said[-300:]}")
            tally.add(refused_with_reason=1)
            return
        whole.make_project(name, targets=[name])
        whole.make_script("web", 'echo "hello"')
        shown = whole.until_status(whole.deploy("v1"), "success")
        _times_must_be_ours(shown, tally)
        tally.add(worked=1)


def _times_must_be_ours(shown: Any, tally: Tally) -> None:
    now = time.time()  # noqa: TID251 - this machine's clock is the right one
    for execution in (it for task in shown["tasks"] for it in task["executions"]):
        for field in ("startedAt", "completedAt"):
            moment = datetime.fromisoformat(execution[field]).timestamp()
            tally.must(abs(now - moment) < 120, f"{field} is {execution[field]}")


@contextmanager
def _agent_with_wrong_clock(
    whole: Installation, directory: Path, days: int
) -> Iterator[subprocess.Popen[bytes]]:
    directory.mkdir()
    (directory / "sitecustomize.py").write_text(_WRONG_CLOCK.format(seconds=days * DAY_SECONDS))
    wish = {"ttl_seconds": 600, "labels": {}, "uses": 1}
    token = whole.post("/api/release/agents/enroll-tokens", wish)["token"]
    argv = [
        *("env", f"PYTHONPATH={directory}:{':'.join(path for path in sys.path if path)}"),
        *(sys.executable, "-m", "boreas", "agent", "--token", token),
        *("--name", directory.name, "--data-dir", str(directory / "agent")),
    ]
    with (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(argv, stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


# --- the server's ---------------------------------------------------------------------------------


def jump_server_clock(directory: Path, dose: Dose) -> Tally:
    """An hour ahead, back, an hour behind, and back again, while deployments run."""
    tally, dice = Tally(fault="jump_server_clock"), dose.dice()
    whole = Installation(directory)
    clock = _JumpyClock(directory / "clock")
    try:
        whole.add_server(before=clock.before)
        whole.add_agents(AGENTS)
        whole.make_project()
        work = CountingWork(whole, tally)
        api = Api([whole.url], whole.token)
        with work.running():
            for _ in dose.turns():
                for seconds in (JUMP_SECONDS, 0, -JUMP_SECONDS, 0):
                    time.sleep(dice.uniform(1, 4))
                    clock.jump_to(seconds)
                    began = time.monotonic()
                    api.create("/api/release/projects", {"name": f"p{began:.6f}"})
                    tally.slowest("writing", time.monotonic() - began)
                    tally.add(tried=1)
                _must_go_on(work, tally)
        work.settle()
    finally:
        whole.stop()
    return tally


def _must_go_on(work: CountingWork, tally: Tally) -> None:
    """Every lane ends a deployment after the last jump."""
    before = {lane.name: len(lane.made) for lane in work.lanes}
    goes_on = holds_within(
        90, lambda: all(len(lane.made) > before[lane.name] for lane in work.lanes)
    )
    if not goes_on:
        tally.add(stuck=1, problem="work did not go on after the jumps")


class _JumpyClock:
    """What a server that is started with it takes for the time."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._file = directory / "shift"
        self._file.write_text(f"{0:16d}")
        (directory / "sitecustomize.py").write_text(_JUMPY_CLOCK.format(file=str(self._file)))
        path = ":".join([str(directory), *filter(None, sys.path)])
        self.before = ("env", f"PYTHONPATH={path}")

    def jump_to(self, seconds: int) -> None:
        """So much beside the true time from now on."""
        with self._file.open("r+b") as file:
            file.write(f"{seconds:16d}".encode())
