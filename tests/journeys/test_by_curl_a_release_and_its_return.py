"""The main story with nothing but curl: plan, first deployment, canary, failure, fleet back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.curl import Curl
from tests.support.installation import FINAL, PASSWORD, Installation
from tests.support.live import Live
from tests.support.waiting import until

CANARY = [
    {"batchSize": 1, "canaryRatio": 0.1, "autoRollback": True, "manualApprovalStatus": None},
    {"batchSize": 3, "canaryRatio": 1.0, "autoRollback": True},
]
NODES = [f"n{i}" for i in range(1, 7)]


@pytest.fixture
def curl(tmp_path: Path) -> Iterator[Curl]:
    """curl, signed in by cookie and then by token, on a server with six agents."""
    whole = Installation(tmp_path)
    whole.token = "not yet"
    try:
        server = whole.add_server()
        curl = Curl(server.url, jar=tmp_path / "cookies")
        setup = (server.data_dir / "setup-token").read_text().strip()
        me = {"username": "ada", "password": PASSWORD}
        curl.good("POST", "/api/release/setup", {"token": setup, **me})
        curl.good("POST", "/api/release/login", me)
        token = curl.good("POST", "/api/release/tokens", {"name": "story"})["token"]
        curl.jar, curl.token = None, token
        whole.url, whole.token = server.url, token
        whole.add_agents(6)
        yield curl
    finally:
        whole.stop()


def until_in(curl: Curl, deployment: str, *wanted: str) -> Any:
    path = f"/api/v1/deployments/{deployment}"

    def look() -> Any:
        shown = curl.good("GET", path)
        assert shown["status"] not in FINAL - set(wanted), f"{shown['status']}: {shown}"
        return shown if shown["status"] in wanted else None

    return until(look, at_most=60, why=lambda: curl.good("GET", path))


def test_two_applications_go_out_to_six_nodes_and_come_back(curl: Curl, live: Live) -> None:
    project = curl.good("POST", "/api/release/projects", {"name": "shop"})["id"]
    base = f"/api/release/projects/{project}"
    for name, sick in (("api", "never"), ("web", "v3")):
        health = {
            **{"type": "command", "command": live.check(sick=sick)},
            **{"interval": 0.1, "timeout": 5, "retries": 2, "min_healthy_seconds": 0},
        }
        spec = {"scripts": {"deploy": live.deploy()}}
        application = {"name": name, "driver": "script", "spec": spec, "health_check": health}
        curl.good("POST", f"{base}/applications", application)
    environment = curl.good("POST", f"{base}/environments", {"name": "prod", "kind": "prod"})["id"]
    for name in NODES:
        where = f"/api/release/environments/{environment}/targets"
        curl.good("POST", where, {"name": name, "agent": name})

    def deploy(version: str, **wishes: Any) -> str:
        made = curl.good("POST", f"{base}/versions", {"name": version, "config": {"n": version}})
        wish = {
            **{"versionId": made["id"], "environmentId": environment},
            **{"applicationIds": ["api", "web"], "mustInOrder": ["api", "web"]},
            **{"strategy": CANARY, **wishes},
        }
        plan = curl.good("POST", "/api/v1/deployments", {**wish, "dryRun": True})
        assert plan["dryRun"] is True
        assert curl.good("GET", "/api/v1/deployments?q=" + version)["items"] == []
        plans.append(plan)
        created: str = curl.good("POST", "/api/v1/deployments", wish)["id"]
        return created

    plans: list[Any] = []
    first = until_in(curl, deploy("v1"), "success")
    assert [task["id"] for task in plans[0]["tasks"]] == [
        *("api-deploy", "api-health-check", "web-deploy", "web-health-check"),
    ]
    assert all(task["firstDeployment"] for task in plans[0]["tasks"] if task["type"] == "deploy")
    assert "first" in plans[0]["text"]
    assert live.versions("api") == live.versions("web") == dict.fromkeys(NODES, "v1")
    assert first["progress"] == 100

    second = deploy("v2")
    waiting = until_in(curl, second, "waiting_confirm")
    assert plans[1]["tasks"][0]["rounds"][0]["targets"] == ["n1"]
    assert [len(each["targets"]) for each in plans[1]["tasks"][0]["rounds"]] == [1, 3, 2]
    assert plans[1]["approvals"]
    assert live.versions("api") == {**dict.fromkeys(NODES, "v1"), "n1": "v2"}
    assert live.everywhere("web") == {"v1"}
    assert waiting["waitingFor"]
    assert "waits for approval" in waiting["waitingFor"][0]
    curl.good("POST", f"/api/v1/deployments/{second}/confirm", {"comment": "looks well"})
    waiting = until_in(curl, second, "waiting_confirm")
    until(lambda: live.versions("web")["n1"] == "v2")
    curl.good("POST", f"/api/v1/deployments/{second}/confirm")
    until_in(curl, second, "success")
    assert live.everywhere("api") == live.everywhere("web") == {"v2"}

    third = deploy("v3")
    until_in(curl, third, "waiting_confirm")
    curl.good("POST", f"/api/v1/deployments/{third}/confirm")
    back = until_in(curl, third, "rolled_back")
    assert live.versions("api") == live.versions("web") == dict.fromkeys(NODES, "v2")
    assert "n1" in back["errorMessage"]
    web = next(task for task in back["tasks"] if task["id"] == "web-deploy")
    never = [e["reason"] for e in web["executions"] if e["state"] == "skipped"]
    assert len(never) == 5
    assert never[0].startswith("not started: stopped after failure on n1: Deploy web failed on n1")

    taken = curl.good("POST", f"/api/v1/deployments/{second}/rollback")
    assert taken["rollbackOf"] == second
    until_in(curl, taken["id"], "success", "rolled_back")
    assert live.everywhere("api") == live.everywhere("web") == {"v1"}
