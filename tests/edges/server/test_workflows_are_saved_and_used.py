"""Workflow templates over HTTP: saved in versions, previewed, deployed, kept as copies."""

import json
import time

import pytest

from boreas.domain.manifests import schema as project_schema

TEMPLATE = """\
# How the shop goes out.
variables: {NOTIFY: team}
stages:
  - name: Check
    tasks:
      - id: test
        type: test
        matrix: {applications: all}
        command: make test
        retry: {count: 2, delay: 10s}
      - id: seed
        command: ./seed
        when: environment.kind == "test"
  - name: Deploy
    approval: true
    tasks:
      - id: deploy
        name: Put out {application}
        type: deploy
        matrix: {applications: all}
      - id: tell
        command: ./tell
        needs: deploy
        when: variables.NOTIFY != "nobody" && tasks.test.status == "success"
"""


@pytest.fixture
def workflows(site):
    return f"/api/release/projects/{site.project}/workflows"


@pytest.fixture
async def workflow(admin, make, workflows):
    return await make(admin, workflows, {"name": "release", "text": TEMPLATE, "message": "first"})


async def test_a_saved_workflow_is_there_with_its_first_version(admin, workflows, workflow):
    listed = (await admin.get(workflows)).json()["items"]
    shown = (await admin.get(f"{workflows}/{workflow['id']}")).json()
    versions = (await admin.get(f"{workflows}/{workflow['id']}/versions")).json()["items"]

    assert [(it["name"], it["revision"]) for it in listed] == [("release", 1)]
    assert shown["text"] == TEMPLATE
    assert [(it["number"], it["author"], it["message"], it["diff"]) for it in versions] == [
        (1, "ada", "first", "")
    ]


