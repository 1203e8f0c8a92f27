"""What Boreas adds to `docker build` when there is nothing to build: the cache has every layer."""

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.docker_engine import make_image, running_engine
from tests.support.git_host import GitHost

from bench.line import line
from bench.world import World, directory

Line = dict[str, Any]
GOAL = "adds <= 1 s to `docker build` by hand"
ROUNDS = 7
FILES = 200
DOCKERFILE = "FROM shop:v1\nCOPY . /app\nRUN busybox sleep 1; busybox ls /app > /list\n"


def no_change_build() -> Iterator[Line]:
    """The same commit again and again: by Boreas from the request to the end, and by hand."""
    if not Path("/bin/busybox").exists():
        yield line("no_change_build", GOAL, reached=None, skipped="busybox-static is not installed")
        return
    try:
        with directory() as place, running_engine() as engine:
            make_image(engine, place / "images", "v1")
            yield _measured(place, engine)
    except pytest.skip.Exception as reason:
        yield line("no_change_build", GOAL, reached=None, skipped=str(reason))


def _measured(place: Path, engine: str) -> Line:
    host = GitHost(place / "git").make()
    for number in range(FILES):
        (host.clone / f"file{number}").write_text("x" * 1000)
    subprocess.run(["git", "add", "--all"], cwd=host.clone, check=True)
    commit = host.commit("Dockerfile", DOCKERFILE)
    by_hand = _by_hand(engine, host.clone)
    world = World(place / "boreas")
    try:
        by_boreas = _by_boreas(world, engine, f"file://{host.bare}", commit)
        by_hand(), by_boreas()  # the first ones fill the cache
        pairs = [(_timed(by_hand), _timed(by_boreas)) for _ in range(ROUNDS)]
    finally:
        world.stop()
    hand = statistics.median(it for it, _ in pairs)
    boreas = statistics.median(it for _, it in pairs)
    return line(
        "no_change_build",
        GOAL,
        reached=boreas - hand <= 1,
        added_seconds=boreas - hand,
        boreas_seconds=boreas,
        by_hand_seconds=hand,
        rounds=ROUNDS,
    )


def _by_hand(engine: str, context: Path) -> Callable[[], None]:
    argv = [*_client(engine), "build", "--progress=plain", "--tag=shop/by-hand:v1", "."]
    # Without git's own files, which Boreas does not send either.
    (context / ".dockerignore").write_text(".git\n.dockerignore\n")

    def build() -> None:
        subprocess.run(argv, cwd=context, check=True, capture_output=True)

    return build


def _client(engine: str) -> list[str]:
    """The one that builds with BuildKit, and what it needs to be told."""
    told = ["env", "DOCKER_BUILDKIT=1", f"DOCKER_HOST={engine}"]
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found is not None:
            argv = [*told, found, "build", "--help"]
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode == 0 and "--secret" in done.stdout:
                return [*told, found]
    pytest.skip("no docker client here builds with BuildKit")


def _by_boreas(world: World, engine: str, repository: str, commit: str) -> Callable[[], None]:
    world.add_server()
    world.add_agents(1, labels={"builder": "yes"}, environment={"DOCKER_HOST": engine})
    world.make_project()
    build = {"target_image": "shop/web:{{version}}", "push": False}
    body = {"name": "web", "driver": "container", "spec": {"image": "shop/web", "name": "web"}}
    within = f"/api/release/projects/{world.project}"
    world.post(f"{within}/applications", {**body, "build": build})
    git = {"repository": repository, "commit": commit}
    version = world.make_version("v1", git=git)

    def run() -> None:
        made = world.post(f"{within}/build", {"version_id": version})["id"]
        end = time.monotonic() + 30
        while (found := world.get(f"/api/release/builds/{made}"))["status"] != "success":
            assert found["status"] in ("pending", "running"), found["error"]
            assert time.monotonic() < end, "the build did not end"
            time.sleep(0.02)

    return run


def _timed(act: Callable[[], None]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began
