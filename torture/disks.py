"""A disk that is full: a small file system of its own under the data directory, filled up.

Needs the right to mount; where that is missing the fault says so and counts nothing.
"""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from tests.support.installation import AgentProcess, Installation

from torture.api import Api
from torture.counting import CountingWork
from torture.tally import Dose, Tally

AGENTS = 3
_PIECE = 64 * 1024


def may_mount() -> bool:
    """Is this root, with `mount` at hand?"""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small_disk(path: Path, *, mib: int) -> Iterator[Path]:
    """A file system of so many MiB at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    size = f"size={mib}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=False)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is left while the block lasts."""
    ballast = disk / "ballast"
    try:
        _fill(ballast)
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        for piece in (_PIECE, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(piece)) == piece:
                    pass


# --- the server's ---------------------------------------------------------------------------------


def fill_server_disk(directory: Path, dose: Dose) -> Tally:
    """Wishes are refused with 507 while it is full; then everything goes on."""
    tally, dice = Tally(fault="fill_server_disk"), dose.dice()
    if not may_mount():
        tally.facts["skipped"] = "needs root and mount"
        return tally
    whole = Installation(directory)
    try:
        with small_disk(directory / "server1", mib=48) as disk:
            whole.add_server()
            whole.add_agents(AGENTS)
            whole.make_project()
            work = CountingWork(whole, tally)
            with work.running():
                for _ in dose.turns():
                    time.sleep(dice.uniform(1, 3))
                    _fill_and_ask(whole, disk, dice.uniform(4, 10), tally)
            work.settle()
            whole.servers[0].stop()
            _must_be_sound(disk / "boreas.db", tally)
    finally:
        whole.stop()
    return tally


def _fill_and_ask(whole: Installation, disk: Path, seconds: float, tally: Tally) -> None:
    api = Api([whole.url], whole.token)
    with filled(disk):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _fill(disk / "ballast")
            _ask(api, tally)
            time.sleep(0.3)
    began = time.monotonic()
    api.create("/api/release/projects", {"name": f"again{began:.6f}"})
    tally.slowest("writing", time.monotonic() - began)
    tally.add(tried=1)


def _ask(api: Api, tally: Tally) -> None:
    try:
        answer = api.once("POST", "/api/release/projects", {"name": f"p{time.monotonic():.6f}"})
        reading = api.once("GET", "/api/release/projects?limit=1")
    except httpx.TransportError as error:
        tally.add(problem=f"no answer with a full disk: {error!r}")
        return
    tally.must(reading.status_code in (200, 503, 507), f"reading: {reading.status_code}")
    if answer.status_code == 507:
        tally.add(answers_507=1)
        tally.facts["reason"] = str(answer.json()["detail"])
    else:
        good = answer.status_code in (201, 503)
        tally.must(good, f"with a full disk: {answer.status_code} {answer.text}")


def _must_be_sound(database: Path, tally: Tally) -> None:
    with closing(sqlite3.connect(database)) as opened:
        said = opened.execute("PRAGMA integrity_check").fetchone()[0]
    tally.must(said == "ok", f"the database is damaged: {said}")


# --- an agent's -----------------------------------------------------------------------------------


def fill_agent_disk(directory: Path, dose: Dose) -> Tally:
    """A deployment waits or fails with the reason; the next one, with room, is perfect."""
    tally, dice = Tally(fault="fill_agent_disk"), dose.dice()
    if not may_mount():
        tally.facts["skipped"] = "needs root and mount"
        return tally
    whole = Installation(directory)
    try:
        with small_disk(directory / "n1", mib=16) as disk:
            whole.add_server()
            whole.add_agents(AGENTS)
            whole.make_project()
            work = _OneByOne(whole, tally)
            work.must_succeed()
            for _ in dose.turns():
                work.deploy()
                time.sleep(dice.uniform(0.0, 1.5))
                with filled(disk):
                    end = time.monotonic() + dice.uniform(3, 8)
                    while time.monotonic() < end:
                        _fill(disk / "ballast")
                        time.sleep(0.2)
                began = time.monotonic()
                work.must_end_with_a_reason()
                tally.slowest("end", time.monotonic() - began)
                work.must_succeed()
                tally.add(tried=1)
            _must_live(whole.agents, tally)
    finally:
        whole.stop()
    return tally


class _OneByOne(CountingWork):
    """One lane, driven by hand."""

    def __init__(self, whole: Installation, tally: Tally) -> None:
        super().__init__(whole, tally, lanes=1)
        self._only = self.lanes[0]

    def deploy(self) -> None:
        """Start one."""
        self.begin(self._only, fails=False)

    def must_end_with_a_reason(self) -> None:
        """Well, or saying that there was no room; nothing ran twice either way."""
        shown = self._ended()
        self._only.made.pop()
        for execution in (it for task in shown["tasks"] for it in task["executions"]):
            ran = self._only.runs()[execution["id"]]
            if ran > 1:
                self.tally.add(doubled=1, problem=f"{execution['id']} ran {ran} times")
        if shown["status"] == "success":
            self.tally.add(ended_well=1)
            return
        reasons = str(shown)
        self.tally.add(ended_with_reason=1)
        words = shown["errorMessage"]
        self.tally.facts["reason"] = words
        self.tally.must("space" in reasons, f"ended {shown['status']} for another reason: {words}")

    def must_succeed(self) -> None:
        """There is room: a deployment is as it should be, to the last line."""
        self.deploy()
        self._ended()
        self.settle()
        self._only.made.pop()

    def _ended(self) -> Any:
        made, _ = self._only.made[-1]
        self.until_final(made)
        return self.api.get(f"/api/v1/deployments/{made}")


def _must_live(agents: list[AgentProcess], tally: Tally) -> None:
    for agent in agents:
        tally.must(agent.process and agent.process.poll() is None, f"agent {agent.name} died")
