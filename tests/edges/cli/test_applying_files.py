"""Projects as files: applied by name, twice is as good as once, every mistake has file and line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

SHOP = """\
project: shop
description: The shop
applications:
  - name: web
    driver: git_pull
    spec:
      repository: https://example.org/shop.git
      path: /srv/shop
    health_check: {type: http, url: "http://{target}:8000/healthz"}
environments:
  - name: prod
    kind: prod
    targets:
      - name: one
        agent: node-1
      - {name: two, agent: node-2}
versions:
  - name: v1
    git: {repository: https://example.org/shop.git, ref: v1}
"""


@pytest.fixture
def fleet(server: Any) -> Any:
    """A server that has agents and nothing else."""
    for name in ("node-1", "node-2"):
        server.add("agents", name=name, online=True)
    return server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


def deeds(ran: Any) -> list[tuple[str, str, str]]:
    return [(each["deed"], each["noun"], each["name"]) for each in ran.document["changes"]]


def test_everything_that_is_missing_is_made_from_the_top_down(
    fleet: Any, boreas: Any, file: Path
) -> None:
    ran = boreas("apply", "-f", file, "-o", "json")

    assert deeds(ran) == [
        ("create", "project", "shop"),
        ("create", "application", "web"),
        ("create", "environment", "prod"),
        ("create", "target", "one"),
        ("create", "target", "two"),
        ("create", "version", "v1"),
    ]


def test_applying_twice_changes_nothing(fleet: Any, boreas: Any, file: Path) -> None:
    boreas("apply", "-f", file)
    before = len(fleet.changes())

    ran = boreas("apply", "-f", file, "-o", "json")

    assert deeds(ran) == []
    assert len(fleet.changes()) == before


def test_defaults_that_the_server_fills_in_are_no_difference(
    fleet: Any, boreas: Any, file: Path
) -> None:
    boreas("apply", "-f", file)
    project = fleet.objects["projects"][0]["id"]
    check = fleet.objects[f"projects/{project}/applications"][0]["health_check"]
    check.update(interval=1.0, timeout=5.0)

    assert deeds(boreas("apply", "-f", file, "-o", "json")) == []


def test_only_what_differs_is_sent_and_shown(fleet: Any, boreas: Any, file: Path) -> None:
    boreas("apply", "-f", file)
    file.write_text(SHOP.replace("/srv/shop", "/srv/store"))

    ran = boreas("apply", "-f", file)

    how, _, body = fleet.asked[-1]
    assert (how, set(body)) == ("PATCH", {"spec"})
    assert "~ application web" in ran.err
    assert "/srv/shop" in ran.err
    assert "/srv/store" in ran.err


def test_a_dry_run_changes_nothing(fleet: Any, boreas: Any, file: Path) -> None:
    ran = boreas("apply", "-f", file, "--dry-run")

    assert "+ project shop" in ran.out
    assert fleet.changes() == []


def test_pruning_deletes_what_the_files_do_not_name_but_never_a_version(
    fleet: Any, boreas: Any, file: Path
) -> None:
    boreas("apply", "-f", file)
    document = yaml.safe_load(SHOP)
    document["environments"][0]["targets"].pop()
    document["versions"] = []
    file.write_text(yaml.safe_dump(document))

    kept = boreas("apply", "-f", file, "-o", "json")
    pruned = boreas("apply", "-f", file, "--prune", "-o", "json")

    assert deeds(kept) == []
    assert deeds(pruned) == [("delete", "target", "two")]


def test_a_version_never_changes(fleet: Any, boreas: Any, file: Path) -> None:
    boreas("apply", "-f", file)
    file.write_text(SHOP.replace("ref: v1", "ref: main"))
    before = len(fleet.changes())

    ran = boreas("apply", "-f", file)

    assert ran.code == 5
    assert "give the new version a new name" in ran.err
    assert "shop.yaml:18" in ran.err
    assert len(fleet.changes()) == before


def test_a_directory_is_applied_whole(fleet: Any, boreas: Any, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    (directory / "deep").mkdir(parents=True)
    (directory / "a.yaml").write_text("project: shop\n")
    (directory / "deep" / "b.yml").write_text("project: shop\nversions: [{name: v1}]\n")

    ran = boreas("apply", "-f", directory, "-o", "json")

    assert deeds(ran) == [("create", "project", "shop"), ("create", "version", "v1")]


@pytest.mark.parametrize(
    ("wrong", "right", "place", "mend"),
    [
        ("    kind: prod", "    kind: production", "shop.yaml:12: environments[0].kind", "staging"),
        (
            "      path: /srv",
            "      paht: /srv",
            "shop.yaml:8: applications[0].spec.paht",
            "`path`",
        ),
        (
            "      path: /srv/shop",
            "      path: srv",
            "shop.yaml:8: applications[0].spec.path",
            "/srv",
        ),
        ("  - name: web", "  - nmae: web", "shop.yaml:4: applications[0].nmae", "`name`"),
        ("versions:", "version:", "shop.yaml:17: version", "`versions`"),
        ("{name: two,", "{name: one,", "shop.yaml:16: environments[0].targets[1].name", "keep one"),
    ],
)
def test_a_mistake_is_named_with_file_line_field_and_mend(
    fleet: Any, boreas: Any, file: Path, wrong: str, right: str, place: str, mend: str
) -> None:
    assert wrong in SHOP
    file.write_text(SHOP.replace(wrong, right, 1))

    ran = boreas("apply", "-f", file)

    assert ran.code == 2
    line = next(each for each in ran.err.splitlines() if place in each)
    assert mend in line
    assert fleet.asked == []


def test_all_mistakes_are_told_at_once(fleet: Any, boreas: Any, file: Path) -> None:
    file.write_text(SHOP.replace("kind: prod", "kind: x").replace("driver: git_pull", "driver: y"))

    ran = boreas("apply", "-f", file)

    assert "2 mistakes" in ran.err


def test_a_refusal_of_the_server_points_into_the_file(fleet: Any, boreas: Any, file: Path) -> None:
    boreas("apply", "-f", file)
    project = fleet.objects["projects"][0]["id"]
    errors = [{"field": "git.ref", "problem": "there is no tag", "mend": "push it"}]
    fleet.refusals["POST", f"/api/release/projects/{project}/versions"] = (422, {"errors": errors})
    file.write_text(SHOP.replace("name: v1", "name: v2"))

    ran = boreas("apply", "-f", file)

    assert ran.code == 2
    assert "shop.yaml:19: versions[0].git.ref: there is no tag; push it" in ran.err


@pytest.mark.parametrize("text", ["a: [", "{", "project: shop\n\tx: 1"])
def test_what_is_no_yaml_has_a_line_too(boreas: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)

    ran = boreas("apply", "-f", tmp_path / "bad.yaml")

    assert ran.code == 2
    assert "bad.yaml:" in ran.err


@pytest.mark.parametrize(
    "text", ["- 1", "just words", "project: [x]", "applications: 3\nproject: a"]
)
def test_yaml_of_another_shape_is_refused_in_words(boreas: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_text(text)

    ran = boreas("apply", "-f", tmp_path / "odd.yaml")

    assert ran.code == 2
    assert "odd.yaml:1" in ran.err


def test_what_is_exported_can_be_applied_and_differs_in_nothing(
    fleet: Any, boreas: Any, file: Path, tmp_path: Path
) -> None:
    boreas("apply", "-f", file)
    again = tmp_path / "again.yaml"

    boreas("export", "shop", "-f", again)

    assert deeds(boreas("apply", "-f", again, "-o", "json")) == []
    assert yaml.safe_load(again.read_text())["environments"][0]["targets"][1] == {
        "name": "two",
        "agent": "node-2",
    }


def test_an_export_pins_versions_to_their_commits(shop: Any, boreas: Any) -> None:
    project = shop.objects["projects"][0]["id"]
    git = {"repository": "https://x.org/a", "ref": "main", "commit": "a" * 40}
    shop.objects[f"projects/{project}/versions"][0]["git"] = git

    document = boreas("export", "shop", "-o", "json").document[0]

    assert document["versions"][0]["git"] == {
        "repository": "https://x.org/a",
        "commit": "a" * 40,
    }
