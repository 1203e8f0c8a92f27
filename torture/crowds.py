"""Too many at once, or such as do not behave: agents and readers."""

import asyncio
import contextlib
import json
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
from tests.support.installation import FINAL, Installation

from boreas.domain.errors import BoreasError
from boreas.kit.clock import SystemClock
from boreas.transport.frames import Report
from boreas.transport.links import LinkClosed
from boreas.transport.tokens import EnrolToken
from torture.api import Api
from torture.counting import CountingWork
from torture.crowd_client import LightAgent
from torture.site import holds_within, installation
from torture.tally import Dose, Tally

CROWD = 1000
STREAMS = 10_000
BACK_WITHIN_SECONDS = 60.0
HEALTH_WITHIN_SECONDS = 3.0
READERS = 50
EACH_READER_MIB = 2.0
"""Three batches of lines; however long the log is."""
GROWTH_ALLOWED_MIB = 48.0
_MIB = 1024 * 1024


def _token(whole: Installation, uses: int) -> str:
    wish = {"ttl_seconds": 3600, "labels": {}, "uses": uses}
    token: str = whole.post("/api/release/agents/enroll-tokens", wish)["token"]
    return token


def _memory_mib(whole: Installation) -> float:
    process = whole.servers[0].process
    assert process is not None
    return float(psutil.Process(process.pid).memory_info().rss) / _MIB


# --- a thousand that leave and come back ----------------------------------------------------------


def crowd_returns(directory: Path, dose: Dose, *, size: int = CROWD) -> Tally:
    """All agents leave at the same moment and dial again at once; the rest goes on meanwhile."""
    tally = Tally(fault="crowd_returns")
    with installation(directory, agents=2) as whole, _watching_health(whole, tally):
        work = CountingWork(whole, tally, lanes=1)
        with _crowd(_token(whole, size), directory / "crowd", size) as crowd, work.running():
            tally.facts["first_arrival_seconds"] = round(crowd.answer(), 1)
            tally.facts["server_mib"] = round(_memory_mib(whole), 1)
            for turn in dose.turns():
                seconds = crowd.tell("leave" if turn % 2 else "vanish")
                tally.slowest("all_welcome", seconds)
                tally.must(seconds <= BACK_WITHIN_SECONDS, f"all back only after {seconds:.0f} s")
                here = holds_within(30, lambda: _light_online(whole) == size)
                tally.must(here, f"only {_light_online(whole)} of {size} count as online")
                tally.add(tried=1, agents=size)
            tally.facts["server_mib_at_the_end"] = round(_memory_mib(whole), 1)
        work.settle()
    return tally


class _Crowd:
    """The process with all the light agents."""

    def __init__(self, words: IO[str], answers: IO[str]) -> None:
        self._words = words
        self._answers = answers

    def tell(self, word: str) -> float:
        """Say a word; the seconds it took."""
        self._words.write(word + "\n")
        self._words.flush()
        return self.answer()

    def answer(self) -> float:
        """The seconds until all were welcome."""
        return float(json.loads(self._answers.readline() or '{"seconds": 9999}')["seconds"])


