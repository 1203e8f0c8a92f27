"""Start, confirm, pause, cancel and the rest: allowed once, refused at the wrong moment."""

import asyncio
from typing import Any

import httpx

from boreas.engine.decide import decide

DEPLOYMENTS = "/api/v1/deployments"


async def look(services: Any, deployment_id: str) -> None:
    """What the runtime's loop would do now, without any agent."""
    now = services.clock.now()
    async with services.store.transaction() as tx:
        await tx.work.claim([deployment_id])
        snapshot = (await tx.work.load([deployment_id], now))[deployment_id].snapshot
        decision = decide(snapshot, now)
        await tx.work.save(snapshot.deployment, decision.next, wake_at=None, now=now)
        await tx.work.add_events(decision.next.id, decision.notices, now)


async def act(admin: httpx.AsyncClient, found: Any, what: str, **body: Any) -> httpx.Response:
    return await admin.post(f"{DEPLOYMENTS}/{found['id']}/{what}", json=body or None)


async def test_it_is_started_once(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)

    first, second = await act(admin, found, "start"), await act(admin, found, "start")

    assert (first.status_code, second.status_code) == (200, 409)
    assert first.json()["autoStart"] is True
    assert first.json()["revision"] == found["revision"] + 1


async def test_the_loop_is_woken_after_each_wish(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    found = await deploy(autoStart=False)
    before = services.wakes.dues

    await act(admin, found, "start")

    assert services.wakes.dues == before + 1
    async with services.store.transaction() as tx:
        assert found["id"] in await tx.work.claim_due(services.clock.now(), limit=10)


async def test_an_approval_is_waited_for_in_words_and_recorded(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    found = await deploy(manualApproval=True)
    await look(services, found["id"])

    waiting = (await admin.get(f"{DEPLOYMENTS}/{found['id']}")).json()
    confirmed = (await act(admin, found, "confirm", comment="looks good")).json()

    assert waiting["status"] == "waiting_confirm"
    assert waiting["waitingFor"]
    assert waiting["waitingReasons"][0]["code"]
    assert waiting["gates"][0]["state"] == "open"
    assert confirmed["gates"][0]["state"] == "confirmed"
    answer = confirmed["gates"][0]["answers"][0]
    assert (answer["by"], answer["comment"], answer["confirmed"]) == ("ada", "looks good", True)


async def test_of_two_answers_at_once_one_counts(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    found = await deploy(manualApproval=True)
    await look(services, found["id"])

    answers = await asyncio.gather(
        act(admin, found, "confirm"), act(admin, found, "reject"), act(admin, found, "confirm")
    )

    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_confirm_without_an_open_approval_is_refused_in_a_sentence(
    admin: httpx.AsyncClient, deploy: Any
) -> None:
    answer = await act(admin, await deploy(), "confirm")

    assert answer.status_code == 409
    assert answer.json()["detail"] == "No approval is waited for."


async def test_pause_and_resume(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy()

    paused = await act(admin, found, "pause")
    again = await act(admin, found, "pause")
    resumed = await act(admin, found, "resume")

    assert paused.json()["pausedBy"] == "ada"
    assert again.status_code == 409
    assert resumed.json()["pausedBy"] is None


async def test_cancelled_before_its_start_it_ends_and_stays_ended(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    found = await deploy(autoStart=False)

    asked = await act(admin, found, "cancel", comment="not today")
    await look(services, found["id"])

    after = (await admin.get(f"{DEPLOYMENTS}/{found['id']}")).json()
    assert asked.status_code == 200
    assert after["status"] == "cancelled"
    assert "not today" in after["errorMessage"]
    assert after["waitingFor"] == []
    for what in ("start", "pause", "resume", "confirm", "reject", "cancel"):
        assert (await act(admin, found, what)).status_code == 409, what


async def test_nothing_to_take_back_is_said_so(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy()

    for what in ("rollback", "retry"):
        answer = await act(admin, found, what)
        assert answer.status_code == 409
        assert answer.json()["detail"]


async def test_a_task_that_was_not_started_can_be_skipped(
    admin: httpx.AsyncClient, deploy: Any
) -> None:
    found = await deploy(autoStart=False)
    path = "tasks/user-service-health-check/skip"

    skipped, again = await act(admin, found, path), await act(admin, found, path)

    task = next(t for t in skipped.json()["tasks"] if t["id"] == "user-service-health-check")
    assert task["status"] == "success"
    assert "skipped by ada" in task["reason"]
    assert again.status_code == 409


async def test_a_target_can_be_ignored(admin: httpx.AsyncClient, deploy: Any, site: Any) -> None:
    found = await deploy(autoStart=False)

    ignored = await act(admin, found, f"targets/{site.targets[1]}/ignore")
    unknown = await act(admin, found, "targets/tgt_x/ignore")

    rows = [e for task in ignored.json()["tasks"] for e in task["executions"]]
    assert {e["state"] for e in rows if e["targetId"] == site.targets[1]} == {"skipped"}
    assert {e["state"] for e in rows if e["targetId"] == site.targets[0]} == {"pending"}
    assert unknown.status_code == 404


async def test_retrying_a_finished_one_makes_a_new_deployment(
    admin: httpx.AsyncClient, deploy: Any, services: Any
) -> None:
    found = await deploy(autoStart=False)
    await act(admin, found, "cancel")
    await look(services, found["id"])

    answer = await act(admin, found, "retry")

    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] != found["id"]
    assert answer.json()["retryOf"] == found["id"]
    assert answer.json()["tasks"]


async def test_what_happened_is_told_in_order(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)
    for what in ("start", "pause", "resume"):
        await act(admin, found, what)
    path = f"{DEPLOYMENTS}/{found['id']}/events"

    events = (await admin.get(path)).json()
    later = (await admin.get(path, params={"after": events["items"][0]["seq"]})).json()

    assert [event["code"] for event in events["items"]] == ["started", "paused", "resumed"]
    assert events["items"][0]["by"] == "ada"
    assert later["items"] == events["items"][1:]


async def test_it_can_always_say_why(admin: httpx.AsyncClient, deploy: Any) -> None:
    found = await deploy(autoStart=False)

    answer = (await admin.get(f"{DEPLOYMENTS}/{found['id']}/explain")).json()

    assert answer["deploymentId"] == found["id"]
    assert answer["reasons"]
    assert answer["reasons"][0]["text"] in answer["text"]


async def test_a_list_can_be_narrowed(admin: httpx.AsyncClient, deploy: Any, site: Any) -> None:
    first = await deploy(autoStart=False, applicationIds=["user-service"])
    second = await deploy(autoStart=False)
    await act(admin, first, "cancel")

    async def ids(**query: Any) -> list[str]:
        answer = await admin.get(DEPLOYMENTS, params=query)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert await ids() == [second["id"], first["id"]]
    assert await ids(applicationId=site.applications["order-service"]) == [second["id"]]
    assert await ids(q="#2") == [second["id"]]
    assert await ids(projectId="other") == []
    assert await ids(status="success") == []
    assert await ids(environmentId=site.environment, active="true") == [second["id"], first["id"]]
    assert (await admin.get(DEPLOYMENTS, params={"status": "happy"})).status_code == 422
    page = (await admin.get(DEPLOYMENTS, params={"limit": 1})).json()
    assert await ids(limit=1, cursor=page["nextCursor"]) == [first["id"]]
    assert "tasks" not in page["items"][0]


async def test_a_dry_run_tells_the_plan_and_does_nothing(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    body = {
        "versionId": site.version,
        "environmentId": site.environment,
        "mustInOrder": ["user-service", "order-service"],
        "strategy": [{"batchSize": 2}],
        "dryRun": True,
    }

    answer = await admin.post(DEPLOYMENTS, json=body)

    plan = answer.json()
    assert answer.status_code == 200
    assert plan["dryRun"] is True
    assert (plan["version"], plan["environment"]) == ("v1.2.5", "production")
    rounds = plan["tasks"][0]["rounds"]
    assert [r["targets"] for r in rounds] == [["target-0", "target-1"], ["target-2"]]
    assert plan["tasks"][0]["firstDeployment"] is True
    assert plan["offline"] == ["target-0", "target-1", "target-2"]
    assert plan["changes"][0]["fromVersion"] is None
    assert plan["changes"][0]["toVersion"] == "v1.2.5"
    assert plan["text"]
    assert (await admin.get(DEPLOYMENTS)).json()["items"] == []


async def test_a_graph_of_five_thousand_tasks_is_taken(
    admin: httpx.AsyncClient, deploy: Any
) -> None:
    tasks = [
        {
            "id": f"t{number}",
            "type": "custom",
            "payload": {"command": "true"},
            "blockBy": [f"t{before}" for before in range(max(0, number - 4), number)],
        }
        for number in range(5000)
    ]

    found = await deploy(tasks=tasks, autoStart=False)

    assert len(found["tasks"]) == 5000
