"""Two releases want one environment; an agent is away: who waits for what, in words."""

from typing import Any

from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.waiting import until

ONE_BY_ONE = [{"batchSize": 1, "autoRollback": True}]


def gated(live: Live) -> str:
    return live.deploy(first=f"until test -e {live.directory}/go; do sleep 0.05; done")


def words(whole: Installation, deployment: str) -> str:
    return " · ".join(whole.deployment(deployment)["waitingFor"])


def until_words(whole: Installation, deployment: str, *wanted: str) -> str:
    said = until(
        lambda: (text := words(whole, deployment)) and all(w in text for w in wanted) and text,
        why=lambda: (wanted, words(whole, deployment)),
    )
    assert isinstance(said, str)
    return said


def test_a_second_release_waits_in_line_and_tells_its_place_and_the_holder(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("line", targets=["n1", "n2"])
    fleet.make_script("web", gated(live))
    first = fleet.deploy("v1", strategy=ONE_BY_ONE)
    until(lambda: fleet.deployment(first)["status"] == "running")
    second = fleet.deploy("v2", strategy=ONE_BY_ONE)
    third = fleet.deploy("v3", strategy=ONE_BY_ONE)

    number = fleet.deployment(first)["number"]
    said = until_words(fleet, second, f"#{number}")
    assert "place 1" in said or "next" in said
    assert "place 2" in until_words(fleet, third, f"#{number}")
    assert fleet.deployment(second)["status"] == "pending"

    (live.directory / "go").touch()
    for deployment in (first, second, third):
        fleet.until_status(deployment, "success")
    shown = [fleet.deployment(each) for each in (first, second, third)]
    assert shown[0]["completedAt"] <= shown[1]["tasks"][0]["startedAt"]
    assert shown[1]["completedAt"] <= shown[2]["tasks"][0]["startedAt"]
    assert live.everywhere("web") == {"v3"}


def test_different_applications_of_one_environment_go_at_once(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("aside", targets=["n1"])
    fleet.make_script("slow", gated(live))
    fleet.make_script("quick", live.deploy())
    first = fleet.deploy("v1", applicationIds=["slow"])
    until(lambda: fleet.deployment(first)["status"] == "running")
    fleet.until_status(fleet.deploy("v2", applicationIds=["quick"]), "success")
    assert fleet.deployment(first)["status"] == "running"
    (live.directory / "go").touch()
    fleet.until_status(first, "success")


def test_an_environment_that_rejects_says_who_holds_it(fleet: Installation, live: Live) -> None:
    fleet.make_project("rejecting", targets=["n1"], queue_policy="reject")
    fleet.make_script("web", gated(live))
    first = fleet.deploy("v1")
    until(lambda: fleet.deployment(first)["status"] == "running")
    second = fleet.until_status(fleet.deploy("v2"), "cancelled")
    assert f"#{fleet.deployment(first)['number']}" in second["errorMessage"]
    (live.directory / "go").touch()
    fleet.until_status(first, "success")
    assert live.everywhere("web") == {"v1"}


def test_what_people_started_is_not_coalesced_away(fleet: Installation, live: Live) -> None:
    fleet.make_project("coalescing", targets=["n1"], queue_policy="coalesce")
    fleet.make_script("web", gated(live))
    made = [fleet.deploy(f"v{i}") for i in (1, 2, 3)]
    until(lambda: fleet.deployment(made[0])["status"] == "running")
    (live.directory / "go").touch()
    for each in made:
        fleet.until_status(each, "success")


def test_a_wait_before_the_first_task_does_not_hold_the_lock(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("waiting", targets=["n1"])
    fleet.make_script("web", live.deploy())
    asking = fleet.deploy("v1", manualApproval=True)
    fleet.until_status(asking, "waiting_confirm")
    fleet.until_status(fleet.deploy("v2"), "success")
    fleet.act(asking, "reject")


def test_an_absent_agent_is_waited_for_by_name_and_then_served(
    fleet: Installation, live: Live
) -> None:
    fleet.make_project("absent", targets=["n5", "n6"])
    fleet.make_script("web", live.deploy())
    fleet.agents[5].stop()
    until(lambda: "n6" not in fleet.online())
    wish: dict[str, Any] = {"strategy": [{"batchSize": 0, "canaryRatio": 1}]}
    version = {"versionId": fleet.make_version("v1"), "environmentId": fleet.environment}
    plan = fleet.post("/api/v1/deployments", {**version, **wish, "dryRun": True})
    assert plan["offline"] == ["n6"]

    deployment = fleet.post("/api/v1/deployments", {**version, **wish})["id"]
    until(lambda: live.versions("web") == {"n5": "v1"})
    said = until_words(fleet, deployment, "n6")
    assert "offline" in said
    row = fleet.deployment(deployment)["tasks"][0]["executions"][1]
    assert row["state"] == "pending"
    assert "offline" in row["reason"]

    fleet.agents[5].start()
    fleet.until_status(deployment, "success")
    assert live.versions("web") == {"n5": "v1", "n6": "v1"}
    fleet.until_online("n6")


def test_a_task_does_not_wait_for_an_absent_agent_for_ever(fleet: Installation, live: Live) -> None:
    fleet.make_project("gone", targets=["n5", "n6"])
    fleet.make_script("web", live.deploy())
    fleet.agents[5].stop()
    until(lambda: "n6" not in fleet.online())
    tasks = [{"id": "d", "appId": "web", "type": "deploy", "timeoutSeconds": 1}]
    shown = fleet.until_status(fleet.deploy("v1", tasks=tasks), "failed")
    assert "offline" in shown["errorMessage"]
    assert live.versions("web").get("n6") is None
    fleet.agents[5].start()
    fleet.until_online("n6")
