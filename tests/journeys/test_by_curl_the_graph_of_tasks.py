"""Task lists over HTTP: edges, cycles, approvals of tasks, editing, and what is refused how."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.waiting import until


@pytest.fixture
def shop(fleet: Installation, live: Live, request: pytest.FixtureRequest) -> Installation:
    """A project named after the test, with `api` and `web` on two nodes."""
    fleet.make_project(request.node.name[:60], targets=["n1", "n2"])
    fleet.make_script("api", live.deploy())
    fleet.make_script("web", live.deploy())
    return fleet


def ask(whole: Installation, version: str, **wishes: Any) -> dict[str, Any]:
    made = {"versionId": whole.make_version(version), "environmentId": whole.environment}
    return {**made, **wishes}


def run(id_: str, block_by: Any = "", command: str = "true", **more: Any) -> dict[str, Any]:
    task = {"id": id_, "type": "custom", "payload": {"command": command}, "blockBy": block_by}
    return {**task, **more}


def fields(problem: Any) -> dict[str, str]:
    return {each["field"]: each["problem"] for each in problem["errors"]}


def test_a_list_of_tasks_runs_in_the_order_of_its_edges(shop: Installation, live: Live) -> None:
    note = live.directory / "order"
    tasks = [
        run("a", command=f'echo "a $BOREAS_TASK_ID" >> {note}; sleep 0.3', order=3),
        {"id": "d1", "appId": "api", "type": "deploy", "blockBy": "a"},
        {"id": "d2", "AppID": "web", "Type": "deploy", "BlockBy": ["a", "d1"]},
        run("z", "d1, d2", command=f"cat {live.directory}/*.n1 | wc -c >> {note}"),
    ]
    shown = shop.until_status(shop.deploy("v1", tasks=tasks), "success")
    assert {t["id"]: (t["blockBy"], t["order"]) for t in shown["tasks"]} == {
        **{"a": ("", 3), "d1": ("a", 1), "d2": ("a,d1", 2), "z": ("d1,d2", 3)},
    }
    assert note.read_text().startswith("a a\n")
    assert live.everywhere("api") == live.everywhere("web") == {"v1"}
    ended = {t["id"]: t["completedAt"] for t in shown["tasks"]}
    assert ended["a"] <= ended["d1"] <= ended["d2"] <= ended["z"]


def test_a_cycle_is_refused_naming_it(shop: Installation) -> None:
    tasks = [run("a", "c"), run("b", "a"), run("c", "b"), run("d", "a")]
    problem = shop.refused("POST", "/api/v1/deployments", ask(shop, "v1", tasks=tasks))
    assert problem["status"] == 422
    text = problem["detail"]
    assert all(name in text for name in ("a", "b", "c"))
    assert " d " not in text
    assert "cycle" in text.lower()
    assert shop.get(f"/api/v1/deployments?projectId={shop.project}")["items"] == []


@pytest.mark.parametrize(
    ("wish", "field", "words"),
    [
        ({"versionId": "ver_nope"}, "versionId", "ver_nope"),
        ({"environmentId": "env_nope"}, "environmentId", "env_nope"),
        ({"applicationIds": ["nope"]}, "applicationIds[0]", "nope"),
        ({"mustInOrder": ["api", "nope"]}, "mustInOrder[1]", "nope"),
        ({"tasks": [run("a", "ghost")]}, "tasks[0].blockBy", "ghost"),
        ({"tasks": [run("a", "a")]}, "tasks[0].blockBy", "itself"),
        ({"tasks": [run("a"), run("a")]}, "tasks[1].id", "a"),
        ({"tasks": [{"id": "x", "type": "deploy", "appId": "no"}]}, "tasks[0].appId", "no"),
        ({"tasks": [{"id": "x", "type": "fly"}]}, "tasks[0].type", ""),
        ({"tasks": [{"id": "x", "type": "deploy"}]}, "tasks[0].appId", ""),
        ({"strategy": [{"batchSize": -1}]}, "strategy.steps[0].batchSize", ""),
        ({"strategy": [{"canaryRatio": 1.5}]}, "strategy.steps[0].canaryRatio", ""),
        ({"tasks": []}, "tasks", "nothing would be deployed"),
        ({"strategie": []}, "strategie", ""),
    ],
)
def test_a_wrong_wish_is_refused_naming_the_field(
    fleet: Installation, live: Live, wish: dict[str, Any], field: str, words: str
) -> None:
    fleet.make_project(f"wrong {field} {words}".strip(), targets=["n1"])
    fleet.make_script("api", live.deploy())
    problem = fleet.refused("POST", "/api/v1/deployments", ask(fleet, "v1") | wish)
    assert problem["status"] in (404, 422)
    assert field.replace("strategy.steps", "strategy") in " ".join(fields(problem)).replace(
        "strategy.steps", "strategy"
    )
    assert words in problem["detail"]


def test_an_environment_without_targets_is_named(shop: Installation) -> None:
    place = f"/api/release/projects/{shop.project}/environments"
    empty = shop.post(place, {"name": "empty", "kind": "dev"})["id"]
    wish = ask(shop, "v1") | {"environmentId": empty}
    problem = shop.refused("POST", "/api/v1/deployments", wish)
    assert problem["status"] == 422
    assert "has no targets" in fields(problem)["environmentId"]


def test_unknown_ids_are_not_found(shop: Installation) -> None:
    deployment = shop.deploy("v1", autoStart=False)
    for path in (
        *("/api/v1/deployments/dep_x", f"/api/v1/deployments/{deployment}/tasks/x"),
        *(f"/api/v1/deployments/{deployment}/tasks/x/logs", "/api/release/projects/x"),
        *("/api/release/applications/x", "/api/release/agents/x", "/api/release/nothing"),
    ):
        problem = shop.refused("GET", path)
        assert (problem["status"], problem["code"]) == (404, "not_found"), path
    for act in ("tasks/x/skip", "tasks/x/confirm", "targets/x/ignore"):
        assert shop.refused("POST", f"/api/v1/deployments/{deployment}/{act}")["status"] == 404


def test_a_task_that_requires_confirm_waits_and_remembers_who(
    shop: Installation, live: Live
) -> None:
    tasks = [
        {"id": "first", "appId": "api", "type": "deploy"},
        {
            **{"id": "second", "appId": "web", "type": "deploy"},
            **{"blockBy": "first", "requireConfirm": True},
        },
    ]
    deployment = shop.deploy("v1", tasks=tasks)
    shown = shop.until_status(deployment, "waiting_confirm")
    assert shown["tasks"][1]["status"] == "waiting_confirm"
    assert shown["tasks"][0]["status"] == "success"
    assert live.versions("web") == {}

    shop.act(deployment, "tasks/second/confirm", {"comment": "go"})
    done = shop.until_status(deployment, "success")["tasks"][1]
    assert done["confirmedBy"] == "admin"
    assert done["confirmedAt"].endswith("Z")
    assert shop.refused("POST", f"/api/v1/deployments/{deployment}/tasks/second/confirm")


def test_the_graph_is_edited_while_pending_and_stale_edits_are_refused(
    shop: Installation, live: Live
) -> None:
    tasks = [run("a"), run("b", "a")]
    deployment = shop.deploy("v1", tasks=tasks, autoStart=False)
    path = f"/api/v1/deployments/{deployment}"
    before = shop.deployment(deployment)["workflowRevision"]
    listed = shop.get(f"{path}/tasks")["items"]
    assert [(each["id"], each["blockBy"]) for each in listed] == [("a", ""), ("b", "a")]

    wish = [
        {"id": "a", "name": "A", "type": "custom", "order": 1, "blockBy": ""},
        {"id": "b", "name": "B", "type": "custom", "order": 2, "blockBy": "a"},
        run("c", "b", command=f"echo c > {live.directory}/c", order=3),
    ]
    saved = shop.call("PUT", f"{path}/workflow", {"tasks": wish, "revision": before}).json()
    assert saved == {"success": True, "message": "工作流已更新", "revision": before + 1}
    stale = shop.refused("PUT", f"{path}/workflow", {"tasks": wish, "revision": before})
    assert stale["status"] == 409
    cyclic = [{**wish[0], "blockBy": "c"}, *wish[1:]]
    assert shop.refused("PUT", f"{path}/workflow", {"tasks": cyclic})["status"] == 422

    assert shop.post(f"{path}/tasks", run("d", "a"))["id"] == "d"
    assert shop.refused("DELETE", f"{path}/tasks/b")["status"] in (409, 422)
    assert shop.call("DELETE", f"{path}/tasks/d").status_code == 204
    changed = shop.call("PATCH", f"{path}/tasks/b", {"name": "Better"}).json()
    assert (changed["name"], changed["blockBy"]) == ("Better", "a")
    assert shop.call("GET", f"{path}/tasks/b").json()["name"] == "Better"

    shop.act(deployment, "start")
    shown = shop.until_status(deployment, "success")
    assert [each["id"] for each in shown["tasks"]] == ["a", "b", "c"]
    assert (live.directory / "c").read_text() == "c\n"
    assert shop.refused("PUT", f"{path}/workflow", {"tasks": wish})["status"] == 409


def test_while_waiting_for_a_person_only_what_has_not_started_is_edited(
    shop: Installation, live: Live
) -> None:
    tasks = [run("a"), run("b", "a", requireConfirm=True)]
    deployment = shop.deploy("v1", tasks=tasks)
    shop.until_status(deployment, "waiting_confirm")
    path = f"/api/v1/deployments/{deployment}"

    assert shop.refused("PATCH", f"{path}/tasks/a", {"name": "x"})["status"] == 409
    assert shop.refused("DELETE", f"{path}/tasks/a")["status"] in (409, 422)
    shop.post(f"{path}/tasks", run("c", "b", command=f"echo c > {live.directory}/c"))
    as_got = shop.get(f"{path}/tasks")["items"]
    assert shop.call("PUT", f"{path}/workflow", {"tasks": as_got}).status_code == 200
    shop.act(deployment, "tasks/b/confirm")
    shop.until_status(deployment, "success")
    assert (live.directory / "c").exists()


def test_what_stands_behind_a_failure_is_cancelled_with_its_name(shop: Installation) -> None:
    tasks = [run("bad", command="echo no; exit 9"), run("next", "bad"), run("last", "next")]
    shown = shop.until_status(shop.deploy("v1", tasks=tasks), "failed")
    assert [each["status"] for each in shown["tasks"]] == ["failed", "cancelled", "cancelled"]
    assert all("bad" in each["reason"] for each in shown["tasks"][1:])
    assert shown["tasks"][0]["executions"][0]["exitCode"] == 9
    until(lambda: "no" in shop.messages(shown["id"], "bad"))


def test_a_task_that_takes_too_long_is_stopped_and_fails(shop: Installation, live: Live) -> None:
    pid = live.directory / "pid"
    slow = run("slow", command=f"echo $$ > {pid}; exec sleep 600", timeoutSeconds=1)
    shown = shop.until_status(shop.deploy("v1", tasks=[slow]), "failed")
    assert shown["tasks"][0]["reason"] == "n1: took longer than 1 s and was stopped"
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