async def test_another_text_is_the_next_version_with_its_difference(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    text = TEMPLATE.replace("make test", "make check")
    saved = await admin.put(path, json={"text": text, "message": "check, too", "revision": 1})
    newest = (await admin.get(f"{path}/versions")).json()["items"][0]

    assert saved.json()["revision"] == 2
    assert (newest["number"], newest["message"]) == (2, "check, too")
    assert "-        command: make test" in newest["diff"]
    assert "+        command: make check" in newest["diff"]


async def test_the_same_text_is_no_new_version(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    saved = await admin.put(path, json={"text": TEMPLATE, "name": "go", "description": "d"})

    assert (saved.json()["revision"], saved.json()["name"]) == (1, "go")


async def test_a_stale_revision_is_a_conflict(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    await admin.put(path, json={"text": TEMPLATE + "# more\n"})
    late = await admin.put(path, json={"text": TEMPLATE + "# other\n", "revision": 1})

    assert late.status_code == 409
    assert late.json()["params"]["revision"] == 2
    assert "saved meanwhile by ada" in late.json()["detail"]


async def test_an_old_version_is_restored_as_the_newest(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    await admin.put(path, json={"text": TEMPLATE + "# more\n"})
    restored = await admin.post(f"{path}/versions/1/restore")
    newest = (await admin.get(f"{path}/versions/3")).json()

    assert (restored.json()["revision"], restored.json()["text"]) == (3, TEMPLATE)
    assert (newest["message"], newest["origin"]) == ("Restore version 1", "version 1")
    assert newest["text"] == TEMPLATE


async def test_two_versions_are_compared(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    await admin.put(path, json={"text": TEMPLATE + "# two\n"})
    await admin.put(path, json={"text": TEMPLATE + "# three\n"})
    shown = (await admin.get(f"{path}/versions/3", params={"against": 1})).json()

    assert "+# three" in shown["diff"]
    assert "two" not in shown["diff"]


async def test_a_workflow_is_copied_to_another_project(admin, make, workflows, workflow):
    other = (await make(admin, "/api/release/projects", {"name": "depot"}))["id"]
    copied = await make(admin, f"{workflows}/{workflow['id']}/copy", {"project_id": other})
    versions = await admin.get(f"/api/release/projects/{other}/workflows/{copied['id']}/versions")

    assert (copied["project_id"], copied["name"], copied["text"]) == (other, "release", TEMPLATE)
    assert versions.json()["items"][0]["origin"] == "copy of release, version 1"


async def test_a_removed_workflow_is_gone(admin, workflows, workflow):
    path = f"{workflows}/{workflow['id']}"
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404


async def test_changes_are_in_the_audit(admin, site, workflows, workflow):
    await admin.put(f"{workflows}/{workflow['id']}", json={"text": TEMPLATE + "#\n"})
    await admin.delete(f"{workflows}/{workflow['id']}")
    found = (await admin.get("/api/release/audit", params={"subject_id": workflow["id"]})).json()

    assert {it["action"] for it in found["items"]} >= {
        "workflow.create",
        "workflow.change",
        "workflow.delete",
    }


async def test_mistakes_are_told_by_line_and_column(admin, workflows):
    text = TEMPLATE.replace("environment.kind ==", "environment.kid ==")
    refused = await admin.post(workflows, json={"name": "bad", "text": text})

    assert refused.status_code == 422
    (problem,) = refused.json()["params"]["problems"]
    assert (problem["line"], problem["column"]) == (13, 26)
    assert problem["path"] == "stages[0].tasks[1].when"
    assert "undeclared reference" in problem["problem"]
    assert "`environment.kind`" in problem["mend"]
    assert refused.json()["errors"][0]["field"] == "line 13, column 26: stages[0].tasks[1].when"


async def test_an_unknown_application_is_told_by_line(admin, workflows):
    text = "tasks:\n- {id: a, type: deploy, application: usr-service}\n"
    refused = await admin.post(workflows, json={"name": "bad", "text": text})

    (problem,) = refused.json()["params"]["problems"]
    assert problem["line"] == 2
    assert "user-service" in problem["mend"]


async def test_the_schema_is_shown_to_anybody(anybody):
    answer = await anybody.get("/api/release/schemas/workflow.json")

    assert answer.status_code == 200
    assert answer.json()["title"] == "Boreas workflow template"


async def test_the_schema_of_project_files_is_shown_to_anybody(anybody):
    answer = await anybody.get(project_schema.PATH)

    assert answer.status_code == 200
    assert answer.json() == project_schema.SCHEMA


# --- preview -------------------------------------------------------------------------------------


async def test_a_preview_draws_the_graph_and_says_what_is_skipped_and_why(
    admin, site, workflows, workflow
):
    body = {"version_id": site.version, "environment_id": site.environment}
    answer = await admin.post(f"{workflows}/{workflow['id']}/preview", json=body)
    shown = answer.json()
    tasks = {it["id"]: it for it in shown["tasks"]}

    assert answer.status_code == 200, answer.text
    assert [(it["name"], it["approval"], it["is_skipped"]) for it in shown["stages"]] == [
        ("Check", False, False),
        ("Deploy", True, False),
    ]
    assert tasks["seed"]["verdict"] == "skip"
    assert tasks["seed"]["because"] == (
        'the condition `environment.kind == "test"` is not met (environment.kind is "prod")'
    )
    assert tasks["tell"]["verdict"] == "later"
    assert tasks["tell"]["needs"] == ["deploy-user-service", "deploy-order-service"]
    assert tasks["deploy-user-service"]["name"] == "Put out user-service"
    assert tasks["deploy-user-service"]["targets"] == ["target-0", "target-1", "target-2"]
    assert "before stage Deploy" in shown["approvals"]
    assert "stage Deploy, after approval" in shown["text"]


async def test_a_preview_keeps_nothing(admin, site, workflows, workflow):
    body = {"version_id": site.version, "environment_id": site.environment}
    await admin.post(f"{workflows}/{workflow['id']}/preview", json=body)

    assert (await admin.get("/api/v1/deployments")).json()["items"] == []


async def test_a_text_that_is_not_saved_is_previewed(admin, site, workflows):
    body = {
        "version_id": site.version,
        "environment_id": site.environment,
        "variables": {"SEED": "yes"},
        "text": 'tasks: [{id: a, command: x, when: variables.SEED == "yes"}]',
    }
    answer = await admin.post(f"{workflows}/preview", json=body)

    assert answer.status_code == 200, answer.text
    assert [(it["id"], it["verdict"]) for it in answer.json()["tasks"]] == [("a", "run")]


async def test_a_preview_of_another_project_s_version_is_refused(
    admin, make, site, workflows, workflow
):
    other = (await make(admin, "/api/release/projects", {"name": "depot"}))["id"]
    theirs = await make(admin, f"/api/release/projects/{other}/versions", {"name": "v1"})
    where = await make(
        admin, f"/api/release/projects/{other}/environments", {"name": "p", "kind": "dev"}
    )
    body = {"version_id": theirs["id"], "environment_id": where["id"]}
    answer = await admin.post(f"{workflows}/{workflow['id']}/preview", json=body)

    assert answer.status_code == 422


# --- deploying -----------------------------------------------------------------------------------


async def test_a_deployment_takes_its_tasks_from_a_workflow(deploy, workflow):
    found = await deploy(workflowId=workflow["id"], autoStart=False)
    tasks = {it["id"]: it for it in found["tasks"]}

    assert found["workflow"] == {"id": workflow["id"], "name": "release", "version": 1}
    assert found["stages"] == [
        {"name": "Check", "approval": False, "continueOn": []},
        {"name": "Deploy", "approval": True, "continueOn": []},
    ]
    assert found["requireConfirm"]
    assert tasks["test-user-service"]["retry"] == {"count": 2, "delay": 10.0}
    assert tasks["test-user-service"]["payload"]["variables"] == {"NOTIFY": "team"}
    assert tasks["seed"]["reason"].startswith("will be skipped: ")
    assert tasks["tell"]["stage"] == 2
    assert tasks["tell"]["when"].startswith("variables.NOTIFY")


async def test_it_may_be_named_and_an_older_version_taken(admin, deploy, workflows, workflow):
    await admin.put(f"{workflows}/{workflow['id']}", json={"text": "tasks: [{id: a, command: x}]"})
    old = await deploy(workflowId="release", workflowVersion=1, autoStart=False)
    new = await deploy(workflowId="release", autoStart=False)

    assert (old["workflow"]["version"], len(old["tasks"])) == (1, 6)
    assert (new["workflow"]["version"], len(new["tasks"])) == (2, 1)


async def test_the_deployment_keeps_its_copy_when_the_workflow_is_gone(
    admin, deploy, workflows, workflow
):
    found = await deploy(workflowId=workflow["id"], autoStart=False)
    await admin.delete(f"{workflows}/{workflow['id']}")
    copy = (await admin.get(f"/api/v1/deployments/{found['id']}/workflow")).json()

    assert (copy["name"], copy["workflowVersion"], copy["text"]) == ("release", 1, TEMPLATE)


async def test_variables_are_given_in_place_of_the_workflow_s_own(deploy, workflow):
    found = await deploy(workflowId=workflow["id"], variables={"NOTIFY": "nobody"}, autoStart=False)

    assert found["tasks"][0]["payload"]["variables"] == {"NOTIFY": "nobody"}


async def test_the_graph_of_a_deployment_becomes_a_workflow(admin, make, deploy, workflows):
    drawn = await deploy(
        autoStart=False,
        tasks=[
            {"id": "a b/c".replace("/", "-"), "type": "custom", "payload": {"command": "x\ny"}},
            {
                "id": "d",
                "type": "deploy",
                "appId": "user-service",
                "blockBy": "a b-c",
                "when": 'tasks["a b-c"].exit_code == 0',
                "retry": {"count": 1, "delay": 5},
                "continueOn": ["failure"],
                "timeoutSeconds": 60,
                "requireConfirm": True,
            },
        ],
    )
    saved = await make(admin, workflows, {"name": "drawn", "from_deployment": drawn["id"]})
    again = await deploy(workflowId="drawn", autoStart=False)

    assert "command: |" in saved["text"]
    one, two = again["tasks"]
    assert (one["id"], one["payload"]["command"]) == ("a-b-c", "x\ny")
    assert (two["blockBy"], two["when"]) == ("a-b-c", 'tasks["a-b-c"].exit_code == 0')
    assert (two["retry"], two["continueOn"]) == ({"count": 1, "delay": 5.0}, ["failure"])
    assert (two["timeoutSeconds"], two["requireConfirm"]) == (60.0, True)


async def test_of_a_deployment_that_was_not_edited_the_very_text_is_saved(
    admin, make, deploy, workflow, workflows
):
    found = await deploy(workflowId=workflow["id"], autoStart=False)
    saved = await make(admin, workflows, {"name": "again", "from_deployment": found["id"]})

    assert saved["text"] == TEMPLATE


async def test_tasks_beside_a_workflow_are_refused(admin, site, workflow):
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "workflowId": workflow["id"],
        "tasks": [],
    }
    refused = await admin.post("/api/v1/deployments", json=body)

    assert refused.status_code == 422
    assert "leave one of them out" in refused.json()["errors"][0]["mend"]


async def test_an_unknown_workflow_is_named(admin, site):
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "workflowId": "nothing",
    }
    refused = await admin.post("/api/v1/deployments", json=body)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "workflowId"


async def test_what_is_wrong_when_it_is_laid_out_is_told_by_its_line(admin, make, site, workflows):
    text = "tasks:\n- {id: a, command: x}\n- id: b\n  command: x\n  target: nowhere\n"
    await make(admin, workflows, {"name": "far", "text": text})
    body = {"versionId": site.version, "environmentId": site.environment, "workflowId": "far"}
    refused = await admin.post("/api/v1/deployments", json=body)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "line 3, column 3: tasks[1].payload.target"


async def test_the_list_of_tasks_can_be_put_back_as_it_was_got(admin, deploy, workflow):
    found = await deploy(workflowId=workflow["id"], autoStart=False)
    path = f"/api/v1/deployments/{found['id']}/workflow"
    answer = await admin.put(path, json={"tasks": found["tasks"], "revision": 1})

    assert answer.status_code == 200, answer.text
    assert answer.json()["revision"] == 1


async def test_five_thousand_tasks_are_saved_and_deployed_quickly(admin, make, workflows, deploy):
    stages = [
        {
            "name": f"s{stage}",
            "tasks": [{"id": f"t{stage}-{n}", "command": "true"} for n in range(500)],
        }
        for stage in range(10)
    ]
    await make(admin, workflows, {"name": "big", "text": json.dumps({"stages": stages})})
    begun = time.process_time()
    found = await deploy(workflowId="big", autoStart=False)

    assert len(found["tasks"]) == 5000
    assert time.process_time() - begun < 20
