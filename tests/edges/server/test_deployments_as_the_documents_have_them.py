"""The founding documents' JSON is a contract: their samples are taken and given to the letter."""

from typing import Any

import httpx
import pytest

DEPLOYMENTS = "/api/v1/deployments"

# --- boreas-deployment-flow.md, the interfaces of the front end ----------------------------------

DEPLOYMENT_KEYS = {
    *("id", "versionId", "version", "applicationIds", "applications", "environmentIds"),
    *("environments", "status", "progress", "createdAt", "updatedAt", "duration"),
    *("requireConfirm", "grayscaleEnabled", "grayscaleRatio", "tasks", "logs"),
}
TASK_KEYS = {
    *("id", "deploymentId", "appId", "name", "type", "status", "blockBy", "duration"),
    *("startedAt", "completedAt", "logs", "requireConfirm", "confirmedBy", "confirmedAt"),
}
# --- the models of the back end, and what the issue adds -----------------------------------------
MODEL_KEYS = {
    *("mustInOrder", "environmentId", "createdBy", "startedAt", "completedAt", "errorMessage"),
    *("manualApproval", "strategy", "phase", "revision", "workflowRevision", "waitingFor"),
    *("waitingReasons", "gates", "rollbackOf", "retryOf"),
}
EXECUTION_KEYS = {
    *("target", "state", "batch", "attempt", "exitCode", "startedAt", "completedAt", "reason"),
}

DOCUMENT_TASKS = [
    {"id": "task-1", "name": "准备", "type": "prepare", "payload": {"command": "true"}},
    {
        "id": "task-2a",
        "name": "构建服务A",
        "type": "build",
        "blockBy": "task-1",
        "payload": {"command": "true"},
    },
    {
        "id": "task-2b",
        "name": "构建服务B",
        "type": "build",
        "blockBy": "task-1",
        "payload": {"command": "true"},
    },
    {
        "id": "task-3",
        "name": "部署",
        "type": "deploy",
        "appId": "user-service",
        "blockBy": "task-2a,task-2b",
    },
]


async def test_a_deployment_has_every_key_of_the_documents(deploy: Any) -> None:
    found = await deploy()

    assert set(found) >= DEPLOYMENT_KEYS | MODEL_KEYS
    for task in found["tasks"]:
        assert set(task) >= TASK_KEYS
        for execution in task["executions"]:
            assert set(execution) >= EXECUTION_KEYS


async def test_the_values_have_the_documents_types(deploy: Any, site: Any) -> None:
    found = await deploy()

    assert found["version"] == "v1.2.5"
    assert found["environments"] == ["production"]
    assert found["environmentIds"] == [found["environmentId"]] == [site.environment]
    assert sorted(found["applications"]) == ["order-service", "user-service"]
    assert found["status"] == "pending"
    assert found["progress"] == 0
    assert found["errorMessage"] == ""
    assert found["requireConfirm"] is False
    assert found["createdAt"].endswith("Z")
    assert all(isinstance(task["blockBy"], str) for task in found["tasks"])


async def test_left_out_tasks_are_a_deploy_and_a_check_for_each_application(deploy: Any) -> None:
    found = await deploy()

    assert sorted((task["type"], task["application"]) for task in found["tasks"]) == [
        ("deploy", "order-service"),
        ("deploy", "user-service"),
        ("health_check", "order-service"),
        ("health_check", "user-service"),
    ]


async def test_the_documents_parallel_tasks_are_taken_as_they_are(deploy: Any) -> None:
    found = await deploy(tasks=DOCUMENT_TASKS, applicationIds=["user-service"])

    tasks = {task["id"]: task for task in found["tasks"]}
    assert list(tasks) == ["task-1", "task-2a", "task-2b", "task-3"]
    assert tasks["task-3"]["blockBy"] == "task-2a,task-2b"
    assert tasks["task-2a"]["name"] == "构建服务A"
    assert {task["deploymentId"] for task in found["tasks"]} == {found["id"]}


