"""Everything a project holds, from files to a server, out again and into an empty one."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
import yaml
from tests.support.boreas_cli import Cli
from tests.support.installation import PASSWORD, Installation

from boreas.domain.manifests.schema import SCHEMA

KEY = "MTmqmsmpLxnOPpYGCJuzNqBzTnCKgPG0uRJRCjGEK2A="
SHOP = """\
project: shop
description: The shop
config: {colour: blue}
variables:
  VERSION: 1.10
  ANSWER: no
  API_KEY: {value_from: {env: SHOP_API_KEY}}
credentials:
  - name: forge
    type: username_token
    description: The forge
    username: deploy
    value_from: {file: keys/forge}
  - name: images
    type: registry
    registry: registry.example.org
    username: puller
    value_from: {env: IMAGES_PASSWORD}
  - name: everywhere
    type: access_token
    scope: global
    value_from: {env: EVERYWHERE}
applications:
  - name: web
    driver: git_pull
    spec:
      repository: https://forge.example.org/shop.git
      path: /srv/shop
      git_credential: forge
    health_check: {type: http, url: "http://127.0.0.1:8000/"}
    config: {replicas: 2}
    variables: {PORT: 8000}
  - name: api
    driver: container
    spec: {image: "registry.example.org/api:{version}", name: api, registry_credential: images}
    build:
      repository: https://forge.example.org/api.git
      git_credential: everywhere
      registry_credential: images
      build_args: {GO: "1.22"}
environments:
  - name: staging
    kind: staging
    targets: [{name: first, agent: n1}]
  - name: prod
    kind: prod
    queue_policy: coalesce
    approval_policy: {required: 2, roles: [maintainer, owner], users: [carl]}
    windows:
      - {name: office, kind: allow, time_zone: Europe/Berlin, days: [fri, mon], begin: 09:00,
         end: 17:00}
      - {name: year, kind: freeze, starts_at: 2026-12-20T00:00:00+01:00,
         ends_at: 2027-01-02T00:00:00+01:00, skippable: false}
    config: {colour: red}
    variables:
      API_KEY: {value_from: {env: PROD_API_KEY}}
    targets:
      - {name: one, agent: n1}
      - {name: two, agent: n1}
promotion_order: [staging, prod]
workflows:
  - name: release
    description: The usual way
    file: workflows/release.yaml
versions:
  - name: v1
    artifacts: {api: {image: "registry.example.org/api:1"}}
    config: {a: 1}
members:
  - {user: admin, role: owner}
  - {user: carl, role: developer}
"""
WORKFLOW = """\
stages:
  - name: Check
    tasks:
      - {id: smoke, type: custom, command: "true"}
"""
SECRETS = {
    "SHOP_API_KEY": "a-key-of-the-shop",
    "IMAGES_PASSWORD": "password-of-images",
    "EVERYWHERE": "token-for-everywhere",
    "PROD_API_KEY": "a-key-of-production",
}
FORGE = "password-of-the-forge"


class CliWithSecrets(Cli):
    """The command line of a CI job, which gets secrets in its environment."""

    secrets: dict[str, str] = {}  # noqa: RUF012 - each test sets its own

    def environ(self) -> dict[str, str]:
        return {**super().environ(), **self.secrets}


def signed_in(directory: Path) -> tuple[Installation, CliWithSecrets]:
    """A server with one agent and carl, and the admin's command line."""
    directory.mkdir()
    whole = Installation(directory)
    try:
        whole.add_server()
        whole.add_agents(1)
        person = {"username": "carl", "password": "a long enough password"}
        whole.post("/api/release/users", {**person, "display_name": "Carl", "email": ""})
        cli = CliWithSecrets(directory / "home", whole.url)
        cli.home.mkdir()
        cli.good("login", "-u", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    except BaseException:
        whole.stop()
        raise
    return whole, cli


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliWithSecrets]:
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    whole, cli = signed_in(tmp_path / "here")
    yield cli
    whole.stop()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliWithSecrets]:
    monkeypatch.setenv("QUIC_FLOW_SECRET_KEY", KEY)
    whole, cli = signed_in(tmp_path / "elsewhere")
    yield cli
    whole.stop()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "keys").mkdir(parents=True)
    (directory / "workflows").mkdir()
    (directory / "shop.yaml").write_text(SHOP)
    (directory / "keys" / "forge").write_text(FORGE + "\n")
    (directory / "workflows" / "release.yaml").write_text(WORKFLOW)
    return directory


def revisions(cli: Cli) -> dict[str, int]:
    listed = cli.document("credentials", "list", "-p", "shop")
    return {each["name"]: each["revision"] for each in listed}


def audited(cli: Cli) -> int:
    return len(cli.document("audit", "list"))


