"""From names to one request; then watched to its end."""

from pathlib import Path
from typing import Any

import pytest

DEPLOYMENTS = "/api/v1/deployments"


def sent(server: Any) -> Any:
    (body,) = server.bodies("POST", DEPLOYMENTS)
    return body


def test_names_become_ids(shop: Any, boreas: Any) -> None:
    project = shop.objects["projects"][0]["id"]
    web, api = shop.objects[f"projects/{project}/applications"]

    ran = boreas(
        "deploy", "shop", "prod", "v1", "--app", "web", "--in-order", "web,api", "-o", "json"
    )

    body = sent(shop)
    assert ran.document["id"] == "dep_1"
    assert body["versionId"] == shop.objects[f"projects/{project}/versions"][0]["id"]
    assert body["environmentId"] == shop.objects[f"projects/{project}/environments"][0]["id"]
    assert body["applicationIds"] == [web["id"]]
    assert body["mustInOrder"] == [web["id"], api["id"]]
    assert body["autoStart"] is True


def test_what_is_not_asked_for_is_not_sent(shop: Any, boreas: Any) -> None:
    boreas("deploy", "shop", "prod", "v1", "--no-start")

    assert set(sent(shop)) == {"versionId", "environmentId", "autoStart"}
    assert sent(shop)["autoStart"] is False


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (
            "rolling:2",
            [{"batchSize": 2, "batchInterval": 0, "canaryRatio": 0, "autoRollback": True}],
        ),
        (
            "rolling:20%:30",
            [{"batchSize": "20%", "batchInterval": 30, "canaryRatio": 0, "autoRollback": True}],
        ),
        ("blue-green", [{"batchSize": 0, "canaryRatio": 0, "autoRollback": True}]),
        (
            "canary:25%",
            [
                {
                    "batchSize": 0,
                    "canaryRatio": 0.25,
                    "autoRollback": True,
                    "manualApprovalStatus": None,
                },
                {"batchSize": 0, "canaryRatio": 1.0, "autoRollback": True},
            ],
        ),
    ],
)
def test_a_strategy_has_a_short_name(shop: Any, boreas: Any, text: str, steps: Any) -> None:
    boreas("deploy", "shop", "prod", "v1", "--strategy", text)

    assert sent(shop)["strategy"] == steps


def test_a_strategy_may_be_a_file(shop: Any, boreas: Any, tmp_path: Path) -> None:
    (tmp_path / "slow.yaml").write_text("- {BatchSize: 1, BatchInterval: 60}\n")

    boreas("deploy", "shop", "prod", "v1", "--strategy", tmp_path / "slow.yaml")

    assert sent(shop)["strategy"] == [{"BatchSize": 1, "BatchInterval": 60}]


def test_a_strategy_that_nobody_knows_is_2_and_nothing_is_sent(shop: Any, boreas: Any) -> None:
    ran = boreas("deploy", "shop", "prod", "v1", "--strategy", "yolo")

    assert ran.code == 2
    assert "rolling:2" in ran.err
    assert shop.bodies("POST", DEPLOYMENTS) == []


def test_a_plan_changes_nothing(shop: Any, boreas: Any) -> None:
    ran = boreas("plan", "shop", "prod", "v1")

    assert sent(shop)["dryRun"] is True
    assert shop.deployments == {}
    assert ran.out.splitlines() == [
        "web-deploy (deploy)",
        "  1. deploy: one",
        "changes: web on one: v0 → v1",
        "approval: after the canary of web",
        "offline: node-1 is offline",
        "warning: this will cause downtime",
    ]


@pytest.mark.parametrize(
    ("status", "code"), [("success", 0), ("failed", 1), ("rolled_back", 7), ("cancelled", 8)]
)
def test_watching_ends_with_the_code_of_the_result(
    server: Any, boreas: Any, status: str, code: int
) -> None:
    server.add_deployment()
    server.scripts["dep_1"] = [{"status": "running"}, {"status": "running"}, {"status": status}]

    assert boreas("watch", "dep_1").code == code


