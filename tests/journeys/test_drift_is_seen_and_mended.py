"""Somebody changes a target by hand: what, where and since when is seen; a redeploy mends it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.boreas_cli import Cli
from tests.support.docker_engine import make_image, running_engine
from tests.support.git_host import GitHost
from tests.support.installation import PASSWORD, Installation
from tests.support.waiting import until


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Installation]:
    """A server whose agents look every second, with two of them."""
    whole = Installation(tmp_path)
    try:
        whole.add_server(options=("--observe-seconds", "1"))
        whole.add_agents(2)
        yield whole
    finally:
        whole.stop()


def drift(whole: Installation, environment: str | None = None) -> Any:
    return whole.get(f"/api/release/environments/{environment or whole.environment}/drift")


def until_state(whole: Installation, state: str, environment: str | None = None) -> Any:
    def look() -> Any:
        found = drift(whole, environment)
        return found if found["state"] == state else None

    return until(look, at_most=20, why=lambda: drift(whole, environment))


def of_target(found: Any, target: str) -> Any:
    return next(item for item in found["items"] if item["target"] == target)


def test_a_file_edited_in_the_checkout_is_seen_and_put_back_by_a_redeploy(
    watched: Installation, tmp_path: Path
) -> None:
    git = GitHost(tmp_path / "git").make()
    root = tmp_path / "srv"
    root.mkdir()
    watched.make_project()
    assert drift(watched)["state"] == "unknown"
    spec = {
        **{"repository": f"file://{git.bare}", "path": f"{root}/{{target}}"},
        "post_deploy": "echo $BOREAS_VERSION >> stamp",
    }
    health = {"type": "command", "command": "! grep -q sick page", "interval": 0.1, "retries": 1}
    watched.make_application("site", "git_pull", spec, health)
    git.commit("stamp", "written by post_deploy, which is nobody's mischief\n")
    git.commit("page", "one")
    made = watched.make_version("r1", git={"repository": f"file://{git.bare}", "ref": "main"})
    wish = {"versionId": made, "environmentId": watched.environment}
    watched.until_status(watched.post("/api/v1/deployments", wish)["id"], "success")
    found = until_state(watched, "in_sync")
    assert found["summary"] == {"in_sync": 2, "behind": 0, "drifted": 0, "unknown": 0}

    (root / "n1" / "current" / "page").write_text("by hand")
    found = until_state(watched, "drifted")
    item = of_target(found, "n1")
    assert (item["state"], item["wanted"]) == ("drifted", "r1")
    assert [it["aspect"] for it in item["departures"]] == ["files"]
    assert item["reason"] == "changed by hand: page"
    assert item["since"] is not None
    assert of_target(found, "n2")["state"] == "in_sync"
    first = item["observed_at"]

    def looked_again() -> Any:
        item = of_target(drift(watched), "n1")
        return item if item["observed_at"] > first else None

    again: Any = until(looked_again, at_most=20)
    assert again["since"] == item["since"]

    watched.until_status(watched.post("/api/v1/deployments", wish)["id"], "success")
    until_state(watched, "in_sync")
    assert (root / "n1" / "current" / "page").read_text() == "one"

    current = root / "n2" / "current"
    (current / "page").write_text("sick")
    item = of_target(until_state(watched, "drifted"), "n2")
    assert [it["aspect"] for it in item["departures"]] == ["files", "health"]

    current.unlink()
    until(
        lambda: (
            [it["aspect"] for it in of_target(drift(watched), "n2")["departures"]]
            == ["commit", "health"]
        ),
        at_most=20,
        why=lambda: drift(watched),
    )


def test_a_newer_version_makes_behind_and_an_agent_that_is_away_unknown(
    watched: Installation, tmp_path: Path
) -> None:
    watched.make_project()
    prod = watched.environment
    within = f"/api/release/projects/{watched.project}"
    staging = watched.post(f"{within}/environments", {"name": "staging", "kind": "staging"})["id"]
    watched.post(f"/api/release/environments/{staging}/targets", {"name": "s1", "agent": "n1"})
    watched.call("PATCH", within, {"promotion_order": [staging, prod]})
    watched.make_script("api", "true")
    first = watched.make_version("v1")
    second = watched.make_version("v2")
    for version, environment in ((first, staging), (first, prod), (second, staging)):
        wish = {"versionId": version, "environmentId": environment}
        watched.until_status(watched.post("/api/v1/deployments", wish)["id"], "success")

    item = until_state(watched, "behind", prod)["items"][0]
    assert (item["newer"], item["wanted"], item["seen"]) == ("v2", "v1", "v1")
    assert item["reason"] == "staging, which comes before, runs v2"
    until_state(watched, "in_sync", staging)

    cli = Cli(tmp_path / "home", watched.url)
    cli.home.mkdir()
    cli.good("login", "-u", "admin", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert "staging" in cli.good("drift", "shop", "staging")
    watched.agents[0].stop()
    item = of_target(until_state(watched, "unknown", prod), "n1")
    assert item["reason"] == "the agent n1 is offline"
    assert cli.run("drift", "shop").returncode == 11


def test_a_container_that_was_stopped_changed_or_replaced_is_seen(
    watched: Installation, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/bin/busybox").exists():
        pytest.skip("needs busybox-static")
    for tag in ("v1", "v3"):
        make_image(engine, tmp_path / "images", tag)
    monkeypatch.setenv("DOCKER_HOST", engine)
    watched.agents[0].stop()
    watched.agents[0].start()
    watched.make_project(targets=("n1",))
    watched.make_application("web", "container", {"image": "shop:v1", "name": "web"})
    watched.until_status(watched.deploy("v1"), "success")
    until_state(watched, "in_sync")

    docker(engine, "stop", "-t", "0", "web")
    found = until_state(watched, "drifted")["items"][0]
    assert [it["aspect"] for it in found["departures"]] == ["running"]
    assert found["reason"] == "the container does not run"

    docker(engine, "start", "web")
    until_state(watched, "in_sync")
    docker(engine, "update", "--restart", "no", "web")
    found = until_state(watched, "drifted")["items"][0]
    assert found["reason"] == "the container's restart policy changed"

    docker(engine, "rm", "-f", "web")
    docker(engine, "run", "-d", "--name", "web", "shop:v3")
    until(
        lambda: drift(watched)["items"][0]["reason"] == "something else runs here (shop:v3)",
        at_most=20,
        why=lambda: drift(watched),
    )
    docker(engine, "rm", "-f", "web")
    watched.until_status(watched.deploy("v2"), "success")
    until_state(watched, "in_sync")


def docker(engine: str, *arguments: str) -> None:
    argv = ["docker", "-H", engine, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def engine() -> Iterator[str]:
    with running_engine() as address:
        yield address
