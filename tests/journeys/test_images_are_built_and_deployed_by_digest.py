"""Builds on a real engine, pushed to a registry behind a password, deployed by their digest."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys.test_by_curl_git_and_containers import engine
from tests.support import traces
from tests.support.docker_engine import make_image
from tests.support.git_host import GitHost
from tests.support.installation import Installation, free_port
from tests.support.registry import running_registry
from tests.support.waiting import until

__all__ = ["engine"]

KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="
PASSWORD = "r3gistry p@ss"
TOKEN = "t0ken-of-the-build"
DOCKERFILE = """\
FROM shop:v1
COPY page /www/index.html
RUN --mount=type=secret,id=TOKEN test -s /run/secrets/TOKEN && cat /run/secrets/TOKEN
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with running_registry(PASSWORD) as address:
        yield address


@pytest.fixture
def whole(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A server with a key, and one node that builds and runs containers."""
    if not Path("/bin/busybox").exists():
        pytest.skip("needs busybox-static")
    make_image(engine, tmp_path / "images", "v1")
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    monkeypatch.setenv("DOCKER_HOST", engine)
    whole = Installation(tmp_path / "boreas")
    try:
        whole.add_server()
        whole.add_agents(1, labels={"builder": "yes"})
        whole.make_project(targets=["n1"], kind="dev")
        yield whole
    finally:
        whole.stop()


class Shop:
    """An application that is built from a repository."""

    def __init__(self, whole: Installation, directory: Path, registry: str) -> None:
        self.whole = whole
        self.port = free_port()
        self.git = GitHost(directory).make()
        data = {"registry": registry, "username": "ada", "password": PASSWORD}
        wish = {"name": "registry", "type": "registry", "scope": "project"}
        credential = whole.post(
            "/api/release/credentials", {**wish, "project_id": whole.project, "data": data}
        )["id"]
        place = f"/api/release/projects/{whole.project}/variables"
        items = [{"name": "TOKEN", "value": TOKEN, "secret": True}]
        assert whole.call("PUT", place, {"items": items}).is_success
        build = {"registry_id": credential, "secrets": ["TOKEN"], "repository": self.address}
        spec = {
            "image": f"{registry}/shop/shop:{{version}}",
            "name": "shop",
            "ports": [f"{self.port}:8080"],
            "registry_id": credential,
        }
        self.id = whole.post(
            f"/api/release/projects/{whole.project}/applications",
            {"name": "shop", "driver": "container", "spec": spec, "build": build},
        )["id"]

    @property
    def address(self) -> str:
        return f"file://{self.git.bare}"

    def version(self, name: str, page: str, dockerfile: str = DOCKERFILE) -> str:
        self.git.commit("page", page)
        commit = self.git.commit("Dockerfile", dockerfile + f"# {name}\n")
        return self.whole.make_version(name, git={"repository": self.address, "commit": commit})

    def change(self, **build: Any) -> None:
        """Say something else about how it is built."""
        path = f"/api/release/applications/{self.id}"
        known = self.whole.get(path)["build"]
        changed = {name: it for name, it in {**known, **build}.items() if it is not None}
        assert self.whole.call("PATCH", path, {"build": changed}).is_success

    def build(self, version: str) -> Any:
        path = f"/api/release/projects/{self.whole.project}/build"
        return self.whole.post(path, {"version_id": version})

    def until(self, build: str, *wanted: str, at_most: float = 60) -> Any:
        def look() -> Any:
            found = self.whole.get(f"/api/release/builds/{build}")
            return found if found["status"] in wanted else None

        return until(look, at_most=at_most)

    def said(self, build: str) -> str:
        lines = self.whole.get(f"/api/release/builds/{build}/logs?tail=5000")["logs"]
        return "\n".join(line["message"] for line in lines)


@pytest.fixture
def shop(whole: Installation, tmp_path: Path, registry: str, engine: str) -> Iterator[Shop]:
    yield Shop(whole, tmp_path / "git", registry)
    # The engine serves all tests here, and a container of another installation is in the way.
    ours = subprocess.run(
        ["docker", "-H", engine, "ps", "--all", "--quiet"], capture_output=True, text=True
    )
    if left := ours.stdout.split():
        subprocess.run(["docker", "-H", engine, "rm", "--force", *left], capture_output=True)


def running_image(engine: str) -> str:
    argv = ["docker", "-H", engine, "inspect", "shop", "--format", "{{.Config.Image}}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_a_deployment_builds_pushes_and_runs_what_it_built_by_digest(
    whole: Installation, shop: Shop, engine: str
) -> None:
    version = shop.version("v1", "shop one")
    wish = {"versionId": version, "environmentId": whole.environment}
    plan = whole.post("/api/v1/deployments", {**wish, "dryRun": True})
    assert [it["type"] for it in plan["tasks"]] == ["build", "deploy"]

    deployment = whole.post("/api/v1/deployments", wish)["id"]
    whole.until_status(deployment, "success", at_most=90)

    [image] = whole.get(f"/api/release/versions/{version}/images")["items"]
    assert running_image(engine).endswith("@" + image["digest"])
    page = until(lambda: httpx.get(f"http://127.0.0.1:{shop.port}/").text.strip(), at_most=10)
    assert page == "shop one"
    [build] = whole.get(f"/api/release/projects/{whole.project}/builds")["items"]
    assert build["status"] == "success"
    assert build["digest"] == image["digest"]
    said = shop.said(build["id"])
    assert TOKEN not in said
    assert "***" in said

    # The same version goes elsewhere as the same digest, without another build.
    again = whole.post("/api/v1/deployments", wish)
    assert [it["type"] for it in again["tasks"]] == ["deploy"]
    whole.until_status(again["id"], "success", at_most=60)
    assert not traces.in_files((TOKEN, PASSWORD), whole.directory)


def test_a_build_of_its_own_is_followed_live_and_stopped(whole: Installation, shop: Shop) -> None:
    slow = DOCKERFILE + "RUN echo begun; sleep 120\n"
    build = shop.build(shop.version("slow", "x", slow))
    assert build["status"] == "pending"
    path = f"/api/release/builds/{build['id']}/logs/stream"
    headers = {"Authorization": f"Bearer {whole.token}"}
    with httpx.stream("GET", whole.url + path, headers=headers, timeout=60) as stream:
        assert any("begun" in line for line in stream.iter_lines())

    whole.post(f"/api/release/builds/{build['id']}/cancel")

    assert shop.until(build["id"], "cancelled", at_most=30)["error"]
    until(lambda: not _sleeping(), at_most=20)


def _sleeping() -> list[str]:
    found = subprocess.run(["pgrep", "-f", "sleep 120"], capture_output=True, text=True)
    return found.stdout.split()


def test_an_agent_that_is_killed_in_the_middle_of_a_build_takes_it_up_again(
    whole: Installation, shop: Shop
) -> None:
    slow = DOCKERFILE + "RUN echo begun; sleep 4; echo ended\n"
    build = shop.build(shop.version("killed", "x", slow))
    until(lambda: "begun" in shop.said(build["id"]), at_most=60)

    whole.agents[0].kill()
    whole.agents[0].start()

    done = shop.until(build["id"], "success", "failed", at_most=60)
    assert done["status"] == "success", done["error"]
    assert done["digest"].startswith("sha256:")


def test_a_registry_that_refuses_is_said_in_its_words(whole: Installation, shop: Shop) -> None:
    path = f"/api/release/applications/{shop.id}"
    build = {"target_image": "127.0.0.1:1/shop/shop:{{version}}", "secrets": ["TOKEN"]}
    assert whole.call("PATCH", path, {"build": build}).is_success
    started = shop.build(shop.version("refused", "x"))

    failed = shop.until(started["id"], "failed")

    assert "could not be pushed" in failed["error"]
    assert "connection refused" in shop.said(started["id"])


def test_a_build_that_never_ends_and_forks_is_stopped_and_its_slot_is_free(
    whole: Installation, shop: Shop
) -> None:
    shop.change(timeout_seconds=5)
    slow = DOCKERFILE + "RUN sleep 120 & sleep 120\n"
    endless = shop.build(shop.version("endless", "x", slow))

    failed = shop.until(endless["id"], "failed")

    assert failed["error"] == "took longer than 5 s and was stopped"
    until(lambda: not _sleeping(), at_most=20)
    shop.change(timeout_seconds=60)
    after = shop.build(shop.version("after", "y"))
    assert shop.until(after["id"], "success", "failed")["status"] == "success"


def test_a_push_to_a_registry_that_does_not_answer_is_stopped(
    whole: Installation, shop: Shop
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        shop.change(registry_id=None, target_image=f"{place}/shop/shop:{{{{version}}}}")
        build = shop.build(shop.version("silent", "x"))
        until(lambda: "The push refers to repository" in shop.said(build["id"]), at_most=60)

        whole.post(f"/api/release/builds/{build['id']}/cancel")

        stopped = shop.until(build["id"], "cancelled", "failed", at_most=30)
    assert stopped["status"] == "cancelled"
    assert not whole.get(f"/api/release/versions/{build['version_id']}/images")["items"]


def test_one_goes_back_to_the_digest_that_was_built(
    whole: Installation, shop: Shop, engine: str
) -> None:
    images = []
    for name in ("first", "second"):
        version = shop.version(name, f"shop {name}")
        wish = {"versionId": version, "environmentId": whole.environment}
        deployment = whole.post("/api/v1/deployments", wish)["id"]
        whole.until_status(deployment, "success", at_most=90)
        images += whole.get(f"/api/release/versions/{version}/images")["items"]
    assert running_image(engine).endswith("@" + images[1]["digest"])

    back = whole.post(f"/api/v1/deployments/{deployment}/rollback")["id"]

    whole.until_status(back, "rolled_back", "success", at_most=60)
    assert running_image(engine).endswith("@" + images[0]["digest"])


def test_a_build_waits_for_its_builder_and_says_for_whom(whole: Installation, shop: Shop) -> None:
    version = shop.version("later", "x")
    whole.agents[0].stop()
    until(lambda: not whole.online(), at_most=30)
    build = shop.build(version)
    assert build["builder"] == "builder n1"
    until(
        lambda: (
            "agent n1, which is offline"
            in str(whole.deployment(build["deployment_id"])["waitingFor"])
        ),
        at_most=20,
    )

    whole.agents[0].start()

    assert shop.until(build["id"], "success", "failed")["status"] == "success"
