"""An agent is revoked in mid-work, comes back anew, or loses its disk: nothing is inherited."""

import shutil
import socket
from typing import Any

import httpx
import pytest
from tests.support.installation import AgentProcess, Installation
from tests.support.live import Live
from tests.support.waiting import until


def listed(whole: Installation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = whole.get("/api/release/agents")["items"]
    return found


def new_agent(whole: Installation, name: str, directory: str) -> AgentProcess:
    wish = {"ttl_seconds": 600, "labels": {}, "uses": 1}
    token = whole.post("/api/release/agents/enroll-tokens", wish)["token"]
    agent = AgentProcess(name, whole.directory / directory, token).start()
    whole.agents.append(agent)
    return agent


def test_work_of_a_revoked_agent_is_called_lost_and_the_fleet_goes_back(
    installation: Installation, live: Live
) -> None:
    installation.add_agents(2)
    installation.make_project()
    hang = 'while [ "$BOREAS_VERSION$BOREAS_TARGET" = v2n2 ]; do sleep 0.05; done'
    installation.make_script("web", live.deploy(first=hang))
    installation.until_status(installation.deploy("v1"), "success")
    deployment = installation.deploy("v2", strategy=[{"batchSize": 1, "autoRollback": True}])
    until(lambda: live.versions("web") == {"n1": "v2", "n2": "v1"})
    until(lambda: rows(installation, deployment)["n2"]["state"] == "running")

    revoke(installation, "n2")
    shown = installation.until_status(deployment, "rolled_back", "failed")
    assert live.versions("web")["n1"] == "v1"
    assert "n2" in shown["errorMessage"]
    assert "revoked" in str(shown)


def rows(whole: Installation, deployment: str) -> dict[str, Any]:
    task = whole.deployment(deployment)["tasks"][0]
    return {each["target"]: each for each in task["executions"]}


@pytest.mark.parametrize("directory", ["n1", "elsewhere"])
def test_a_revoked_agent_comes_back_with_a_new_token_as_another_one(
    installation: Installation, live: Live, directory: str
) -> None:
    installation.add_agents(1)
    installation.make_project()
    installation.make_script("web", live.deploy())
    (old,) = listed(installation)
    revoke(installation, "n1")
    until(lambda: installation.agents[0].process and installation.agents[0].process.poll())

    new_agent(installation, "n1", directory)
    installation.until_online("n1")
    (new,) = [each for each in listed(installation) if each["online"]]
    assert new["id"] != old["id"]
    place = f"/api/release/environments/{installation.environment}/targets"
    (target,) = installation.get(place)["items"]
    assert target["agent_id"] == old["id"], "a target is not inherited"
    path = f"/api/release/targets/{target['id']}"
    changed = installation.call("PATCH", path, {"agent": "n1"})
    assert changed.json()["agent_id"] == new["id"]
    installation.until_status(installation.deploy("v1"), "success")
    assert installation.call("DELETE", f"/api/release/agents/{old['id']}").status_code == 204


def test_an_agent_that_lost_its_disk_is_refused_until_its_former_self_is_revoked(
    installation: Installation,
) -> None:
    installation.add_agents(1)
    agent = installation.agents[0]
    agent.stop()
    until(lambda: installation.online() == set())
    shutil.rmtree(agent.data_dir)
    agent.start()
    assert agent.process is not None
    assert agent.process.wait(timeout=30) == 78
    assert "token" in (agent.data_dir / "stderr").read_text()

    twin = new_agent(installation, "n1", "n1-new")
    assert twin.process is not None
    assert twin.process.wait(timeout=30) == 78
    said = (twin.data_dir / "stderr").read_text()
    assert "'n1' is enrolled already; choose another --name, or revoke the other one" in said
    revoke(installation, "n1")
    twin.start()
    installation.until_online("n1")


def revoke(whole: Installation, name: str) -> None:
    (found,) = [each["id"] for each in listed(whole) if each["name"] == name]
    whole.post(f"/api/release/agents/{found}/revoke")


def test_a_caller_that_never_finishes_its_request_disturbs_nobody(
    installation: Installation,
) -> None:
    port = installation.servers[0].http
    crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    try:
        for each in crowd:
            each.sendall(
                b"POST /api/release/login HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
            )
        for _ in range(20):
            assert httpx.get(f"{installation.url}/readyz", timeout=10).status_code == 200
    finally:
        for each in crowd:
            each.close()
