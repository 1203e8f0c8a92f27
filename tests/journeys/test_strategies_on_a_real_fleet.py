"""Batches, intervals, failures, blue-green: what the rules say, seen on six real agents."""

from datetime import datetime
from typing import Any

from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.waiting import until

NODES = [f"n{i}" for i in range(1, 7)]
ALL_AT_ONCE = [{"batchSize": 0, "canaryRatio": 1, "autoRollback": True}]


def rows(shown: Any, task: str = "web-deploy") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(t for t in shown["tasks"] if t["id"] == task)["executions"]
    return found


def batches(shown: Any, task: str = "web-deploy") -> list[list[str]]:
    made: dict[int, list[str]] = {}
    for row in rows(shown, task):
        if row["kind"] == "deploy":
            made.setdefault(row["batch"], []).append(row["target"])
    return list(made.values())


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_percentage_is_rounded_up_and_batches_never_overlap(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("percent")
    fleet.make_script("web", live.deploy(first="sleep 0.2"))
    shown = fleet.until_status(
        fleet.deploy("v1", strategy=[{"batchSize": "20%", "autoRollback": True}]), "success"
    )
    assert batches(shown) == [["n1", "n2"], ["n3", "n4"], ["n5", "n6"]]
    ended = [max(r["completedAt"] for r in rows(shown) if r["batch"] == b) for b in (1, 2)]
    begun = [min(r["startedAt"] for r in rows(shown) if r["batch"] == b) for b in (2, 3)]
    assert all(e <= b for e, b in zip(ended, begun, strict=True))


def test_the_next_batch_waits_for_the_interval_and_says_until_when(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("interval", targets=["n1", "n2"])
    fleet.make_script("web", live.deploy())
    steps = [{"BatchSize": 1, "BatchInterval": 3, "CanaryRatio": 0, "AutoRollback": True}]
    deployment = fleet.deploy("v1", strategy=steps)
    until(lambda: live.versions("web") == {"n1": "v1"})

    def interval() -> list[Any]:
        reasons = fleet.deployment(deployment)["waitingReasons"]
        return [reason for reason in reasons if reason["code"] == "interval"]

    assert "UTC, 3 s after batch 1" in until(interval)[0]["text"]
    shown = fleet.until_status(deployment, "success")
    first, second = rows(shown)
    assert instant(second["startedAt"]) - instant(first["completedAt"]) >= 2.9
    assert instant(shown["completedAt"]) - instant(second["completedAt"]) < 2.9, "no last interval"


def test_pascal_case_from_the_documents_is_a_canary_that_asks(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("pascal")
    fleet.make_script("web", live.deploy())
    fleet.until_status(fleet.deploy("v1", strategy=ALL_AT_ONCE), "success")
    steps = [
        {
            **{"BatchSize": 1, "BatchInterval": 1, "CanaryRatio": 0.1},
            **{"AutoRollback": True, "ManualApprovalStatus": None},
        },
        {"BatchSize": 0, "CanaryRatio": 1.0, "AutoRollback": False},
    ]
    deployment = fleet.deploy("v2", strategy=steps)
    shown = fleet.until_status(deployment, "waiting_confirm")
    assert shown["strategyType"] == "canary"
    assert shown["grayscaleEnabled"] is True
    assert shown["grayscaleRatio"] == 0.1
    assert shown["strategy"][0]["manualApprovalStatus"] is None
    assert batches(shown) == [["n1"], ["n2", "n3", "n4", "n5", "n6"]]
    fleet.act(deployment, "confirm")
    shown = fleet.until_status(deployment, "success", at_most=20)
    assert live.everywhere("web") == {"v2"}


def test_max_failures_is_exceeded_not_reached(fleet: Installation, live: Live) -> None:
    fleet.make_project("tolerant")
    sick = 'case "$BOREAS_VERSION$BOREAS_TARGET" in v1n2|v2n1|v2n2) exit 5;; esac'
    fleet.make_script("web", live.deploy(first=sick))
    steps = [{"batchSize": 2, "autoRollback": True, "maxFailures": 1}]
    one = fleet.until_status(fleet.deploy("v1", strategy=steps), "success")
    assert live.versions("web") == {n: "v1" for n in NODES if n != "n2"}
    assert {r["target"]: r["state"] for r in rows(one)}["n2"] == "failed"
    assert one["tasks"][0]["reason"] == "n2 failed and was tolerated (maxFailures)"

    two = fleet.until_status(fleet.deploy("v2", strategy=steps), "rolled_back", "failed")
    started = {r["target"] for r in rows(two) if r["kind"] == "deploy" and r["startedAt"]}
    assert started == {"n1", "n2"}
    assert "v2" not in live.everywhere("web")


BLUE_GREEN = {
    "stage": 'echo "$BOREAS_VERSION" > staged; test "$BOREAS_VERSION$BOREAS_TARGET" != v3n2',
    "check": 'test "$(cat staged)" = "$BOREAS_VERSION"',
}


def test_blue_green_stages_everywhere_before_anything_is_switched(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("bluegreen", targets=["n1", "n2", "n3"])
    retire = f'echo "$BOREAS_TARGET $BOREAS_VERSION" >> {live.directory}/retired'
    scripts = {**BLUE_GREEN, "deploy": live.deploy(), "retire": retire}
    fleet.make_application("web", "script", {"scripts": scripts})
    documents = [{"BatchSize": 0, "CanaryRatio": 0, "AutoRollback": True}]
    fleet.until_status(fleet.deploy("v1", strategy=documents), "success")
    shown = fleet.until_status(fleet.deploy("v2", strategy=documents), "success")
    task = next(t for t in shown["tasks"] if t["id"] == "web-deploy")
    assert shown["strategyType"] == "blue_green"
    assert task["blueGreen"] is True
    kinds = [r["kind"] for r in rows(shown)]
    assert kinds[:6] == ["stage"] * 3 + ["activate"] * 3
    staged = max(r["completedAt"] for r in rows(shown) if r["kind"] == "stage")
    assert all(r["startedAt"] >= staged for r in rows(shown) if r["kind"] == "activate")
    assert live.everywhere("web") == {"v2"}

    asked = {"type": "blue_green", "steps": [{"autoRollback": True}]}
    bad = fleet.until_status(fleet.deploy("v3", strategy=asked), "failed")
    assert live.everywhere("web") == {"v2"}
    assert not any(r["startedAt"] for r in rows(bad) if r["kind"] == "activate")


def test_what_cannot_be_staged_is_switched_at_once_and_the_plan_says_so(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("nostage", targets=["n1", "n2"])
    fleet.make_script("web", live.deploy())
    wish = {
        "versionId": fleet.make_version("v1"),
        **{"environmentId": fleet.environment, "strategy": {"type": "blue_green"}},
    }
    plan = fleet.post("/api/v1/deployments", {**wish, "dryRun": True})
    assert "stage" in " ".join(warning["text"] for warning in plan["warnings"])
    made = fleet.post("/api/v1/deployments", wish)["id"]
    fleet.until_status(made, "success")
    assert live.everywhere("web") == {"v1"}
    again = fleet.post("/api/v1/deployments", {**wish, "dryRun": True})
    assert "downtime" not in again["text"], "what a script does to a service nobody can know"


def test_targets_left_over_after_the_last_step_are_covered(fleet: Installation, live: Live) -> None:
    fleet.make_project("leftover")
    fleet.make_script("web", live.deploy())
    fleet.until_status(fleet.deploy("v1", strategy=ALL_AT_ONCE), "success")
    steps = [{"batchSize": 1, "canaryRatio": "34%", "autoRollback": True}]
    shown = fleet.until_status(fleet.deploy("v2", strategy=steps), "success")
    assert batches(shown)[:3] == [["n1"], ["n2"], ["n3"]]
    assert live.everywhere("web") == {"v2"}