async def test_edges_may_be_a_list_as_well(deploy: Any) -> None:
    tasks = [{**task, "blockBy": task.get("blockBy", "").split(",")} for task in DOCUMENT_TASKS]
    tasks[0]["blockBy"] = []

    found = await deploy(tasks=tasks)

    assert found["tasks"][3]["blockBy"] == "task-2a,task-2b"


async def test_the_documents_pascal_case_request_is_taken(
    admin: httpx.AsyncClient, site: Any
) -> None:
    body = {
        "VersionID": site.version,
        "EnvironmentID": site.environment,
        "MustInOrder": ["user-service", "order-service"],
        "Tasks": [
            {"AppID": "user-service", "Type": "build", "Payload": '{"command": "true"}'},
            {"AppID": "user-service", "Type": "deploy", "BlockBy": "user-service-build"},
            {"AppID": "order-service", "Type": "deploy", "BlockBy": "user-service-deploy"},
        ],
        "Strategy": [
            {
                "BatchSize": 1,
                "BatchInterval": 300,
                "CanaryRatio": 0.1,
                "AutoRollback": True,
                "ManualApprovalStatus": None,
            },
            {"BatchSize": 0, "CanaryRatio": 1.0, "AutoRollback": False},
        ],
    }

    answer = await admin.post(DEPLOYMENTS, json=body)

    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert [task["id"] for task in found["tasks"]] == [
        "user-service-build",
        "user-service-deploy",
        "order-service-deploy",
    ]
    assert found["mustInOrder"] == [site.applications[n] for n in ("user-service", "order-service")]
    assert found["strategy"][0] == {
        "batchSize": 1,
        "batchInterval": 300,
        "canaryRatio": 0.1,
        "autoRollback": True,
        "manualApprovalStatus": None,
        "maxFailures": 0,
    }
    assert "manualApprovalStatus" not in found["strategy"][1]
    assert (found["grayscaleEnabled"], found["grayscaleRatio"]) == (True, 0.1)
    assert found["requireConfirm"] is True


@pytest.mark.parametrize(
    ("strategy", "kind", "batches"),
    [
        ([{"BatchSize": 0, "CanaryRatio": 0, "AutoRollback": True}], "blue_green", [3]),
        ({"type": "blue_green"}, "blue_green", [3]),
        ([{"batchSize": 2, "batchInterval": 60}], "rolling", [2, 1]),
        ({"type": "rolling", "steps": [{"batchSize": "34%"}]}, "rolling", [2, 1]),
        (None, "rolling", [3]),
        ([], "rolling", [3]),
    ],
    ids=str,
)
async def test_strategies_become_batches(
    deploy: Any, strategy: Any, kind: str, batches: list[int]
) -> None:
    found = await deploy(strategy=strategy, applicationIds=["user-service"])

    task = next(task for task in found["tasks"] if task["type"] == "deploy")
    assert found["strategyType"] == kind
    assert [len(batch["targets"]) for batch in task["batches"]] == batches


