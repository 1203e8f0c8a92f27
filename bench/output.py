"""What commands print: how fast it is stored, how soon it is seen, and what memory it takes."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil

from bench.line import line, percentile
from bench.world import World, boreas, command, pss_megabytes, wall_clock

Line = dict[str, Any]
LINES = 1_000_000
TEXT = "x" * 119
SLOW_LINES = 200


def log_lines() -> Iterator[Line]:
    """One command that prints a million lines of 120 bytes, until the last one can be read."""
    with boreas(agents=1) as whole:
        started = whole.directory / "started"
        _print_a_million(whole, started)
        memory = _Memory([whole.server, whole.agent()])
        with memory:
            seconds = min(_print_a_million(whole, started) for _ in range(2))
    began = time.monotonic()
    subprocess.run(["/bin/bash", "-c", f"{_printing()} | cat > /dev/null"], check=True)
    floor = time.monotonic() - began
    yield line(
        "log_lines",
        ">= 400,000 lines/s, memory flat",
        reached=LINES / seconds >= 400_000 and max(memory.growth) < 40,
        lines_per_second=LINES / seconds,
        seconds=seconds,
        pipe_alone_seconds=floor,
        server_grew_mb=memory.growth[0],
        agent_grew_mb=memory.growth[1],
    )


def _printing() -> str:
    return f"yes {TEXT} | head -n {LINES}"


def _print_a_million(whole: World, started: Any) -> float:
    text = f"echo $EPOCHREALTIME > {started}; {_printing()}"
    deployment = whole.start(whole.wish([command("print", text)]))
    path = f"/api/v1/deployments/{deployment}/tasks/print/logs?tail=1"
    while True:
        shown = whole.get(path)["logs"]
        if shown and shown[-1]["seq"] >= LINES:
            break
        time.sleep(0.02)
    now = wall_clock()
    whole.until_done(deployment)
    return now - float(started.read_text())


class _Memory:
    """The most that each of some processes grew while the block ran."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._processes = processes
        self._before = [pss_megabytes(it) for it in processes]
        self.growth = [0.0 for _ in processes]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            for index, process in enumerate(self._processes):
                grown = pss_megabytes(process) - self._before[index]
                self.growth[index] = max(self.growth[index], grown)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def log_latency() -> Iterator[Line]:
    """A slow printer says when it prints; a reader of the live stream looks at its clock."""
    with boreas(agents=1) as whole:
        text = f"for i in $(seq {SLOW_LINES}); do echo $EPOCHREALTIME; sleep 0.05; done"
        deployment = whole.start(whole.wish([command("slow", text)]))
        late = _lateness(whole, deployment)
    early, last = percentile(late, 95) * 1000, percentile(late, 99) * 1000
    yield line(
        "log_latency",
        "p95 <= 60 ms, p99 <= 150 ms",
        reached=early <= 60 and last <= 150,
        p50_ms=percentile(late, 50) * 1000,
        p95_ms=early,
        p99_ms=last,
        lines=len(late),
    )


def _lateness(whole: World, deployment: str) -> list[float]:
    url = f"{whole.url}/api/v1/deployments/{deployment}/tasks/slow/logs/stream"
    headers = {"Authorization": f"Bearer {whole.token}"}
    late: list[float] = []
    with httpx.stream("GET", url, headers=headers, timeout=60) as answer:
        for text in answer.iter_lines():
            now = wall_clock()
            if text.startswith("event: end"):
                break
            if text.startswith("data: "):
                lines = json.loads(text.removeprefix("data: ")).get("logs", ())
                late += [now - float(it["message"]) for it in lines if it["stream"] == "stdout"]
            if len(late) >= SLOW_LINES:
                break
    return late[5:]
