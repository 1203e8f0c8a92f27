"""A workflow template from file to fleet: a false condition, a retry that helps, a stage approval.

By the command line alone, against a real server and real agents.
"""

from pathlib import Path
from typing import Any

import pytest
from tests.support.boreas_cli import Cli
from tests.support.installation import PASSWORD, Installation
from tests.support.live import Live
from tests.support.waiting import until

TEMPLATE = """\
description: The shop, with a flaky test.
variables:
  NOTIFY: team
stages:
  - name: Check
    tasks:
      - id: unit-test
        type: test
        matrix: {applications: all}
        retry: {count: 2, delay: 1s}
        command: |
          echo "COVERAGE=81" >> "$BOREAS_OUTPUTS"
          test -e "%(notes)s/once.$BOREAS_APPLICATION" && exit 0
          touch "%(notes)s/once.$BOREAS_APPLICATION"
          exit 7
      - id: seed
        command: touch %(notes)s/seeded
        when: environment.kind in ["dev", "test"]
      - id: lint
        command: exit 1
  - name: Deploy
    approval: true
    continue_on: failure
    tasks:
      - id: deploy
        name: Put out {application}
        type: deploy
        matrix: {applications: all}
  - name: Afterwards
    tasks:
      - id: report
        command: echo "$NOTIFY" > %(notes)s/report
        when: tasks["unit-test"].outputs.COVERAGE == "81" && tasks.lint.status == "failed"
      - id: alarm
        command: touch %(notes)s/alarm
        when: tasks["unit-test"].exit_code != 0
"""


@pytest.fixture
def shop(installation: Installation, live: Live) -> Installation:
    """`api` and `web` on two nodes."""
    installation.add_agents(2)
    installation.make_project("shop", targets=["n1", "n2"])
    installation.make_script("api", live.deploy())
    installation.make_script("web", live.deploy())
    installation.make_version("v1")
    return installation


@pytest.fixture
def cli(shop: Installation, tmp_path: Path) -> Cli:
    """Signed in as the admin."""
    cli = Cli(tmp_path / "home", shop.url)
    cli.home.mkdir()
    cli.good("login", "-u", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    return cli


def statuses(found: Any) -> dict[str, str]:
    return {it["id"]: "skipped" if it["skipped"] else it["status"] for it in found["tasks"]}


def test_from_a_file_to_the_fleet(shop: Installation, cli: Cli, live: Live, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    file = tmp_path / "release.yaml"

    # A mistake is told with its line before anything is saved.
    file.write_text((TEMPLATE % {"notes": notes}).replace("environment.kind", "environment.kid"))
    refused = cli.run("workflows", "save", "shop", "release", "-f", file)
    assert refused.returncode != 0
    assert "line 18, column 26" in refused.stderr
    assert "environment.kid" in refused.stderr

    file.write_text(TEMPLATE % {"notes": notes})
    assert "version 1" in cli.good("workflows", "save", "shop", "release", "-f", file)

    drawn = cli.good("workflows", "preview", "shop", "prod", "v1", "release")
    assert "stage Deploy, after approval" in drawn
    assert '- seed (custom) on n1: the condition `environment.kind in ["dev", "test"]`' in drawn
    assert '(environment.kind is "prod")' in drawn

    made = cli.document(
        "deploy", "shop", "prod", "v1", "--workflow", "release@1", "--var", "NOTIFY=ops"
    )
    deployment = made["id"]
    waiting = shop.until_status(deployment, "waiting_confirm")
    assert statuses(waiting) == {
        "unit-test-api": "success",
        "unit-test-web": "success",
        "seed": "skipped",
        "lint": "failed",
        "deploy-api": "blocked",
        "deploy-web": "blocked",
        "report": "blocked",
        "alarm": "blocked",
    }
    attempts = next(it for it in waiting["tasks"] if it["id"] == "unit-test-api")["executions"]
    assert [(it["attempt"], it["state"], it["exitCode"]) for it in attempts] == [
        (1, "failed", 7),
        (2, "success", 0),
    ]
    assert live.versions("api") == {}

    cli.good("confirm", deployment)
    ended = shop.until_status(deployment, "success", "failed")
    assert ended["status"] == "success", ended["errorMessage"]
    assert "lint failed on n1" in ended["errorMessage"]
    assert live.everywhere("api") == live.everywhere("web") == {"v1"}
    assert statuses(ended)["report"] == "success"
    assert statuses(ended)["alarm"] == "skipped"
    assert (notes / "report").read_text() == "ops\n"
    assert not (notes / "seeded").exists()
    assert not (notes / "alarm").exists()

    # The deployment keeps what it was made of.
    file.write_text("tasks:\n  - {id: only, command: 'true'}\n")
    assert "version 2" in cli.good("workflows", "save", "shop", "release", "-f", file, "-m", "less")
    copy = shop.get(f"/api/v1/deployments/{deployment}/workflow")
    assert copy["text"] == TEMPLATE % {"notes": notes}

    told = cli.good("workflows", "versions", "shop", "release", "--diff")
    assert "version 2 by admin" in told
    assert "+  - {id: only, command: 'true'}" in told
    assert "version 1 is version 3 again" in cli.good("workflows", "restore", "shop", "release", 1)
    assert cli.good("workflows", "show", "shop", "release") == TEMPLATE % {"notes": notes}

    shop.post("/api/release/projects", {"name": "depot"})
    cli.good("workflows", "copy", "shop", "release", "depot")
    assert "release" in cli.good("workflows", "list", "depot")

    again = shop.deploy("v2", workflowId="release", variables={"NOTIFY": "night"})
    until(lambda: shop.deployment(again)["status"] == "waiting_confirm", at_most=40)
    shop.act(again, "reject", {"comment": "not now"})
    shop.until_status(again, "cancelled")