@pytest.mark.parametrize(
    ("strategy", "field"),
    [
        ([{"canaryRatio": 1.5}], "strategy.steps[0].canaryRatio"),
        ([{"canaryRatio": "150%"}], "strategy.steps[0].canaryRatio"),
        ([{"batchSize": "many"}], "strategy.steps[0].batchSize"),
        ([{"batchSize": "101%"}], "strategy.steps[0].batchSize"),
        ([{"batchSize": 1.5}], "strategy.steps[0].batchSize"),
        ([{"batchInterval": -1}], "strategy.steps[0].batchInterval"),
        ([{"batchsize": 1}], "strategy.steps[0].batchsize"),
        ([{"batchSize": 1, "BatchSize": 2}], "strategy.steps[0]"),
        ({"type": "teleport"}, "strategy.type"),
        ("rolling", "strategy"),
    ],
    ids=str,
)
async def test_a_wrong_strategy_is_refused_by_name(
    admin: httpx.AsyncClient, site: Any, strategy: Any, field: str
) -> None:
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "strategy": strategy,
    }

    answer = await admin.post(DEPLOYMENTS, json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"versionId": "ver_x"}, "versionId"),
        ({"environmentId": "env_x"}, "environmentId"),
        ({"applicationIds": ["stranger"]}, "applicationIds[0]"),
        ({"mustInOrder": ["user-service", "stranger"]}, "mustInOrder[1]"),
        ({"tasks": [{"type": "deploy", "appId": "stranger"}]}, "tasks[0].appId"),
        ({"tasks": [{"type": "custom"}]}, "tasks[0].id"),
        ({"tasks": [{"id": "a,b", "type": "custom"}]}, "tasks[0].id"),
        ({"tasks": [{"id": "a", "type": "custom"}]}, "tasks[0].payload.command"),
        ({"tasks": [{"id": "a", "type": "deploy"}]}, "tasks[0].appId"),
        ({"tasks": [{"id": "a", "type": "custom", "payload": "x"}]}, "tasks[0].payload"),
        ({"tasks": [{"id": "a", "type": "custom", "blockBy": 7}]}, "tasks[0].blockBy"),
    ],
    ids=str,
)
async def test_a_reference_that_leads_nowhere_is_refused_by_name(
    admin: httpx.AsyncClient, site: Any, more: dict[str, Any], field: str
) -> None:
    body = {"versionId": site.version, "environmentId": site.environment, **more}

    answer = await admin.post(DEPLOYMENTS, json=body)

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


COMMAND = {"type": "custom", "payload": {"command": "true"}}


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([{"id": "a", "blockBy": "b"}, {"id": "b", "blockBy": "a"}], ("a", "b")),
        ([{"id": "a", "blockBy": "a"}], ("a",)),
        ([{"id": "a", "blockBy": "ghost"}], ("ghost",)),
        ([{"id": "a"}, {"id": "a"}], ("twice",)),
    ],
    ids=str,
)
async def test_a_graph_that_cannot_run_is_refused_naming_the_culprit(
    admin: httpx.AsyncClient, site: Any, tasks: list[dict[str, Any]], words: tuple[str, ...]
) -> None:
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "tasks": [{**COMMAND, **task} for task in tasks],
    }

    answer = await admin.post(DEPLOYMENTS, json=body)

    assert answer.status_code == 422
    assert all(word in answer.json()["detail"] for word in words)


async def test_things_of_another_project_are_not_there(
    admin: httpx.AsyncClient, site: Any, make: Any
) -> None:
    other = await make(admin, "/api/release/projects", {"name": "other"})
    environment = await make(
        admin,
        f"/api/release/projects/{other['id']}/environments",
        {"name": "e", "kind": "dev"},
    )
    application = await make(
        admin,
        f"/api/release/projects/{other['id']}/applications",
        {"name": "a", "driver": "script", "spec": {"scripts": {"deploy": "true"}}},
    )

    for more in (
        {"environmentId": environment["id"]},
        {"applicationIds": [application["id"]]},
        {"tasks": [{"id": "t", "type": "deploy", "appId": application["id"]}]},
    ):
        body = {"versionId": site.version, "environmentId": site.environment, **more}
        assert (await admin.post(DEPLOYMENTS, json=body)).status_code == 422


