"""Enrolment and the link of agents as processes: who comes in, who stays out, what a cut costs."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.installation import AgentProcess, Installation
from tests.support.live import Live
from tests.support.waiting import until

REFUSED_FOR_GOOD = 78


def words_of(agent: AgentProcess) -> str:
    return (agent.data_dir / "stderr").read_text()


def ended(agent: AgentProcess, *, at_most: float = 30) -> int:
    assert agent.process is not None
    process = agent.process
    until(lambda: process.poll() is not None, at_most=at_most, why=lambda: words_of(agent))
    code = process.poll()
    assert code is not None
    return code


def new_token(whole: Installation, uses: int = 1, **wishes: Any) -> str:
    wish = {"ttl_seconds": 600, "labels": {}, "uses": uses, **wishes}
    token: str = whole.post("/api/release/agents/enroll-tokens", wish)["token"]
    return token


def listed(whole: Installation) -> dict[str, Any]:
    return {each["name"]: each for each in whole.get("/api/release/agents")["items"]}


def test_a_token_lets_one_agent_in_however_many_come_at_once(installation: Installation) -> None:
    token = new_token(installation)
    crowd = [AgentProcess(f"c{i}", installation.directory / f"c{i}", token) for i in range(1, 6)]
    installation.agents += crowd
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda agent: agent.start(), crowd))
    losers = until(
        lambda: (
            len(gone := [a for a in crowd if a.process and a.process.poll() is not None]) == 4
            and gone
        ),
        at_most=60,
        why=lambda: [words_of(each)[-300:] for each in crowd],
    )
    assert isinstance(losers, list)
    for loser in losers:
        assert ended(loser) == REFUSED_FOR_GOOD
        assert "token" in words_of(loser)
        assert token not in words_of(loser)
        assert "Traceback" not in words_of(loser)
    until(lambda: len(installation.online()) == 1)
    assert len(listed(installation)) == 1


def test_a_revoked_agent_is_cut_off_within_5_seconds_and_stays_out(
    installation: Installation,
) -> None:
    installation.add_agents(1)
    agent = installation.agents[0]
    found = listed(installation)["n1"]
    began = time.monotonic()
    installation.post(f"/api/release/agents/{found['id']}/revoke")

    assert ended(agent, at_most=5) == REFUSED_FOR_GOOD
    assert time.monotonic() - began < 5
    assert "revoked" in words_of(agent)
    assert installation.online() == set()

    agent.start()
    assert ended(agent) == REFUSED_FOR_GOOD
    assert words_of(agent).count("revoked") >= 2
    assert listed(installation)["n1"]["revoked_at"]


def test_a_wrong_token_is_refused_in_words(installation: Installation) -> None:
    good = new_token(installation)
    made_up = good[:-6] + ("AAAAAA" if not good.endswith("AAAAAA") else "BBBBBB")
    stranger = AgentProcess("x", installation.directory / "x", made_up).start()
    installation.agents.append(stranger)
    assert ended(stranger) == REFUSED_FOR_GOOD
    assert "token" in words_of(stranger)
    assert made_up not in words_of(stranger)
    nonsense = AgentProcess("y", installation.directory / "y", "boreas1.nonsense").start()
    installation.agents.append(nonsense)
    assert ended(nonsense) in (2, REFUSED_FOR_GOOD)
    assert "Traceback" not in words_of(nonsense)


def test_an_expired_token_is_refused(installation: Installation) -> None:
    token = new_token(installation, ttl_seconds=1)
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.1)
    late = AgentProcess("late", installation.directory / "late", token).start()
    installation.agents.append(late)
    assert ended(late) == REFUSED_FOR_GOOD
    assert "too old; make a new one" in words_of(late)


COUNTING = 'for i in $(seq 1 100); do echo "line $i"; sleep 0.05; done'


EXPECTED = [f"line {i}" for i in range(1, 101)]


def counted(whole: Installation, deployment: str) -> list[str]:
    """The numbered lines, once the log is whole."""
    path = f"/api/v1/deployments/{deployment}/tasks/web-deploy/logs"
    until(lambda: whole.get(path)["complete"])
    lines = whole.messages(deployment, "web-deploy")
    return [line for line in lines if line.startswith("line ")]


def test_a_server_that_stands_still_for_seconds_loses_nothing(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(1)
    installation.make_project()
    installation.make_script("web", live.deploy(first=COUNTING))
    deployment = installation.deploy("v1")
    until(lambda: len(installation.messages(deployment, "web-deploy")) > 5)
    server = installation.servers[0].process
    assert server is not None

    server.send_signal(signal.SIGSTOP)
    time.sleep(8)  # longer than a busy agent waits for a sign of life
    server.send_signal(signal.SIGCONT)

    shown = installation.until_status(deployment, "success")
    assert [e["attempt"] for e in shown["tasks"][0]["executions"]] == [1]
    assert counted(installation, deployment) == EXPECTED
    assert live.versions("web") == {"n1": "v1"}


def test_an_agent_that_stands_still_for_seconds_loses_nothing(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(1)
    installation.make_project()
    installation.make_script("web", live.deploy(first=COUNTING))
    deployment = installation.deploy("v1")
    until(lambda: len(installation.messages(deployment, "web-deploy")) > 5)
    agent = installation.agents[0].process
    assert agent is not None

    agent.send_signal(signal.SIGSTOP)
    time.sleep(8)
    agent.send_signal(signal.SIGCONT)

    installation.until_status(deployment, "success")
    assert counted(installation, deployment) == EXPECTED


def test_a_server_that_was_stopped_has_its_agents_back_soon(installation: Installation) -> None:
    installation.add_agents(3)
    server = installation.servers[0]
    assert server.stop() in (0, -signal.SIGTERM)
    server.start()
    began = time.monotonic()
    installation.until_online("n1", "n2", "n3")
    assert time.monotonic() - began < 15


def can_block_udp() -> bool:
    """Root with iptables that really works here."""
    probe = ["iptables", "-w", "5", "-n", "-L", "INPUT"]
    try:
        return subprocess.run(probe, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@pytest.mark.skipif(not can_block_udp(), reason="needs root and iptables to block UDP")
def test_where_udp_is_blocked_the_agent_comes_by_tcp_within_3_seconds(
    installation: Installation,
) -> None:
    port = str(installation.servers[0].quic)
    rule = ["INPUT", "-i", "lo", "-p", "udp", "--dport", port, "-j", "DROP"]
    subprocess.run(["iptables", "-w", "5", "-I", *rule], check=True)
    try:
        token = new_token(installation)
        agent = AgentProcess("tcp", installation.directory / "tcp", token).start()
        installation.agents.append(agent)
        until(lambda: (agent.data_dir / "journal").exists())
        began = time.monotonic()
        installation.until_online("tcp")
        took = time.monotonic() - began
    finally:
        subprocess.run(["iptables", "-w", "5", "-D", *rule], check=True)
    assert listed(installation)["tcp"]["transport"] == "tcp"
    assert took < 4, words_of(agent)


OLD_AGENT = """
import sys
from boreas.transport import handshake
handshake.PROTOCOL = int(sys.argv.pop(1))
from boreas.agent.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("version", ["0", "99"])
def test_another_message_version_is_refused_with_a_reason(
    installation: Installation, tmp_path: Path, version: str
) -> None:
    words = ["--name", "old", "--token", new_token(installation)]
    argv = [sys.executable, "-c", OLD_AGENT, version, *words, "--data-dir", str(tmp_path / "old")]
    said = tmp_path / "said"
    with said.open("wb") as out:
        ended = subprocess.run(argv, stderr=out, check=False, timeout=30)
    assert ended.returncode == REFUSED_FOR_GOOD
    assert f"version 1 of the protocol, the other {version}" in said.read_text()
    assert "same release" in said.read_text()
    assert listed(installation) == {}
