"""`boreas builds`: what is sent, what is shown, and with which code it ends."""

from typing import Any

import pytest

BUILD = {
    "status": "success",
    "image": "registry.example.org/shop/web:v1",
    "digest": "sha256:" + "d" * 64,
    "size": 1234,
    "duration": 7,
    "builder": "forge",
    "error": "",
    "task_id": "web-build",
}


@pytest.fixture
def built(shop: Any) -> Any:
    deployment = shop.add_deployment(status="success")
    place = f"projects/{shop.objects['projects'][0]['id']}/builds"
    build = shop.add(place, **BUILD, deployment_id=deployment["id"])
    line = {"seq": 1, "level": "info", "message": "#5 CACHED", "timestamp": "t", "target": "forge"}
    shop.logs["web-build"] = [line]
    return build


def test_builds_are_listed_with_the_beginning_of_their_digest(built: Any, boreas: Any) -> None:
    ran = boreas("builds", "list", "shop")

    assert ran.code == 0
    assert built["image"] in ran.out
    assert " dddddddddddd " in ran.out
    assert "sha256" not in ran.out


def test_one_is_shown_and_an_unknown_one_is_4(built: Any, shop: Any, boreas: Any) -> None:
    shop.refusals["GET", "/api/release/builds/bui_none"] = (404, {"detail": "no build"})
    assert BUILD["digest"] in boreas("builds", "show", built["id"]).out
    ran = boreas("builds", "show", "bui_none")
    assert ran.code == 4
    assert "boreas builds list" in ran.err


def test_its_log_is_that_of_its_task(built: Any, boreas: Any) -> None:
    assert "#5 CACHED" in boreas("builds", "logs", built["id"]).out
    assert "#5 CACHED" in boreas("builds", "logs", built["id"], "--follow").out


def test_a_build_names_its_version_or_its_branch(shop: Any, boreas: Any) -> None:
    path = f"/api/release/projects/{shop.objects['projects'][0]['id']}/build"
    shop.refusals["POST", path] = (422, {"detail": "no agent builds", "code": "invalid"})

    assert boreas("builds", "start", "shop", "v1", "--app", "web", "--no-cache").code == 2
    assert boreas("builds", "start", "shop", "--ref", "main", "--name", "v9").code == 2

    of_version, of_branch = shop.bodies("POST", path)
    assert set(of_version) == {"application", "version_id", "no_cache"}
    assert of_branch == {"git": {"ref": "main"}, "version": "v9"}


def test_a_build_of_nothing_or_of_two_things_is_2(shop: Any, boreas: Any) -> None:
    for more in ((), ("v1", "--ref", "main")):
        ran = boreas("builds", "start", "shop", *more)
        assert ran.code == 2
        assert "write a VERSION, --ref or --commit" in ran.err
    assert shop.changes() == []