def test_each_change_is_one_line_where_there_is_no_terminal(server: Any, boreas: Any) -> None:
    first = {
        "id": "web-deploy",
        "name": "web-deploy",
        "type": "deploy",
        "status": "running",
        "executions": [{"id": "e1", "target": "one", "state": "running", "batch": 1}],
    }
    last = {
        **first,
        "status": "failed",
        "executions": [
            {"id": "e1", "target": "one", "state": "failed", "batch": 1, "reason": "exit code 7"}
        ],
    }
    server.add_deployment(version="v2", applications=["web"], environments=["prod"])
    server.scripts["dep_1"] = [
        {"tasks": [first]},
        {"tasks": [first], "waitingFor": ["one must get healthy"]},
        {"tasks": [last], "status": "failed", "waitingFor": [], "errorMessage": "web failed"},
    ]

    lines = boreas("watch", "dep_1").out.splitlines()

    assert lines[0] == "#1 v2 of web → prod: running"
    assert "  why: one must get healthy" in lines
    assert "  ✘ web-deploy on one, batch 1 failed: exit code 7" in lines
    assert "  web failed" in lines


def test_watching_works_without_a_websocket(server: Any, boreas: Any) -> None:
    server.websocket = False
    server.add_deployment()
    server.scripts["dep_1"] = [{}, {}, {"status": "success"}]

    assert boreas("watch", "dep_1").code == 0


def test_a_server_that_is_away_for_a_moment_does_not_end_the_watching(
    server: Any, boreas: Any
) -> None:
    server.add_deployment()
    server.scripts["dep_1"] = [{}, {}, "away", "away", {}, {"status": "success"}]

    assert boreas("watch", "dep_1").code == 0


def test_watching_as_json_prints_one_document(server: Any, boreas: Any) -> None:
    server.add_deployment()
    server.scripts["dep_1"] = [{}, {}, {"status": "success"}]

    ran = boreas("watch", "dep_1", "-o", "json")

    assert ran.document["status"] == "success"
    assert "running" in ran.err


def test_a_deployment_that_takes_too_long_is_9_and_goes_on(server: Any, boreas: Any) -> None:
    server.add_deployment()

    ran = boreas("watch", "dep_1", "--timeout", "1")

    assert ran.code == 9
    assert "it goes on" in ran.err
    assert server.changes() == []


def test_a_deployment_has_three_names(server: Any, boreas: Any) -> None:
    for _ in range(3):
        server.add_deployment()

    found = [
        boreas("status", name, "-o", "json").document["id"]
        for name in ("dep_2", "#2", "2", "latest")
    ]

    assert found == ["dep_2", "dep_2", "dep_2", "dep_3"]


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["start", "dep_1"], "start", {}),
        (["confirm", "dep_1", "-m", "looks good"], "confirm", {"comment": "looks good"}),
        (["reject", "dep_1", "--gate", "step:web:0"], "reject", {"gateId": "step:web:0"}),
        (["confirm", "dep_1", "--task", "web-deploy"], "tasks/web-deploy/confirm", {}),
        (["pause", "dep_1"], "pause", {}),
        (["resume", "dep_1"], "resume", {}),
        (["cancel", "dep_1", "--rollback"], "cancel", {"rollback": True}),
        (["rollback", "dep_1"], "rollback", {}),
        (["retry", "dep_1"], "retry", {}),
        (["retry", "dep_1", "--task", "web-deploy"], "tasks/web-deploy/retry", {}),
        (["ignore", "dep_1", "--target", "one"], "targets/tgt_1/ignore", {}),
        (["skip", "dep_1", "--task", "web-deploy"], "tasks/web-deploy/skip", {}),
    ],
)
def test_a_wish_is_one_post(
    server: Any, boreas: Any, arguments: list[str], path: str, body: Any
) -> None:
    executions = [{"id": "e", "target": "one", "targetId": "tgt_1", "state": "failed"}]
    task = {"id": "web-deploy", "name": "web-deploy", "status": "running"}
    server.add_deployment(tasks=[{**task, "executions": executions}])

    ran = boreas(*arguments)

    assert ran.code == 0, ran.err
    assert server.bodies("POST", f"{DEPLOYMENTS}/dep_1/{path}") == [body]


def test_skip_wants_to_know_which_task(server: Any, boreas: Any) -> None:
    server.add_deployment()

    assert boreas("skip", "dep_1").code == 2
