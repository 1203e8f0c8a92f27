"""Credentials by name, secrets by reference, windows, members and orders: compared and applied."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from boreas.cli.main import main

PLACE = "/api/release"


@pytest.fixture
def fleet(server: Any) -> Any:
    """A server that has agents and nothing else."""
    for name in ("node-1", "node-2"):
        server.add("agents", name=name, online=True)
    return server


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes the one file of the project."""

    def as_file(text: str) -> Path:
        path = tmp_path / "shop.yaml"
        path.write_text("project: shop\n" + text)
        return path

    return as_file


def deeds(ran: Any) -> list[tuple[str, str, str]]:
    return [(each["deed"], each["noun"], each["name"]) for each in ran.document["changes"]]


GIT = """\
credentials:
  - {name: forge, type: access_token, value_from: {env: FORGE}}
applications:
  - name: web
    driver: git_pull
    spec: {repository: "https://x.org/a.git", path: /srv/a, git_credential: forge}
"""


def test_a_credential_is_made_before_what_names_it_and_named_by_its_id(
    fleet: Any, boreas: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGE", "a-token")

    ran = boreas("apply", "-f", write(GIT), "-o", "json")

    assert deeds(ran) == [
        ("create", "project", "shop"),
        ("create", "credential", "forge"),
        ("create", "application", "web"),
    ]
    (made,) = fleet.objects["credentials"]
    assert made["data"] == {"token": "a-token"}
    project = fleet.objects["projects"][0]["id"]
    (body,) = fleet.bodies("POST", f"{PLACE}/projects/{project}/applications")
    assert body["spec"]["git_credential_id"] == made["id"]
    assert "git_credential" not in body["spec"]
    assert "a-token" not in ran.out + ran.err
    assert deeds(boreas("apply", "-f", write(GIT), "-o", "json")) == []


def test_a_new_secret_without_a_source_is_told_before_anything_is_sent(
    fleet: Any, boreas: Any, write: Any
) -> None:
    ran = boreas("apply", "-f", write("credentials: [{name: forge, type: ssh}]\n"))

    assert ran.code == 2
    assert "shop.yaml:2: credentials[0].value_from: is missing" in ran.err
    assert "{env: NAME}" in ran.err
    assert fleet.changes() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("credentials: [{name: a, type: ssh, private_key: XYZ}]", "private_key: stands here in"),
        ("credentials: [{name: a, type: ssh, value_from: XYZ}]", "value_from: is a text"),
        ("credentials: [{name: a, type: ssh, username: XYZ}]", "username: does not belong"),
        ("variables: {A: {value: XYZ, value_from: {env: A}}}", "variables.A.value: stands here"),
        ("variables: {BOREAS_A: XYZ}", "variables.BOREAS_A: starts with"),
        ("environments: [{name: a, windows: [{name: w, kind: allow}]}]", "windows[0]: is neither"),
        (
            "environments: [{name: a, windows: [{name: w, kind: allow, time_zone: Mars}]}]",
            "time_zone: is no known time zone",
        ),
        ("workflows: [{name: w, file: nowhere.yaml}]", "workflows[0].file:"),
        ("workflows: [{name: w, text: 'stagez: []'}]", "did you mean `stages`"),
        ("description: a\ndescription: b", "description: stands here twice"),
        (
            "applications: [{name: w, driver: git_pull, spec: {repository: 'https://x.org/a', "
            "path: /srv/a, git_credential_id: cred_1}}]",
            "write `git_credential: <its name>`",
        ),
    ],
)
def test_each_mistake_has_its_line_and_mend_and_repeats_no_secret(
    fleet: Any, boreas: Any, write: Any, text: str, told: str
) -> None:
    ran = boreas("apply", "-f", write(text + "\n"))

    assert ran.code == 2
    assert told in ran.err
    assert "shop.yaml:" in ran.err
    assert "XYZ" not in ran.err
    assert fleet.asked == []


def test_an_unknown_credential_is_named_before_anything_is_sent(
    shop: Any, boreas: Any, write: Any
) -> None:
    text = GIT[GIT.index("applications") :].replace("name: web", "name: other")

    ran = boreas("apply", "-f", write(text))

    assert ran.code == 2
    assert "spec.git_credential: there is no credential 'forge'" in ran.err
    assert shop.changes() == []


def test_variables_are_the_words_of_the_file_and_the_others_stay(
    shop: Any, boreas: Any, write: Any
) -> None:
    project = shop.objects["projects"][0]["id"]
    place = f"projects/{project}/variables"
    shop.objects[place] = [
        {"name": "OLD", "value": "1", "secret": False},
        {"name": "TOKEN", "value": None, "secret": True},
    ]
    file = write("variables: {VERSION: 1.10, ANSWER: no, MODE: 0755, AT: 17:00}\n")

    ran = boreas("apply", "-f", file)

    (body,) = shop.bodies("PUT", f"{PLACE}/{place}")
    assert body["items"][:2] == [{"name": "OLD", "value": "1"}, {"name": "TOKEN", "secret": True}]
    given = {each["name"]: each.get("value") for each in body["items"][2:]}
    assert given == {"VERSION": "1.10", "ANSWER": "no", "MODE": "0755", "AT": "17:00"}
    assert "VERSION: (not set) -> 1.10" in ran.err
    assert deeds(boreas("apply", "-f", file, "-o", "json")) == []
    assert deeds(boreas("apply", "-f", file, "--prune", "-o", "json")) == [
        ("update", "variables", "of project shop")
    ]


