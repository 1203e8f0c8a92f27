"""HTTP and TCP probes against real listeners, and the one loop that asks them."""

import asyncio
import sys
from typing import Any

import pytest

from boreas.domain.orders import HealthCheck, ProbeKind
from boreas.drivers.checking import at_address, command_probe, probe_for
from boreas.drivers.probes import Answer, http_probe, tcp_probe, watch_health
from boreas.engine.health import Health
from boreas.kit.clock import VirtualClock
from boreas.testing.workbench import a_release


def http(**fields: Any) -> HealthCheck:
    return HealthCheck(type=ProbeKind.HTTP, **{"timeout": 2.0, **fields})


def tcp(**times: Any) -> HealthCheck:
    return HealthCheck(type=ProbeKind.TCP, port=80, **times)


async def ask(page, **fields: Any) -> Answer:
    url = f"http://127.0.0.1:{page.server_address[1]}/health"
    return await http_probe(http(**fields), url=url)()


async def test_any_2xx_passes_when_no_status_is_asked_for(page):
    for status in (200, 201, 299):
        page.answer = (status, b"", {})
        assert (await ask(page)).passed


@pytest.mark.parametrize(("status", "asked"), [(500, None), (404, None), (200, 204), (500, 200)])
async def test_another_status_fails_and_is_named(page, status, asked):
    page.answer = (status, b"", {})

    answer = await ask(page, status=asked)

    assert not answer.passed
    assert f"HTTP {status}" in answer.detail


async def test_a_redirect_is_not_followed(page):
    page.answer = (302, b"", {"Location": "/login"})

    answer = await ask(page)

    assert answer.detail.startswith("HTTP 302: it sends us on to /login")
    assert page.asked == ["/health"]
    assert (await ask(page, status=302)).passed


@pytest.mark.parametrize("body", ["all is well", "is (well|fine)", "^all", "wel+$"])
async def test_a_body_is_a_text_or_a_pattern(page, body):
    assert (await ask(page, body=body)).passed


@pytest.mark.parametrize("body", ["sick", "is (sick", "^well"])
async def test_a_body_that_is_not_there_fails_even_when_it_is_no_pattern(page, body):
    answer = await ask(page, body=body)

    assert not answer.passed
    assert "its body has no" in answer.detail


async def test_a_text_full_of_pattern_signs_is_found_as_it_stands(page):
    page.answer = (200, b"state(ok) [1/1]", {})

    assert (await ask(page, body="state(ok) [1/1]")).passed


async def test_nobody_listening_is_told(free_port):
    answer = await http_probe(http(), url=f"http://127.0.0.1:{free_port}/")()
    assert not answer.passed
    assert "Connect" in answer.detail

    answer = await tcp_probe(tcp(), host="127.0.0.1", port=free_port)()
    assert not answer.passed
    assert f"127.0.0.1:{free_port}" in answer.detail


async def test_somebody_who_never_answers_is_given_up_after_the_timeout():
    release = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    answer = await http_probe(http(timeout=0.2), url=f"http://127.0.0.1:{port}/")()
    listening = await tcp_probe(tcp(), host="127.0.0.1", port=port)()

    release.set()
    server.close()
    assert answer.detail == f"http://127.0.0.1:{port}/ gave no answer in 0.2 s"
    assert listening.passed


async def test_a_body_without_end_is_read_only_so_far():
    async def talk_for_ever(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 10_000)
            try:
                await writer.drain()
            except ConnectionError:
                return

    server = await asyncio.start_server(talk_for_ever, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    answer = await http_probe(http(body="x"), url=f"http://127.0.0.1:{port}/")()

    server.close()
    assert answer.passed


async def test_a_command_that_hangs_fails_and_the_loop_goes_on(scope):
    check = HealthCheck(type=ProbeKind.COMMAND, command="sleep 60", timeout=0.2)
    bench = scope.bench(a_release(health_check=check))

    answer = await command_probe(bench, check, cwd=bench.release_dir, extra={})()

    assert answer == Answer(passed=False, detail="exit code 124")


async def test_a_command_sees_boreas_variables(scope):
    text = 'test "$BOREAS_TARGET-$BOREAS_VERSION" = web-1-v1'
    check = HealthCheck(type=ProbeKind.COMMAND, command=text)
    bench = scope.bench(a_release(health_check=check))

    assert (await probe_for(bench, check, cwd=bench.release_dir)()).passed


def test_the_same_page_can_be_asked_at_another_place():
    assert at_address("http://shop:80/a?b#c", ("127.0.0.1", 81)) == "http://127.0.0.1:81/a?b#c"
    assert at_address("http://shop:80/a", None) == "http://shop:80/a"


class Play:
    """A probe that gives prepared answers, and a virtual clock that the loop sleeps on."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.clock = VirtualClock()
        self.asked_at: list[float] = []

    async def ask(self) -> Answer:
        self.asked_at.append(self.clock.monotonic())
        return Answer(passed=self.answers.pop(0), detail="refused")

    async def say(self, line: str) -> None:
        self.said.append(line)


async def test_the_loop_asks_at_the_interval_and_says_each_change_once():
    play = Play(False, False, True, True, True)
    check = tcp(interval=10, start_period=100, min_healthy_seconds=15)

    watching = asyncio.ensure_future(watch_health(check, play.ask, play.clock, play.say))
    await play.clock.advance(100)
    verdict = await watching

    assert verdict.health is Health.HEALTHY
    assert play.asked_at == [0, 10, 20, 30, 35]
    assert play.said == [
        "Health check (tcp): not yet up, and its start period still runs: refused.",
        "Health check (tcp): passed, must hold for 15 s.",
        "Health check (tcp): passed for 15 s in a row.",
    ]


async def test_a_virtual_hour_of_flapping_is_never_called_healthy():
    play = Play(*([True, False] * 1800), False, False)
    check = tcp(interval=1, retries=3, min_healthy_seconds=5)

    watching = asyncio.ensure_future(watch_health(check, play.ask, play.clock, play.say))
    await play.clock.advance(3700)

    assert (await watching).health is Health.UNHEALTHY


def test_a_node_without_containers_or_http_checks_loads_neither_client():
    import subprocess

    code = (
        "import sys; from boreas.drivers.registry import driver_for; "
        "from boreas.domain.orders import DriverKind; from boreas.kit.clock import SystemClock; "
        ""
        "[driver_for(kind, SystemClock()) for kind in (DriverKind.SCRIPT, DriverKind.GIT_PULL)]; "
        "assert not {'aiohttp', 'aiodocker'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
