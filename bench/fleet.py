"""Rows about many agents: `true` on all of them, idle ones, a rolling deployment."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import world
from bench.line import line
from bench.world import World, boreas, command, cpu_percent, moment, pss_megabytes, wall_clock

Line = dict[str, Any]
BASH = ("/bin/bash", "-c")


def true_on_100_agents() -> Iterator[Line]:
    """From the POST to the last result stored, beside starting the same processes in a loop."""
    with boreas(agents=100) as whole:
        cold = _on_each(whole, "true")
        warm = sorted(_on_each(whole, "true") for _ in range(5))[2]
    floor = sorted(_loop_of("true", 100) for _ in range(5))[2]
    bare = _bare_agents("true", 100)
    yield line(
        "true_on_100_agents",
        "<= 4 x the plain loop",
        reached=warm <= 4 * floor,
        seconds=warm,
        first_time_seconds=cold,
        plain_loop_seconds=floor,
        ratio=warm / floor,
        bare_agents_seconds=bare,
        bare_agents_ratio=bare / floor,
    )


def true_on_1000_connections() -> Iterator[Line]:
    """The same for 1,000 connections that answer without starting anything."""
    world.many_files()
    with boreas() as whole:
        light = whole.light_agents(1000)
        try:
            whole.add_targets([f"light{number}" for number in range(1000)])
            _on_each(whole, "true")
            seconds = sorted(_on_each(whole, "true") for _ in range(3))[1]
        finally:
            light.kill()
            light.wait()
    yield line("true_on_1000_connections", "<= 1 s", reached=seconds <= 1, seconds=seconds)


def _on_each(whole: World, text: str) -> float:
    wish = whole.wish([command("each", text, scope="each_target")])
    asked = wall_clock()
    deployment = whole.start(wish)
    whole.until_done(deployment)
    return moment(whole.deployment(deployment)["completedAt"]) - asked


def _loop_of(text: str, count: int) -> float:
    began = time.monotonic()
    running = [subprocess.Popen([*BASH, text]) for _ in range(count)]
    for process in running:
        process.wait()
    return time.monotonic() - began


# What no agent in Python gets below: wake, sync a record, start bash, wait, sync another, answer.
_BARE_AGENT = """
import os, sys
record = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
def note():
    os.write(record, b"x" * 400)
    os.fsync(record)
while os.read(0, 1):
    note()
    os.waitpid(os.posix_spawn("/bin/bash", ["bash", "-c", sys.argv[2]], {}), 0)
    note()
    os.write(1, b".")