def test_a_policy_is_whole_and_its_defaults_are_no_difference(
    shop: Any, boreas: Any, write: Any
) -> None:
    project = shop.objects["projects"][0]["id"]
    (environment,) = shop.objects[f"projects/{project}/environments"]
    environment["approval_policy"] = {"required": 1, "forbid_requester": True, "roles": []}
    text = "environments: [{name: prod, approval_policy: {%s}}]\n"

    same = boreas("diff", "-f", write(text % "forbid_requester: true"))
    other = boreas("diff", "-f", write(text % "required: 1"))

    assert same.code == 0
    assert other.code == 12
    assert "~ environment prod" in other.out


def test_targets_take_the_order_of_the_file(shop: Any, boreas: Any, write: Any) -> None:
    shop.add("agents", name="node-2", online=True)
    text = "environments: [{name: prod, targets: [%s]}]\n"
    one, two = "{name: one, agent: node-1}", "{name: two, agent: node-2}"
    boreas("apply", "-f", write(text % f"{one}, {two}"))

    ran = boreas("apply", "-f", write(text % f"{two}, {one}"), "-o", "json")

    assert deeds(ran) == [("update", "order", "of targets")]
    assert boreas("diff", "-f", write(text % f"{two}, {one}")).code == 0


def test_pruning_touches_only_lists_that_a_file_speaks_of(
    shop: Any, boreas: Any, write: Any
) -> None:
    assert deeds(boreas("apply", "-f", write(""), "--prune", "-o", "json")) == []

    ran = boreas("apply", "-f", write("applications: []\n"), "--prune", "-o", "json")

    assert deeds(ran) == [("delete", "application", "web"), ("delete", "application", "api")]


def test_owners_are_made_before_owners_go_and_the_caller_goes_last(
    shop: Any, boreas: Any, write: Any
) -> None:
    project = shop.objects["projects"][0]["id"]
    for name, role in (("ada", "owner"), ("bob", "owner"), ("carl", "viewer")):
        shop.add(f"projects/{project}/members", user={"username": name}, role=role)
    file = write("members: [{user: carl, role: owner}]\n")

    ran = boreas("apply", "-f", file, "--prune", "-o", "json")

    assert deeds(ran) == [
        ("update", "member", "carl"),
        ("delete", "member", "bob"),
        ("delete", "member", "ada"),
    ]


def test_owners_stay_while_the_files_name_none(shop: Any, boreas: Any, write: Any) -> None:
    project = shop.objects["projects"][0]["id"]
    shop.add(f"projects/{project}/members", user={"username": "ada"}, role="owner")

    ran = boreas("apply", "-f", write("members: []\n"), "--prune")

    assert ran.code == 0
    assert "= member ada" in ran.err
    assert shop.changes() == []


def test_a_credential_that_something_else_uses_stays(shop: Any, boreas: Any, write: Any) -> None:
    project = shop.objects["projects"][0]["id"]
    found = shop.add("credentials", name="forge", type="ssh", scope="project", project_id=project)
    refusal = {"code": "credential_in_use", "detail": "is used by deployment #3"}
    shop.refusals["DELETE", f"{PLACE}/credentials/{found['id']}"] = (409, refusal)

    ran = boreas("apply", "-f", write("credentials: []\n"), "--prune")

    assert ran.code == 0
    assert "credential forge stays: is used by deployment #3" in ran.err


def test_an_editor_gets_the_schema_from_a_file(stranger: Any, tmp_path: Path) -> None:
    file = tmp_path / "project.schema.json"

    assert stranger("schema", "-f", file).code == 0

    assert yaml.safe_load(file.read_text())["properties"]["project"]
    assert '"tasks"' in stranger("schema", "workflow").out


def test_a_template_beside_the_project_is_no_project(
    fleet: Any, boreas: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "all"
    directory.mkdir()
    (directory / "release.yaml").write_text("tasks: [{id: a, type: custom, command: 'true'}]\n")
    (directory / "shop.yaml").write_text(
        "project: shop\nworkflows: [{name: release, file: release.yaml}]\n"
    )

    ran = boreas("apply", "-f", directory, "-o", "json")

    assert deeds(ran) == [("create", "project", "shop"), ("create", "workflow", "release")]
    assert main(["diff", "-f", str(directory)]) == 0


def test_a_global_credential_that_an_own_one_hides_comes_out_and_goes_in_again(
    shop: Any, boreas: Any, tmp_path: Path
) -> None:
    project = shop.objects["projects"][0]["id"]
    shop.add("credentials", name="forge", type="ssh", scope="project", project_id=project)
    hidden = shop.add("credentials", name="forge", type="ssh", scope="global", project_id=None)
    (web, _) = shop.objects[f"projects/{project}/applications"]
    spec = {"repository": "https://x.org/a", "path": "/srv/a", "git_credential_id": hidden["id"]}
    web.update(driver="git_pull", spec=spec)
    shop.objects[f"projects/{project}/applications"].remove(
        shop.objects[f"projects/{project}/applications"][1]
    )
    for place in ("projects/" + project, f"applications/{web['id']}"):
        shop.objects[f"{place}/variables"] = []
    file = tmp_path / "out.yaml"

    assert boreas("export", "shop", "-f", file).code == 0

    written = yaml.safe_load(file.read_text())
    assert written["applications"][0]["spec"]["git_credential"] == "global:forge"
    assert [it.get("scope", "project") for it in written["credentials"]] == ["project", "global"]
    assert boreas("diff", "-f", file, "--prune").code == 0
