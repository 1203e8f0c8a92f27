"""One server on a fresh machine: its first start, its own agent, its settings, its end."""

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.installation import PASSWORD, Installation, free_port
from tests.support.live import Live
from tests.support.waiting import until


@contextmanager
def running(
    argv: list[str], environ: dict[str, str], said: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with said.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "boreas", *argv],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environ,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_server_with_an_agent_needs_nothing_but_its_environment(
    tmp_path: Path, live: Live
) -> None:
    http, quic = free_port(), free_port()
    data = tmp_path / "data"
    environ = {
        **{"PATH": os.getenv("PATH", ""), "HOME": str(tmp_path)},
        **{"BOREAS_DATA_DIR": str(data), "BOREAS_HTTP": f"127.0.0.1:{http}"},
        **{"BOREAS_QUIC": f"127.0.0.1:{quic}", "BOREAS_WITH_AGENT": "1"},
    }
    said = tmp_path / "said"
    url = f"http://127.0.0.1:{http}"
    with running(["server"], environ, said) as process:
        until(lambda: is_up(url) or process.poll() is not None, why=said.read_text)
        token_file = data / "setup-token"
        token = token_file.read_text().strip()
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        assert token in said.read_text(), "the one-time token is printed"
        whole = Installation(tmp_path)
        whole.url = url
        me = {"username": "ada", "password": PASSWORD}
        whole.post("/api/release/setup", {"token": token, **me})
        assert not token_file.exists()
        again = httpx.post(f"{url}/api/release/setup", json={"token": token, **me})
        assert again.status_code in (403, 409)
        with httpx.Client(base_url=url, headers={"Origin": url}) as client:
            client.post("/api/release/login", json=me).raise_for_status()
            made = client.post("/api/release/tokens", json={"name": "t"})
            whole.token = made.json()["token"]
        until(lambda: len(whole.online()) == 1, why=said.read_text)
        (name,) = whole.online()
        whole.make_project(targets=[name])
        whole.make_script("web", live.deploy())
        whole.until_status(whole.deploy("v1"), "success")
        assert live.versions("web") == {name: "v1"}
        agents = children(process.pid)
        assert agents
        process.terminate()
        assert process.wait(timeout=15) == 0
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in agents), at_most=10)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in found.read_text().split()]


def test_a_stopped_server_leaves_quickly_and_its_work_goes_on_afterwards(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(2)
    installation.make_project()
    slow = "for i in $(seq 1 60); do echo $i; sleep 0.05; done"
    installation.make_script("web", live.deploy(first=slow))
    deployment = installation.deploy("v1")
    until(lambda: len(installation.messages(deployment, "web-deploy")) > 4)
    server = installation.servers[0]
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 10
    server.start()
    shown = installation.until_status(deployment, "success")
    assert [e["attempt"] for e in shown["tasks"][0]["executions"]] == [1, 1]
    assert live.versions("web") == {"n1": "v1", "n2": "v1"}


def test_nothing_can_be_taken_away_from_under_a_deployment(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(1)
    installation.make_project()
    go = live.directory / "go"
    application = installation.make_script(
        "web", live.deploy(first=f"until test -e {go}; do sleep 0.05; done")
    )
    deployment = installation.deploy("v1")
    until(lambda: installation.deployment(deployment)["status"] == "running")
    shown = installation.deployment(deployment)
    target = shown["tasks"][0]["executions"][0]["targetId"]
    for path in (
        *(f"/api/release/applications/{application}", f"/api/release/targets/{target}"),
        *(f"/api/release/environments/{installation.environment}",),
        *(f"/api/release/projects/{installation.project}",),
        *(f"/api/release/versions/{shown['versionId']}",),
    ):
        assert installation.refused("DELETE", path)["status"] == 409, path
    changed = {"spec": {"scripts": {"deploy": "exit 1"}}}
    path = f"/api/release/applications/{application}"
    assert installation.call("PATCH", path, changed).status_code == 200
    go.touch()
    installation.until_status(deployment, "success")
    assert live.versions("web") == {"n1": "v1"}
    bad = installation.until_status(
        installation.deploy("v2", strategy=[{"batchSize": 1, "autoRollback": True}]),
        *("rolled_back", "failed"),
    )
    assert bad["status"] == "rolled_back"
    assert live.versions("web") == {"n1": "v1"}


def test_things_of_another_project_are_not_there(installation: Installation, live: Live) -> None:
    installation.add_agents(1)
    installation.make_project("one")
    installation.make_script("web", live.deploy())
    theirs: dict[str, Any] = {
        "versionId": installation.make_version("v1"),
        "environmentId": installation.environment,
    }
    installation.make_project("two")
    application = installation.make_script("web", live.deploy())
    mixed = {**theirs, "environmentId": installation.environment}
    problem = installation.refused("POST", "/api/v1/deployments", mixed)
    assert problem["status"] in (404, 422)
    assert problem["errors"][0]["field"] in ("environmentId", "versionId")
    foreign = {**theirs, "applicationIds": [application]}
    assert installation.refused("POST", "/api/v1/deployments", foreign)["status"] == 422


def test_a_deployment_asked_for_twice_with_one_key_is_made_once(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(1)
    installation.make_project()
    installation.make_script("web", live.deploy())
    wish = {
        "versionId": installation.make_version("v1"),
        "environmentId": installation.environment,
    }
    headers = {"Authorization": f"Bearer {installation.token}", "Idempotency-Key": "k1"}
    place = installation.url + "/api/v1/deployments"
    answers = [httpx.post(place, json=wish, headers=headers) for _ in range(3)]
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["id"] for each in answers}) == 1
    installation.until_status(answers[0].json()["id"], "success")
    assert len(installation.get("/api/v1/deployments")["items"]) == 1


def test_a_server_that_was_killed_in_the_middle_of_a_return_finishes_it(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(3)
    installation.make_project()
    slow = '[ "$BOREAS_PREVIOUS_VERSION" != v2 ] || sleep 0.5; sleep 0.2'
    installation.make_script("web", live.deploy(first=slow), check=live.check(sick="v2"))
    installation.until_status(installation.deploy("v1"), "success")
    steps = [{"batchSize": 3, "autoRollback": True}]
    deployment = installation.deploy("v2", strategy=steps)
    until(lambda: installation.deployment(deployment)["phase"] == "rollback")
    installation.servers[0].kill()
    installation.servers[0].start()
    installation.until_status(deployment, "rolled_back")
    assert live.everywhere("web") == {"v1"}


@pytest.mark.parametrize("taken", ["--http", "--quic"])
def test_a_port_that_is_taken_is_named_with_the_mend(tmp_path: Path, taken: str) -> None:
    kind = socket.SOCK_STREAM if taken == "--http" else socket.SOCK_DGRAM
    environ = {"PATH": os.getenv("PATH", ""), "HOME": str(tmp_path)}
    said = tmp_path / "said"
    with socket.socket(type=kind) as squatter:
        squatter.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            squatter.listen()
        port = squatter.getsockname()[1]
        places = {"--http": free_port(), "--quic": free_port(), taken: port}
        argv = ["server", "--data-dir", str(tmp_path / "data")]
        for option, number in places.items():
            argv += [option, f"127.0.0.1:{number}"]
        with running(argv, environ, said) as process:
            assert process.wait(timeout=30) == 1
    text = said.read_text()
    assert str(port) in text
    assert "another program listens there" in text
    assert "Traceback" not in text
