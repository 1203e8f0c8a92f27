"""git_pull from a file and over HTTP, container on a real Docker Engine: live, broken, back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.docker_engine import make_image, running_engine
from tests.support.git_host import GitHost
from tests.support.installation import AgentProcess, Installation, free_port
from tests.support.waiting import until

ONE_BY_ONE = [{"batchSize": 1, "autoRollback": True}]
HEALTH = {"type": "command", "command": "! grep -q broken page", "interval": 0.1, "retries": 2}


@pytest.fixture
def git(tmp_path: Path) -> GitHost:
    return GitHost(tmp_path / "git").make()


def make_git_project(
    whole: Installation, name: str, address: str, root: Path, *nodes: str, keep: int = 5
) -> None:
    whole.make_project(name, targets=nodes)
    spec = {
        **{"repository": address, "path": f"{root}/{{target}}", "keep": keep},
        "post_deploy": f'echo "$BOREAS_TARGET $BOREAS_VERSION $(pwd)" >> {root}/posted',
    }
    whole.make_application("site", "git_pull", spec, HEALTH)


def pages(root: Path, *nodes: str) -> list[str]:
    return [(root / node / "current" / "page").read_text() for node in nodes]


def test_git_pull_switches_current_keeps_old_releases_and_goes_back(
    fleet: Installation, git: GitHost, tmp_path: Path
) -> None:
    root = tmp_path / "srv"
    root.mkdir()
    make_git_project(fleet, "gitfile", f"file://{git.bare}", root, "n1", "n2", keep=2)
    commits = [git.commit("page", "one", tag="v1")]
    made = fleet.make_version("r1", git={"repository": f"file://{git.bare}", "ref": "main"})
    resolved = fleet.get(f"/api/release/versions/{made}")["git"]
    assert resolved == {"repository": f"file://{git.bare}", "ref": "main", "commit": commits[0]}

    commits.append(git.commit("page", "two"))
    wish = {"versionId": made, "environmentId": fleet.environment, "strategy": ONE_BY_ONE}
    fleet.until_status(fleet.post("/api/v1/deployments", wish)["id"], "success")
    assert pages(root, "n1", "n2") == ["one", "one"]
    assert (root / "n1" / "current").is_symlink()
    assert (root / "n1" / "current").resolve() == (root / "n1" / "releases" / commits[0]).resolve()

    at_commit = {"repository": f"file://{git.bare}", "commit": commits[1]}
    second = fleet.make_version("r2", git=at_commit)
    fleet.until_status(
        fleet.post("/api/v1/deployments", {**wish, "versionId": second})["id"], "success"
    )
    assert pages(root, "n1", "n2") == ["two", "two"]
    assert f"n1 r2 {root}/n1" in (root / "posted").read_text()

    git.commit("page", "broken")
    bad = fleet.make_version("r3", git={"repository": f"file://{git.bare}", "ref": "main"})
    shown = fleet.until_status(
        fleet.post("/api/v1/deployments", {**wish, "versionId": bad})["id"], "rolled_back"
    )
    assert pages(root, "n1", "n2") == ["two", "two"]
    assert "n1" in shown["errorMessage"]
    kept = {each.name for each in (root / "n2" / "releases").iterdir()}
    assert {commits[1]} <= kept
    assert len(kept) <= 3


def test_git_pull_over_http_and_a_ref_that_is_not_there(
    fleet: Installation, git: GitHost, tmp_path: Path
) -> None:
    root = tmp_path / "srv"
    root.mkdir()
    commit = git.commit("page", "one", tag="v1")
    with git.over_http() as address:
        make_git_project(fleet, "githttp", address, root, "n1")
        place = f"/api/release/projects/{fleet.project}/versions"
        gone = {"name": "x", "git": {"repository": address, "ref": "nowhere"}}
        problem = fleet.refused("POST", place, gone)
        assert problem["status"] == 422
        assert problem["errors"][0]["field"] == "git.ref"
        evil = {"name": "y", "git": {"repository": "ext::sh -c id", "ref": "main"}}
        assert fleet.refused("POST", place, evil)["errors"][0]["field"] == "git.repository"
        made = fleet.make_version("r1", git={"repository": address, "ref": "v1"})
        assert fleet.get(f"/api/release/versions/{made}")["git"]["commit"] == commit
        wish = {"versionId": made, "environmentId": fleet.environment}
        fleet.until_status(fleet.post("/api/v1/deployments", wish)["id"], "success")
    assert pages(root, "n1") == ["one"]


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with running_engine() as address:
        yield address


def test_a_container_is_replaced_and_the_old_one_comes_back(
    fleet: Installation, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/bin/busybox").exists():
        pytest.skip("needs busybox-static")
    for tag in ("v1", "v2", "v3"):
        make_image(engine, tmp_path / "images", tag)
    wish = {"ttl_seconds": 600, "labels": {}, "uses": 1}
    token = fleet.post("/api/release/agents/enroll-tokens", wish)["token"]
    monkeypatch.setenv("DOCKER_HOST", engine)
    host = AgentProcess("dockerhost", tmp_path / "dockerhost", token).start()
    fleet.agents.append(host)
    fleet.until_online("dockerhost")
    fleet.make_project("containers", targets=["dockerhost"])
    port = free_port()
    spec = {"image": "shop:{version}", "name": "shop", "ports": [f"{port}:8080"]}
    health = {
        **{"type": "http", "url": f"http://127.0.0.1:{port}/", "status": 200},
        **{"interval": 0.2, "retries": 3, "body": "shop"},
    }
    fleet.make_application("shop", "container", spec, health)
    plan_wish = {"versionId": fleet.make_version("v1"), "environmentId": fleet.environment}
    fleet.until_status(fleet.post("/api/v1/deployments", plan_wish)["id"], "success")
    assert httpx.get(f"http://127.0.0.1:{port}/").text == "shop v1"
    plan = fleet.post("/api/v1/deployments", {**plan_wish, "dryRun": True})
    assert "this will cause downtime" in " ".join(each["text"] for each in plan["warnings"])

    strategy = [{"batchSize": 1, "autoRollback": True}]
    fleet.until_status(fleet.deploy("v2", strategy=strategy), "rolled_back", at_most=60)
    assert httpx.get(f"http://127.0.0.1:{port}/").text == "shop v1"
    fleet.until_status(fleet.deploy("v3", strategy=strategy), "success", at_most=60)
    assert httpx.get(f"http://127.0.0.1:{port}/").text == "shop v3"

    agents = fleet.get("/api/release/agents")["items"]
    place = "/api/release/agents/" + next(a["id"] for a in agents if a["name"] == "dockerhost")
    facts = until(lambda: fleet.get(place)["facts"].get("containers"))
    assert "shop" in {each["name"] for each in facts}
    host.stop()
    fleet.agents.remove(host)
