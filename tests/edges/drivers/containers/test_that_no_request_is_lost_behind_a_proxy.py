"""A real HAProxy in front of real containers, under load that never pauses."""

import asyncio
import functools
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from boreas.domain.orders import DriverKind, HealthCheck, ProbeKind, ReleaseBody
from boreas.domain.proxies import HaproxySpec
from boreas.drivers.proxy import Haproxy, ProxyTrouble
from boreas.kit.tasks import TaskGroup
from boreas.testing.workbench import KilledHere, a_release


@dataclass(frozen=True)
class Running:
    """One HAProxy: where people come in, and how Boreas talks to it."""

    port: int
    document: dict[str, Any]
    home: Path


@pytest.fixture
def haproxy(port: int) -> Iterator[Running]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    home = Path(tempfile.mkdtemp(prefix="bh", dir="/tmp"))
    (home / "haproxy.cfg").write_text(f"""
global
    stats socket {home}/admin.sock mode 600 level admin
    server-state-file {home}/state
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    load-server-state-from-file global
frontend web
    bind 127.0.0.1:{port}
    default_backend shop
backend shop
    server blue 127.0.0.1:1 disabled
    server green 127.0.0.1:1 disabled
""")
    proxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(home / "haproxy.cfg")])
    document = {
        "type": "haproxy",
        "socket": f"{home}/admin.sock",
        "backend": "shop",
        "servers": ["blue", "green"],
        "drain_seconds": 10,
        "state_file": f"{home}/state",
    }
    yield Running(port=port, document=document, home=home)
    proxy.terminate()
    proxy.wait(10)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def admin(haproxy: Running, clock) -> Haproxy:
    """Boreas' side of the proxy, once it answers."""
    said: list[str] = []

    async def say(line: str) -> None:
        said.append(line)

    spec = {name: value for name, value in haproxy.document.items() if name != "type"}
    found = Haproxy(HaproxySpec(**{**spec, "servers": tuple(spec["servers"])}), clock, say)
    while True:
        try:
            await found.slots()
        except ProxyTrouble:
            await clock.sleep(0.05)
        else:
            return found


def a_version(version: str, haproxy: Running, **spec: Any) -> ReleaseBody:
    url = "http://127.0.0.1:80/"
    return a_release(
        version,
        driver=DriverKind.CONTAINER,
        spec={
            "image": "boreas-demo:{version}",
            "name": "shop",
            "ports": [f"{haproxy.port}:80"],
            "proxy": haproxy.document,
            **spec,
        },
        health_check=HealthCheck(type=ProbeKind.HTTP, url=url, interval=0.1, retries=30),
    )


class Load:
    """Callers that ask again and again and count the answers.

    Half of them open a connection per request, half keep one open for as long as they may.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: Counter[str] = Counter()

    async def keep_asking(self, *, over_one_connection: bool) -> None:
        while True:
            try:
                await self._one_connection(keep=over_one_connection)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.answers[repr(error)] += 1

    async def _one_connection(self, *, keep: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            while True:
                how = "keep-alive" if keep else "close"
                writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {how}\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length:")[2].split()[0])
                page = (await reader.readexactly(length)).decode()
                status = head.partition("\r\n")[0]
                self.answers[page if " 200 " in status else status] += 1
                if not keep or "connection: close" in head:
                    return
        finally:
            writer.close()


@asynccontextmanager
async def load_on(port: int, *, callers: int = 8) -> AsyncIterator[Load]:
    load = Load(port)

    async with TaskGroup("load") as tasks:
        for number in range(callers):
            caller = functools.partial(load.keep_asking, over_one_connection=number % 2 == 0)
            tasks.start(caller, name=f"caller {number}")
        yield load


async def answered(load: Load, page: str, clock) -> None:
    """Wait until this page came in some more."""
    goal = load.answers[page] + 50
    while load.answers[page] < goal:
        await clock.sleep(0.02)


async def test_no_request_fails_while_versions_are_switched_under_load(
    driver, scope, docker, haproxy, admin, clock
):
    v1, v2 = a_version("v1", haproxy), a_version("v2", haproxy)
    first = await driver.activate(scope.bench(v1))
    assert first.ok, first.reason

    async with load_on(haproxy.port) as load:
        await answered(load, "page v1", clock)
        forward = await driver.activate(scope.bench(v2, previous=v1))
        await answered(load, "page v2", clock)
        back = await driver.revert(scope.bench(v1, previous=v1))
        await answered(load, "page v1", clock)

    assert forward.ok, forward.reason
    assert back.ok, back.reason
    assert set(load.answers) == {"page v1", "page v2"}, load.answers
    assert load.answers.total() > 200
    assert docker.names(running=True) == {"shop"}


@pytest.mark.parametrize("words", ["HAProxy sends new requests", "Stopped"])
async def test_no_request_fails_although_the_agent_is_killed_in_mid_switch(
    driver, scope, docker, haproxy, admin, clock, words
):
    v1, v2 = a_version("v1", haproxy), a_version("v2", haproxy)
    await driver.activate(scope.bench(v1))

    async with load_on(haproxy.port) as load:
        await answered(load, "page v1", clock)
        bench = scope.bench(v2, previous=v1)
        bench.die_saying = words
        with pytest.raises(KilledHere):
            await driver.activate(bench)
        await answered(load, "page v2", clock)
        bench.die_saying = None
        assert (await driver.activate(bench)).ok
        await answered(load, "page v2", clock)

    assert set(load.answers) == {"page v1", "page v2"}, load.answers
    assert docker.names(running=True) == {"shop"}


async def test_an_unhealthy_version_never_sees_a_request(
    driver, scope, docker, haproxy, admin, clock
):
    v1 = a_version("v1", haproxy)
    await driver.activate(scope.bench(v1))

    async with load_on(haproxy.port) as load:
        await answered(load, "page v1", clock)
        outcome = await driver.activate(scope.bench(a_version("broken", haproxy), previous=v1))
        await answered(load, "page v1", clock)

    assert not outcome.ok
    assert set(load.answers) == {"page v1"}, load.answers


async def test_the_state_is_kept_for_a_restarted_proxy(driver, scope, docker, haproxy, admin):
    await driver.activate(scope.bench(a_version("v1", haproxy)))

    slots = await admin.slots()
    live = next(one for one in slots if one.takes_requests)

    assert f" {live.address[1]} " in (haproxy.home / "state").read_text()
    assert sum(one.takes_requests for one in slots) == 1


async def test_a_proxy_that_is_not_there_is_the_reason(driver, scope, docker, haproxy):
    proxy = {**haproxy.document, "socket": "/nowhere/admin.sock"}
    outcome = await driver.activate(scope.bench(a_version("v1", haproxy, proxy=proxy)))

    assert (outcome.reason or "").startswith("HAProxy cannot be reached on /nowhere/admin.sock")


async def test_a_server_that_the_backend_lacks_is_the_reason(driver, scope, docker, haproxy, admin):
    proxy = {**haproxy.document, "servers": ["blue", "red"]}
    outcome = await driver.activate(scope.bench(a_version("v1", haproxy, proxy=proxy)))

    assert outcome.reason == "HAProxy has no server red in the backend shop"
