"""The main story with the command line alone, as a script uses it: no terminal, exit codes."""

import json
from pathlib import Path

import yaml
from tests.support.boreas_cli import NODES, Cli, write_shop
from tests.support.live import Live
from tests.support.waiting import until


def test_two_applications_go_out_to_six_nodes_and_come_back(
    cli: Cli, live: Live, tmp_path: Path
) -> None:
    file = write_shop(tmp_path / "shop.yaml", live, "v1", "v2", "v3")
    assert "+ application web" in cli.good("apply", "-f", file, "--dry-run")
    assert cli.document("projects", "list") in ([], {"items": [], "next_cursor": None})
    cli.good("apply", "-f", file)
    assert cli.document("apply", "-f", file)["changes"] == []
    exported = tmp_path / "exported.yaml"
    cli.good("export", "shop", "-f", exported)
    assert cli.document("apply", "-f", exported)["changes"] == []

    words = ("shop", "prod", "v1", "--in-order", "api,web", "-s", "canary:10%")
    plan = cli.good("plan", *words)
    assert all(word in plan for word in ("api", "web", "n1", "n6", "first"))
    ran = cli.run("deploy", *words, "--watch")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "\x1b" not in ran.stdout
    assert "success" in ran.stdout
    assert live.versions("api") == live.versions("web") == dict.fromkeys(NODES, "v1")

    steps = tmp_path / "canary.yaml"
    steps.write_text(
        "- {batchSize: 1, canaryRatio: 0.1, autoRollback: true, manualApprovalStatus: null}\n"
        "- {batchSize: 3, canaryRatio: 1, autoRollback: true}\n"
    )
    words = ("shop", "prod", "v2", "--in-order", "api,web", "-s", steps)
    second = cli.document("deploy", *words)["id"]
    for application in ("api", "web"):
        until(lambda: live.versions(application)["n1"] == "v2", at_most=60)  # noqa: B023
        until(lambda: cli.document("status", second)["status"] == "waiting_confirm")
        assert "waits for approval" in cli.good("status", second)
        assert "waits for approval" in cli.good("explain", second)
        cli.good("confirm", second, "--comment", "looks well")
    watched = cli.run("watch", second)
    assert watched.returncode == 0, watched.stdout
    assert live.everywhere("api") == live.everywhere("web") == {"v2"}

    third = cli.run(
        "deploy", "shop", "prod", "v3", "--in-order", "api,web", "-s", "rolling:2", "-w"
    )
    assert third.returncode == 7, third.stdout + third.stderr
    assert live.versions("api") == live.versions("web") == dict.fromkeys(NODES, "v2")
    assert "n1" in third.stdout

    assert cli.run("rollback", second, "--watch").returncode in (0, 7)
    assert live.everywhere("api") == live.everywhere("web") == {"v1"}

    rows = cli.document("list")
    listed = rows["items"] if isinstance(rows, dict) else rows
    assert [each["status"] for each in listed] == ["success", "rolled_back", "success", "success"]
    assert "back from v2 of api, web → prod" in cli.good("list")
    said = cli.good("logs", second, "--grep", "is live on n3")
    assert "web v2 is live on n3" in said
    history = cli.good("history", second)
    assert "looks well" in history
    assert "ada" in history


def test_exit_codes_tell_scripts_what_is_wrong(cli: Cli, live: Live, tmp_path: Path) -> None:
    cli.good("apply", "-f", write_shop(tmp_path / "shop.yaml", live, "v1"))
    assert cli.run("status", "dep_nothing").returncode == 4
    assert cli.run("deploy", "shop", "prod", "v9").returncode == 4
    assert cli.run("deploy", "shop").returncode == 2
    assert cli.run("deploy", "shop", "prod", "v1", "-s", "sideways").returncode == 2
    refused = cli.document("deploy", "nothing", "prod", "v1", code=4)
    assert "nothing" in json.dumps(refused)

    later = cli.document("deploy", "shop", "prod", "v1", "--no-start")["id"]
    assert cli.run("confirm", later).returncode == 5
    assert cli.run("watch", later, "--timeout", "1").returncode == 9
    assert cli.run("cancel", later, "--watch").returncode == 8
    stranger = Cli(tmp_path, cli.url)
    assert stranger.run("list").returncode == 3
    assert Cli(cli.home, "http://127.0.0.1:9").run("list").returncode == 6


def test_pause_retry_skip_and_following_a_log(cli: Cli, live: Live, tmp_path: Path) -> None:
    file = write_shop(tmp_path / "shop.yaml", live, "v1", "v2")
    shop = yaml.safe_load(file.read_text())
    go, mended = live.directory / "go", live.directory / "mended"
    gate = f"echo begun; until test -e {go}; do sleep 0.05; done; test -e {mended} || exit 4"
    shop["applications"] = [
        {
            "name": "web",
            "driver": "script",
            "spec": {"scripts": {"deploy": live.deploy(first=gate)}},
        }
    ]
    file.write_text(yaml.safe_dump(shop))
    cli.good("apply", "-f", file)
    made = cli.document("deploy", "shop", "prod", "v1", "-s", "rolling:1")
    follower = cli.start("logs", made["id"], "-f")
    until(lambda: "begun" in cli.good("logs", made["id"]))
    cli.good("pause", made["id"])
    assert "paused by ada" in cli.good("status", made["id"])
    cli.good("resume", "latest")
    go.touch()
    watched = cli.run("watch", made["id"])
    assert watched.returncode in (1, 7), watched.stdout
    output, _ = follower.communicate(timeout=20)
    assert "begun" in output
    mended.touch()
    again = cli.run("retry", made["id"], "--watch")
    assert again.returncode == 0, again.stdout + again.stderr
    assert live.everywhere("web") == {"v1"}