@contextmanager
def _crowd(token: str, directory: Path, size: int) -> Iterator[_Crowd]:
    directory.mkdir()
    argv = [sys.executable, "-m", "torture.crowd_client", token, str(directory), str(size)]
    with (directory / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield _Crowd(process.stdin, process.stdout)
    finally:
        process.kill()
        process.wait()


def _light_online(whole: Installation) -> int:
    api = Api([whole.url], whole.token)
    online: int = 0
    cursor = ""
    while True:
        page = api.get(f"/api/release/agents?limit=500{cursor}")
        online += sum(1 for it in page["items"] if it["online"] and "light" in it["name"])
        if page["next_cursor"] is None:
            return online
        cursor = f"&cursor={page['next_cursor']}"


@contextmanager
def _watching_health(whole: Installation, tally: Tally) -> Iterator[None]:
    """Meanwhile the server answers."""
    over = threading.Event()

    def look() -> None:
        api = Api([whole.url], whole.token)
        while not over.wait(0.1):
            asked = time.monotonic()
            api.get("/healthz")
            tally.slowest_answer(time.monotonic() - asked, at_most=HEALTH_WITHIN_SECONDS)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# --- agents that lie ------------------------------------------------------------------------------


def hostile_agents(directory: Path, dose: Dose, *, streams: int = STREAMS) -> Tally:
    """An enrolled agent breaks the rules in every way; the others notice nothing."""
    tally = Tally(fault="hostile_agents")
    with installation(directory, agents=2) as whole, _watching_health(whole, tally):
        work = CountingWork(whole, tally, lanes=2)
        before = _memory_mib(whole)
        with work.running():
            for turn in dose.turns():
                token = EnrolToken.parse(_token(whole, 1))
                villain = LightAgent(f"villain{turn}", directory / f"villain{turn}", token)
                lanes = [lane.made for lane in work.lanes if lane.made]
                stranger = f"{lanes[0][-1][0]}.1#1" if lanes else "dep_0.1#1"
                asyncio.run(_misbehave(villain, stranger, streams, tally))
                tally.add(tried=1)
        work.settle()
        tally.facts["server_grew_mib"] = round(_memory_mib(whole) - before, 1)
        tally.must(_memory_mib(whole) - before < GROWTH_ALLOWED_MIB, "the server's memory grew")
    return tally


async def _misbehave(villain: LightAgent, stranger: str, streams: int, tally: Tally) -> None:
    """Each crime on a link of its own, since the server may well close it."""
    await villain.come()
    _tell_of_anothers_task(villain, stranger)
    await _must_survive(villain, tally)
    for number in (streams, 200):
        await villain.come()
        await _open_streams(villain, number, tally)
    for crime in (b"\x40\x00\x00\x00" + bytes(1024), secrets.token_bytes(4096)):
        await villain.come()
        assert villain.session is not None
        villain.session.link.send(0, crime)
        tally.must(await _is_closed(villain), f"a frame of {crime[:4].hex()} was borne")


def _tell_of_anothers_task(villain: LightAgent, stranger: str) -> None:
    """`finished` for what another agent does, many times, and for what never was."""
    assert villain.session is not None
    for number in range(200):
        for order_id in (stranger, f"{stranger}9", "nonsense"):
            villain.session.control.send(
                Report(
                    order_id=order_id,
                    sequence=number + 1,
                    kind="finished",
                    at=0.0,
                    outcome="failed",
                    exit_code=66,
                    log_bytes=0,
                )
            )


async def _must_survive(villain: LightAgent, tally: Tally) -> None:
    """Lies have no effect, and the link may stand or fall."""
    assert villain.session is not None
    await SystemClock().sleep(0.5)
    with contextlib.suppress(LinkClosed):
        villain.session.close()
    tally.add(lies=600)


async def _open_streams(villain: LightAgent, number: int, tally: Tally) -> None:
    session = villain.session
    assert session is not None
    opened = 0
    for turn in range(number):
        try:
            session.open_log(f"dep_none.{turn}#1", start_offset=0)
            opened += 1
        except BoreasError:
            # The library holds us back: that is the server's credit at work.
            break
        if turn % 500 == 0:
            await SystemClock().sleep(0)
    await SystemClock().sleep(0.3)
    session.close()
    tally.add(streams_asked=number, streams_opened=opened)


async def _is_closed(villain: LightAgent) -> bool:
    assert villain.session is not None
    try:
        async with asyncio.timeout(10):
            await villain.session.wait_closed()
    except TimeoutError:
        return False
    return True


# --- readers that never read ----------------------------------------------------------------------


def silent_readers(directory: Path, dose: Dose, *, lines: int = 20_000) -> Tally:
    """Fifty readers of a live log never read; memory stays flat and a good reader gets it all."""
    tally = Tally(fault="silent_readers")
    with installation(directory, agents=2) as whole, _watching_health(whole, tally):
        print_much = f'for i in $(seq 1 {lines}); do echo "line $i {"x" * 200}"; done'
        whole.make_script("web", print_much)
        before = _memory_mib(whole)
        for turn in dose.turns():
            made = whole.deploy(f"v{turn}", strategy=[{"batchSize": 0}])
            path = f"/api/v1/deployments/{made}/tasks/web-deploy/logs/stream"
            # A stream that is opened before the first line may end before it.
            holds_within(60, partial(_has_lines, whole, made))
            with contextlib.ExitStack() as stack:
                for _ in range(READERS):
                    stack.enter_context(_silent_reader(whole, path))
                got = _read_all(whole, path)
                tally.must(got == 2 * lines, f"the good reader got {got} of {2 * lines} lines")
                _until_final(whole, made)
                grown = _memory_mib(whole) - before
                tally.facts["server_grew_mib"] = round(grown, 1)
                allowed = GROWTH_ALLOWED_MIB + READERS * EACH_READER_MIB
                tally.must(grown < allowed, f"the server grew by {grown:.0f} MiB")
            tally.add(tried=READERS)
    return tally


@contextmanager
def _silent_reader(whole: Installation, path: str) -> Iterator[socket.socket]:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", whole.servers[0].http))
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {whole.token}\r\n\r\n"
        reader.sendall(head.encode())
        yield reader


def _read_all(whole: Installation, path: str) -> int:
    got = 0
    headers = {"Authorization": f"Bearer {whole.token}"}
    with httpx.stream("GET", whole.url + path, headers=headers, timeout=60) as stream:
        for line in stream.iter_lines():
            if line == "event: end":
                return got
            if line.startswith("data: "):
                read: Any = json.loads(line[6:])
                got += sum(it["message"].startswith("line ") for it in read.get("logs", ()))
    return got


def _has_lines(whole: Installation, made: str) -> bool:
    return bool(whole.messages(made, "web-deploy"))


def _until_final(whole: Installation, made: str) -> None:
    assert holds_within(60, lambda: whole.deployment(made)["status"] in FINAL)