def test_files_go_in_come_out_and_make_the_same_project_elsewhere(
    here: CliWithSecrets, elsewhere: CliWithSecrets, files: Path, tmp_path: Path
) -> None:
    # Nothing is there, and diff says so; a secret that nobody can read is told before anything.
    assert "+ application web" in here.run("diff", "-f", files).stdout
    refused = here.run("apply", "-f", files)
    assert refused.returncode == 2
    assert "shop.yaml:7: variables.API_KEY: the variable SHOP_API_KEY is not set" in refused.stderr
    assert here.document("projects", "list") == []

    here.secrets = SECRETS
    here.good("apply", "-f", files)

    # Twice changes nothing and leaves no trace; nor does it need the secrets.
    here.secrets = {}
    before = audited(here)
    assert here.good("apply", "-f", files).strip() == "Nothing differs."
    assert here.run("diff", "-f", files, "--prune").returncode == 0
    assert audited(here) == before

    # What comes out names every thing and no secret, and is the same again.
    out = tmp_path / "out.yaml"
    here.good("export", "shop", "-f", out)
    text = out.read_text()
    assert text.startswith(f"# yaml-language-server: $schema={here.url}/api/release/schemas/")
    assert [secret for secret in (*SECRETS.values(), FORGE) if secret in text] == []
    exported = yaml.safe_load(text)
    jsonschema_rs.validator_for(SCHEMA).validate(exported)
    assert here.run("diff", "-f", out, "--prune").stdout.strip() == "Nothing differs."

    # An empty installation, given the secrets, gets the same project.
    elsewhere.secrets = {
        "SHOP_API_KEY": "x-key",
        "SHOP_FORGE": "x-forge-password",
        "SHOP_FORGE_USERNAME": "deploy",
        "SHOP_IMAGES": "x-image-password",
        "SHOP_IMAGES_USERNAME": "puller",
        "SHOP_EVERYWHERE": "x-token-elsewhere",
        "SHOP_PROD_API_KEY": "x-prod-key",
    }
    elsewhere.good("apply", "-f", out)
    again = yaml.safe_load(elsewhere.good("export", "shop"))
    assert again == exported
    assert elsewhere.run("diff", "-f", files, "--prune").returncode == 0


def test_secrets_go_only_when_they_are_new_or_asked_for(here: CliWithSecrets, files: Path) -> None:
    here.secrets = SECRETS
    here.good("apply", "-f", files)
    (files / "keys" / "forge").write_text("another-password")
    here.secrets = {**SECRETS, "SHOP_API_KEY": "another-key"}

    here.good("apply", "-f", files)
    kept = revisions(here)
    ran = here.run("apply", "-f", files, "--update-secrets")

    assert ran.returncode == 0, ran.stderr
    assert kept["forge"] == 1
    assert revisions(here) == {**kept, "forge": 2}
    assert "API_KEY: (secret) -> (secret)" in ran.stderr
    assert "another" not in ran.stderr + ran.stdout


def test_pruning_leaves_what_is_used_and_the_last_owner(here: CliWithSecrets, files: Path) -> None:
    here.secrets = SECRETS
    here.good("apply", "-f", files)
    document = yaml.safe_load(SHOP)
    for key in ("credentials", "workflows", "versions", "members"):
        document[key] = []
    document["variables"] = {"VERSION": "1.10"}
    document["environments"] = [{"name": "staging", "kind": "staging", "targets": []}]
    document["promotion_order"] = ["staging"]
    document["applications"][0]["spec"].pop("git_credential")
    document["applications"] = document["applications"][:1]
    document["applications"][0]["spec"]["git_credential"] = "forge"
    few = files / "few.yaml"
    few.write_text(json.dumps(document))

    ran = here.run("apply", "-f", few, "--prune", "-o", "json")

    assert ran.returncode == 0, ran.stderr
    deeds = {(it["deed"], it["noun"], it["name"]) for it in json.loads(ran.stdout)["changes"]}
    assert {it for it in deeds if it[0] == "delete"} == {
        ("delete", "workflow", "release"),
        ("delete", "target", "first"),
        ("delete", "environment", "prod"),
        ("delete", "application", "api"),
        ("delete", "credential", "images"),
        ("delete", "member", "carl"),
    }
    assert "= credential forge" in ran.stderr
    assert "application web uses it" in ran.stderr
    assert "= member admin" in ran.stderr
    left = yaml.safe_load(here.good("export", "shop"))
    assert left["variables"] == {"VERSION": "1.10"}
    assert [it["name"] for it in left["versions"]] == ["v1"]
    assert here.good("apply", "-f", few, "--prune").strip() == "Nothing differs."