async def test_a_git_application_needs_a_version_with_git(
    admin: httpx.AsyncClient, site: Any, make: Any
) -> None:
    await make(
        admin,
        f"/api/release/projects/{site.project}/applications",
        {
            "name": "web",
            "driver": "git_pull",
            "spec": {"repository": "https://example.org/web.git", "path": "/srv/web"},
        },
    )

    answer = await admin.post(
        DEPLOYMENTS, json={"versionId": site.version, "environmentId": site.environment}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "versionId"
    assert "web" in answer.json()["detail"]


async def test_the_founding_documents_workflow_edit_is_taken(
    admin: httpx.AsyncClient, deploy: Any
) -> None:
    """The document's request has no appId, no payload: what is left out stays as it is."""
    found = await deploy(tasks=DOCUMENT_TASKS, autoStart=False)
    edited = {
        "tasks": [
            {"id": "task-1", "name": "准备部署", "type": "prepare", "order": 1, "blockBy": ""},
            {"id": "task-2a", "name": "构建", "type": "build", "order": 2, "blockBy": "task-1"},
            {"id": "task-3", "name": "部署", "type": "deploy", "order": 3, "blockBy": "task-2a"},
        ]
    }

    answer = await admin.put(f"{DEPLOYMENTS}/{found['id']}/workflow", json=edited)

    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    assert answer.json()["message"] == "工作流已更新"
    assert answer.json()["revision"] == found["workflowRevision"] + 1
    after = (await admin.get(f"{DEPLOYMENTS}/{found['id']}")).json()
    assert [task["id"] for task in after["tasks"]] == ["task-1", "task-2a", "task-3"]
    assert after["tasks"][0]["name"] == "准备部署"
    assert after["tasks"][0]["payload"] == {"command": "true"}
    assert after["tasks"][2]["appId"] == found["tasks"][3]["appId"]


async def test_what_was_got_can_be_put_back(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)

    body = {"tasks": found["tasks"], "revision": found["workflowRevision"]}
    answer = await admin.put(f"{DEPLOYMENTS}/{found['id']}/workflow", json=body)

    assert answer.status_code == 200, answer.text
    assert answer.json()["revision"] == found["workflowRevision"], "nothing was changed"


async def test_a_stale_edit_is_a_conflict(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)
    path = f"{DEPLOYMENTS}/{found['id']}/workflow"
    renamed = [{**task, "name": "x"} for task in found["tasks"]]
    revision = found["workflowRevision"]

    first = await admin.put(path, json={"tasks": renamed, "revision": revision})
    second = await admin.put(path, json={"tasks": found["tasks"], "revision": revision})

    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["params"]["revision"] == first.json()["revision"]


async def test_tasks_can_be_added_changed_and_removed_one_by_one(
    admin: httpx.AsyncClient, deploy: Any, make: Any
) -> None:
    found = await deploy(autoStart=False)
    path = f"{DEPLOYMENTS}/{found['id']}/tasks"
    warm = {"id": "warm-up", "name": "Warm up", **COMMAND, "blockBy": "user-service-deploy"}

    added = await make(admin, path, warm)
    changed = await admin.put(f"{path}/warm-up", json={"name": "Warmer", "requireConfirm": True})
    shown = await admin.get(f"{path}/warm-up")
    again = await admin.post(path, json=warm)
    needed = await admin.delete(f"{path}/user-service-deploy")
    removed = await admin.delete(f"{path}/warm-up")
    listed = (await admin.get(path)).json()["items"]

    assert (added["status"], added["blockBy"]) == ("blocked", "user-service-deploy")
    assert (changed.json()["name"], changed.json()["payload"]) == ("Warmer", {"command": "true"})
    assert shown.json() == changed.json()
    assert again.status_code == 409
    assert needed.status_code == 422
    assert "user-service-deploy" in needed.json()["detail"]
    assert removed.status_code == 204
    assert "warm-up" not in [task["id"] for task in listed]
    for missing in (
        await admin.get(f"{path}/warm-up"),
        await admin.put(f"{path}/warm-up", json={}),
        await admin.delete(f"{path}/warm-up"),
        await admin.post(f"{path}/warm-up/skip"),
        await admin.post(f"{path}/warm-up/confirm"),
        await admin.get(f"{path}/warm-up/logs"),
    ):
        assert missing.status_code == 404
