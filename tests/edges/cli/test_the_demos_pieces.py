"""The demo's parts that need no server: ports, repository, image, the project's file."""

import io
import shutil
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from boreas.cli.demo.files import project_document
from boreas.cli.demo.image import image_layer, static_busybox
from boreas.cli.demo.sources import VERSIONS, make_repository
from boreas.cli.demo.story import CHAPTERS, Ending
from boreas.cli.demo.world import HOSTS, World, free_port, new_world
from boreas.cli.manifests.documents import read_projects


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path / "a place with spaces", owner=1)


def test_two_demos_can_stand_side_by_side(tmp_path: Path) -> None:
    one, other = (new_world(tmp_path / name, owner=1) for name in ("one", "other"))

    assert one.name != other.name
    assert len({one.http_port, one.quic_port, other.http_port, other.quic_port}) == 4


def test_a_port_that_is_taken_on_one_address_is_not_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as taken:
        taken.bind((HOSTS[-1], 0))
        monkeypatch.setattr("boreas.cli.demo.world.PORTS", range(taken.getsockname()[1], 65536))

        assert free_port(HOSTS) != taken.getsockname()[1]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_repository_has_a_tag_for_each_version(world: World) -> None:
    make_repository(world)

    tags = subprocess.run(
        ("git", "tag"), cwd=world.repository, capture_output=True, text=True, check=True
    ).stdout
    assert tuple(tags.split()) == VERSIONS


@pytest.mark.parametrize("image", [None, "boreas-demo-x"])
def test_the_projects_file_is_one_that_apply_takes(
    world: World, tmp_path: Path, image: str | None
) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.safe_dump(project_document(world, image=image)))

    (project,) = read_projects(file)

    names = [each.name for each in project.items("applications")]
    assert names == ["settings", "web", "cache"][: 3 if image else 2]
    assert len(project.items("environments")[0].targets or ()) == 6


@pytest.mark.parametrize("place", [0, 1])
def test_scripts_stand_a_directory_with_spaces(world: World, place: int) -> None:
    spec = project_document(world, image=None)["applications"][place]["spec"]
    script = spec.get("post_deploy") or spec["scripts"]["deploy"]

    checked = subprocess.run(("bash", "-n"), input=script, text=True, capture_output=True)

    assert checked.returncode == 0, checked.stderr
    assert f"'{world.state_dir}'/" in script


def test_the_image_is_one_busybox() -> None:
    busybox = static_busybox()
    if busybox is None:
        pytest.skip("no static busybox (apt-get install busybox-static)")

    with tarfile.open(fileobj=io.BytesIO(image_layer(busybox))) as tar:
        assert [(each.name, each.mode) for each in tar] == [("bin/busybox", 0o755)]


def test_a_program_with_libraries_is_no_image() -> None:
    from boreas.cli.demo.image import _is_static

    assert not _is_static(Path(sys.executable).resolve())


@pytest.mark.parametrize(
    ("status", "failed", "good"),
    [
        ("rolled_back", "web", True),
        ("rolled_back", "cache", False),
        ("failed", "web", False),
        ("success", None, False),
    ],
)
def test_going_back_for_another_reason_than_the_broken_version_is_no_success(
    status: str, failed: str | None, good: bool
) -> None:
    tasks = [
        {"application": name, "executions": [{"state": "failed" if name == failed else "success"}]}
        for name in ("settings", "cache", "web")
    ]

    ending = Ending(chapter=CHAPTERS[2], found={"status": status, "tasks": tasks})

    assert ending.as_it_should is good
