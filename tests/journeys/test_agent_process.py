"""The agent as a process of its own, over real QUIC and TCP, killed with SIGKILL."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from boreas.kit.clock import SystemClock
from boreas.testing.fake_gateway import WELCOME, FakeGateway, an_order
from boreas.transport.admission import Admission
from boreas.transport.authority import CertificateAuthority
from boreas.transport.identity import AgentVault
from boreas.transport.keys import der
from boreas.transport.reception import open_reception
from boreas.transport.refusals import Refusal, RefusalCode
from boreas.transport.tokens import EnrolToken

AGENT = (sys.executable, "-m", "boreas.agent.main", "--name", "a1")


class Door:
    """Knows one token and one agent."""

    def __init__(self, ca: CertificateAuthority) -> None:
        self._ca = ca
        self.enrolments = 0
        self.age = timedelta(0)
        self.is_revoked = False

    async def enrol(self, hello, *, token_secret, csr_pem, peer_address):
        if token_secret != "s3cret":
            raise Refusal(RefusalCode.TOKEN_USED, "the token was used", "make a new one")
        self.enrolments += 1
        return Admission(welcome=WELCOME, certificate_der=self.issue(csr_pem, age=self.age))

    def issue(self, csr_pem: bytes, *, age: timedelta = timedelta(0)) -> bytes:
        return der(self._ca.sign_agent(csr_pem, "agt_1", SystemClock().now() - age))

    async def admit(self, hello, *, agent, peer_address):
        if self.is_revoked:
            raise Refusal(RefusalCode.AGENT_REVOKED, "the agent was revoked", "enrol it again")
        return Admission(welcome=WELCOME)


class Server:
    """A reception with a fake gateway behind it, and agents as processes in front."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.data_dir = tmp_path / "agent"
        self.ca = CertificateAuthority.open(tmp_path / "pki", SystemClock().now())
        self.certificate = self.ca.server_certificate(tmp_path / "pki", SystemClock().now())
        self.door = Door(self.ca)
        self.gateway = FakeGateway()
        self.port = 0
        self.kinds: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    async def on_agent(self, agent) -> None:
        self.kinds.append(agent.session.link.kind)
        await self.gateway.serve(agent.session)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with open_reception(
            "127.0.0.1",
            self.port,
            certificate=self.certificate,
            doorkeeper=self.door,
            on_agent=self.on_agent,
            clock=SystemClock(),
        ) as reception:
            self.port = reception.port
            yield

    def token(self, secret: str = "s3cret") -> str:
        pin = self.ca.pin
        return EnrolToken(server=f"127.0.0.1:{self.port}", ca_pin=pin, secret=secret).reveal()

    def start_agent(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            (*AGENT, "--data-dir", str(self.data_dir), *options),
            env={"PATH": "/usr/bin:/bin", **environment},
            stderr=(self.tmp_path / "agent.stderr").open("ab"),
        )
        self._processes.append(process)
        return process

    def end_agents(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait()

    def said(self) -> str:
        return (self.tmp_path / "agent.stderr").read_text()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    yield server
    server.end_agents()


async def ended(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, 20)


@pytest.mark.parametrize("transport", ["quic", "tcp", "auto"])
async def test_an_agent_enrols_once_and_works(server, transport):
    async with server.listening():
        agent = server.start_agent("--transport", transport, BOREAS_TOKEN=server.token())
        await server.gateway.order(an_order(command="echo hello"))
        assert (await server.gateway.finished()).outcome == "success"
        assert server.gateway.log_text() == "hello\n"
        agent.terminate()
        assert await ended(agent) == 0

        server.start_agent("--server", f"127.0.0.1:{server.port}", "--transport", transport)
        await server.gateway.until(lambda: len(server.gateway.inventories) == 2)

    assert server.door.enrolments == 1
    assert server.kinds == [{"auto": "quic"}.get(transport, transport)] * 2


async def test_a_killed_agent_is_followed_by_one_that_adopts_its_command(server, tmp_path):
    async with server.listening():
        agent = server.start_agent(BOREAS_TOKEN=server.token())
        count = "echo pid $$; for n in $(seq 1 300); do echo $n; sleep 0.01; done"
        command = f"{count}; echo x >> {tmp_path}/n; exit 5"
        await server.gateway.order(an_order(command=command))
        await server.gateway.until(lambda: "\n20\n" in server.gateway.log_text())

        agent.send_signal(signal.SIGKILL)
        await ended(agent)
        server.start_agent(BOREAS_TOKEN=server.token())
        report = await server.gateway.finished()

    lines = server.gateway.log_text().splitlines()
    assert report.exit_code == 5
    assert lines[1:] == [str(n) for n in range(1, 301)]
    assert (tmp_path / "n").read_text() == "x\n"
    assert server.gateway.unexpected == []


async def test_an_agent_killed_over_and_over_neither_loses_nor_doubles_a_line(server, tmp_path):
    slow = "for n in $(seq 1 400); do echo $n; sleep 0.01; done"
    async with server.listening():
        await server.gateway.order(an_order(command=slow))
        for n in (5, 60, 120, 180):
            agent = server.start_agent(BOREAS_TOKEN=server.token())
            await server.gateway.until(lambda n=n: f"\n{n}\n" in server.gateway.log_text())
            agent.send_signal(signal.SIGKILL)
            await ended(agent)
        server.start_agent(BOREAS_TOKEN=server.token())
        report = await server.gateway.finished()

    assert report.outcome == "success"
    assert server.gateway.log_text() == "".join(f"{n}\n" for n in range(1, 401))
    assert server.gateway.unexpected == []


async def test_a_busy_agent_is_back_soon_after_the_server_was(server, tmp_path):
    async with server.listening():
        server.start_agent(BOREAS_TOKEN=server.token())
        await server.gateway.order(
            an_order(command=f"until [ -e {tmp_path}/go ]; do sleep 0.05; done")
        )
        await server.gateway.until(lambda: "verb" in server.gateway.kinds())

    async with server.listening():
        await server.gateway.until(lambda: len(server.gateway.inventories) == 2, at_most=5)
        (tmp_path / "go").touch()
        assert (await server.gateway.finished()).outcome == "success"


async def test_facts_come_with_the_heartbeats_and_name_what_was_deployed(server):
    daemon = "nohup sleep 300 > /dev/null 2>&1 & echo $!"
    gateway = server.gateway

    def facts():
        return [beat.facts for beat in gateway.heartbeats if beat.facts]

    async with server.listening():
        server.start_agent(BOREAS_TOKEN=server.token())
        await gateway.until(facts, at_most=5)
        await gateway.order(an_order(command=daemon), scope="tgt_1/-")
        await gateway.finished()
        pid = int(gateway.log_text())
        try:
            await gateway.until(lambda: facts()[-1]["processes"], at_most=10)
        finally:
            os.kill(pid, signal.SIGKILL)

    process = facts()[-1]["processes"][0]
    assert (process["pid"], process["name"], process["target"]) == (pid, "sleep", "node-1")
    assert facts()[0]["cpu_count"] >= 1
    assert facts()[0]["memory_total"] > facts()[0]["memory_available"] > 0


async def test_a_used_token_ends_the_agent_with_a_clear_word(server):
    async with server.listening():
        agent = server.start_agent(BOREAS_TOKEN=server.token("used"))
        code = await ended(agent)

    assert code == 78
    assert "the token was used; make a new one" in server.said()


async def test_a_revoked_agent_says_so_and_ends(server):
    async with server.listening():
        server.start_agent(BOREAS_TOKEN=server.token())
        await server.gateway.until(lambda: server.gateway.session is not None)
        server.end_agents()
        server.door.is_revoked = True

        agent = server.start_agent("--server", f"127.0.0.1:{server.port}")
        code = await ended(agent)

    assert code == 78
    assert "the agent was revoked; enrol it again" in server.said()


async def test_a_second_agent_on_the_same_data_directory_is_refused(server):
    async with server.listening():
        server.start_agent(BOREAS_TOKEN=server.token())
        await server.gateway.until(lambda: server.gateway.session is not None)

        second = server.start_agent(BOREAS_TOKEN=server.token())

        assert await ended(second) == 2
    assert f"another agent is using {server.data_dir}" in server.said()


async def test_the_token_may_come_from_a_file_and_appears_in_no_argument(server, tmp_path):
    async with server.listening():
        (tmp_path / "token").write_text(server.token() + "\n")
        server.start_agent("--token-file", str(tmp_path / "token"))
        await server.gateway.until(lambda: server.gateway.session is not None)

    assert "s3cret" not in server.said()


async def test_a_certificate_is_renewed_at_two_thirds_of_its_life(server):
    server.door.age = timedelta(days=70)
    server.gateway.issue = server.door.issue
    vault = AgentVault(server.data_dir / "identity")

    async with server.listening():
        server.start_agent(BOREAS_TOKEN=server.token())
        await server.gateway.until(lambda: server.gateway.session is not None)
        first = vault.identity()
        while vault.identity().certificate == first.certificate:
            await SystemClock().sleep(0.05)
        server.end_agents()
        server.start_agent("--server", f"127.0.0.1:{server.port}")
        await server.gateway.until(lambda: len(server.gateway.inventories) == 2)

    assert first.wants_renewal(SystemClock().now())
    assert not vault.identity().wants_renewal(SystemClock().now())
    assert server.door.enrolments == 1