"""


def _bare_agents(text: str, count: int) -> float:
    """The same by as many of the barest processes, each over a pipe: no link, no store, no log."""
    with world.directory() as place, ExitStack() as stack:
        agents = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _BARE_AGENT, str(place / str(number)), text],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                )
            )
            for number in range(count)
        ]
        return sorted(_round(agents) for _ in range(6))[3]


def _round(agents: Sequence[subprocess.Popen[bytes]]) -> float:
    began = time.monotonic()
    for agent in agents:
        assert agent.stdin is not None
        agent.stdin.write(b"!")
    for agent in agents:
        assert agent.stdout is not None
        agent.stdout.read(1)
    return time.monotonic() - began


def idle() -> Iterator[Line]:
    """A server and an agent that have nothing to do; starts as users see them."""
    with boreas() as whole:
        whole.servers[0].stop()
        ready = []
        for _ in range(3):
            began = time.monotonic()
            whole.servers[0].start()
            ready.append(time.monotonic() - began)
            if len(ready) < 3:
                whole.servers[0].stop()
        began = time.monotonic()
        whole.add_agents(1)
        connected = time.monotonic() - began
        time.sleep(5)
        server_cpu, agent_cpu = (
            cpu_percent(whole.server, seconds=20),
            cpu_percent(whole.agent(), seconds=20),
        )
        server, agent = pss_megabytes(whole.server), pss_megabytes(whole.agent())
    good = sorted(ready)[1] <= 1.5 and connected <= 0.7 and server <= 90 and agent <= 35
    yield line(
        "idle",
        "server <= 90 MB, ready <= 1.5 s; agent <= 35 MB, connected <= 0.7 s; 0.5 % CPU each",
        reached=good and max(server_cpu, agent_cpu) <= 0.5,
        server_pss_mb=server,
        server_ready_seconds=sorted(ready)[1],
        server_cpu_percent=server_cpu,
        agent_pss_mb=agent,
        agent_connected_seconds=connected,
        agent_cpu_percent=agent_cpu,
    )


def idle_agents_2000() -> Iterator[Line]:
    """What 2,000 idle connections cost the server."""
    world.many_files()
    with boreas() as whole:
        whole.get("/api/release/agents")
        before = pss_megabytes(whole.server)
        light = whole.light_agents(2000)
        try:
            time.sleep(10)
            after = pss_megabytes(whole.server)
            cpu = cpu_percent(whole.server, seconds=30)
        finally:
            light.kill()
            light.wait()
    each = (after - before) / 2000 * 1000
    yield line(
        "idle_agents_2000",
        "<= 60 kB each, <= 5 % of a core",
        reached=each <= 60 and cpu <= 5,
        kilobytes_each=each,
        cpu_percent=cpu,
    )


# Writes a file, replaces a process, which is ready after 0.3 s; the check looks for its mark.
_DEPLOY = (
    'cd {0} && echo "$V" > version; [ ! -e pid ] || kill "$(cat pid)" 2>/dev/null; rm -f up; '
    "( sleep 0.3; touch up; exec sleep 300 ) >/dev/null 2>&1 & echo $! > {0}/pid"
)
_CHECK = "test -e {0}/up"


def rolling_50_targets() -> Iterator[Line]:
    """Batches of 10, beside the same shell work with nothing around it."""
    with boreas(agents=50) as whole:
        place = whole.directory / "work"
        for name in range(50):
            (place / f"n{name + 1}").mkdir(parents=True)
        here = f"{place}/$BOREAS_TARGET"
        health = {"type": "command", "command": _CHECK.format(here), "interval": 0.05}
        spec = {"scripts": {"deploy": _DEPLOY.replace("$V", "$BOREAS_VERSION").format(here)}}
        whole.make_application("service", "script", spec, {**health, "retries": 200})
        for _ in range(2):  # the second one replaces what the first one started
            seconds = _roll(whole)
        floor = _roll_by_hand(place)
        for pid in place.glob("*/pid"):
            subprocess.run(["kill", pid.read_text().strip()], check=False, capture_output=True)
    yield line(
        "rolling_50_targets",
        "<= 1.3 x the same shell work",
        reached=seconds <= 1.3 * floor,
        seconds=seconds,
        shell_seconds=floor,
        ratio=seconds / floor,
    )


def _roll(whole: World) -> float:
    strategy = [{"batchSize": 10, "batchInterval": 0, "canaryRatio": 0}]
    wish = whole.wish([], strategy=strategy, applicationIds=["service"])
    del wish["tasks"]
    asked = wall_clock()
    deployment = whole.start(wish)
    whole.until_done(deployment)
    return moment(whole.deployment(deployment)["completedAt"]) - asked


def _roll_by_hand(place: Path) -> float:
    began = time.monotonic()
    targets = sorted(place.iterdir())
    with ThreadPoolExecutor(10) as pool:
        for start in range(0, len(targets), 10):
            list(pool.map(_deploy_by_hand, targets[start : start + 10]))
    return time.monotonic() - began


def _deploy_by_hand(target: Path) -> None:
    environment = {"V": "v2", "PATH": "/usr/bin:/bin"}
    subprocess.run([*BASH, _DEPLOY.format(target)], check=True, env=environment)
    while subprocess.run([*BASH, _CHECK.format(target)], check=False).returncode:
        time.sleep(0.05)
