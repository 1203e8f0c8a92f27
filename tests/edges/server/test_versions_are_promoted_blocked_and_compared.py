"""A project's order of environments, blocked versions, and two versions side by side, over HTTP."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from boreas.domain.deployments import DeploymentState
from boreas.domain.ids import DeploymentId
from boreas.engine.snapshot import LiveChange
from boreas.server.services import ServiceBundle
from boreas.store.audit import Sought

Make = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def staging(admin: httpx.AsyncClient, site: Any, make: Make) -> str:
    """An environment that comes before production."""
    within = f"/api/release/projects/{site.project}"
    found = await make(admin, f"{within}/environments", {"name": "staging", "kind": "staging"})
    where = f"/api/release/environments/{found['id']}/targets"
    await make(admin, where, {"name": "first", "agent": site.agents[0]})
    order = {"promotion_order": ["staging", site.environment]}
    answer = await admin.patch(within, json=order)
    assert answer.status_code == 200, answer.text
    assert answer.json()["promotion_order"] == [found["id"], site.environment]
    key: str = found["id"]
    return key


@pytest.fixture
def succeed(services: ServiceBundle) -> Callable[[str], Awaitable[None]]:
    """Ends a deployment as if everything in it had gone well."""

    async def end(deployment_id: str) -> None:
        now = services.clock.now()
        key = DeploymentId(deployment_id)
        async with services.store.transaction() as tx:
            await tx.work.claim([key])
            before = await tx.deployments.get(key)
            after = replace(before, state=DeploymentState.SUCCESS, revision=before.revision + 1)
            await tx.work.save(before, after, wake_at=None, now=now)
            changes = [
                LiveChange(
                    application_id=it.application_id,
                    target_id=it.target_id,
                    release_id=it.release_id,
                )
                for it in before.executions
                if it.application_id
            ]
            await tx.work.change_live(after, changes, now)

    return end


def wish(version: str, environment: str, **more: Any) -> dict[str, Any]:
    return {"versionId": version, "environmentId": environment, **more}


async def test_a_version_goes_nowhere_before_its_earlier_environments(
    admin: httpx.AsyncClient, site: Any, staging: str
) -> None:
    answer = await admin.post("/api/v1/deployments", json=wish(site.version, site.environment))

    assert answer.status_code == 409
    assert answer.json()["params"] == {"reason": "not_promoted"}
    assert "has not yet succeeded in staging" in answer.json()["detail"]


async def test_the_plan_says_what_stands_against_it(
    admin: httpx.AsyncClient, site: Any, staging: str
) -> None:
    answer = await admin.post(
        "/api/v1/deployments", json=wish(site.version, site.environment, dryRun=True)
    )

    assert answer.status_code == 200, answer.text
    assert [it["code"] for it in answer.json()["refusals"]] == ["not_promoted"]


async def test_after_a_success_the_same_version_is_promoted_to_the_next(
    admin: httpx.AsyncClient, site: Any, staging: str, succeed: Any
) -> None:
    promote = f"/api/release/versions/{site.version}/promote"
    first = await admin.post(promote, json={})
    assert first.status_code == 201, first.text
    assert first.json()["environmentId"] == staging
    await succeed(first.json()["id"])

    second = await admin.post(
        f"/api/release/projects/{site.project}/versions/{site.version}/promote",
        json={"auto_start": False},
    )

    assert second.status_code == 201, second.text
    assert second.json()["environmentId"] == site.environment
    assert second.json()["versionId"] == site.version


async def test_a_success_of_some_applications_does_not_promote_the_others(
    admin: httpx.AsyncClient, site: Any, staging: str, make: Make, succeed: Any
) -> None:
    some = wish(site.version, staging, applicationIds=["user-service"])
    await succeed((await make(admin, "/api/v1/deployments", some))["id"])

    whole = await admin.post("/api/v1/deployments", json=wish(site.version, site.environment))
    same = await admin.post(
        "/api/v1/deployments",
        json=wish(site.version, site.environment, applicationIds=["user-service"]),
    )

    assert (whole.status_code, same.status_code) == (409, 201)


async def test_an_owner_may_skip_the_order_with_a_reason(
    admin: httpx.AsyncClient, site: Any, staging: str, services: ServiceBundle
) -> None:
    answer = await admin.post(
        "/api/v1/deployments",
        json=wish(site.version, site.environment, override={"reason": "the shop is down"}),
    )

    assert answer.status_code == 201, answer.text
    async with services.store.reading() as tx:
        noted = (await tx.audit.page(Sought())).items
    assert any(it.written["why"] == "the shop is down" for it in noted)


async def test_a_blocked_version_is_refused_with_the_reason_and_by_whom(
    admin: httpx.AsyncClient, site: Any
) -> None:
    blocked = await admin.post(
        f"/api/release/versions/{site.version}/block", json={"reason": "loses orders"}
    )
    answer = await admin.post("/api/v1/deployments", json=wish(site.version, site.environment))

    assert blocked.json()["blocked"]["by"] == "ada"
    assert answer.status_code == 409
    assert "blocked by ada: loses orders" in answer.json()["detail"]


async def test_a_blocked_version_may_be_deployed_again_where_it_runs(
    admin: httpx.AsyncClient, site: Any, deploy: Any, succeed: Any
) -> None:
    await succeed((await deploy())["id"])
    await admin.post(f"/api/release/versions/{site.version}/block", json={"reason": "bad"})

    answer = await admin.post("/api/v1/deployments", json=wish(site.version, site.environment))

    assert answer.status_code == 201, answer.text


async def test_an_unblocked_version_goes_everywhere_again(
    admin: httpx.AsyncClient, site: Any
) -> None:
    await admin.post(f"/api/release/versions/{site.version}/block", json={"reason": "bad"})

    answer = await admin.post(f"/api/release/versions/{site.version}/unblock")
    made = await admin.post("/api/v1/deployments", json=wish(site.version, site.environment))

    assert answer.json()["blocked"] is None
    assert made.status_code == 201, made.text


async def test_a_version_of_another_project_is_unknown_here(
    admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    other = (await make(admin, "/api/release/projects", {"name": "other"}))["id"]

    for act, body in (("block", {"reason": "x"}), ("unblock", None), ("promote", {})):
        path = f"/api/release/projects/{other}/versions/{site.version}/{act}"
        answer = await admin.post(path, json=body)
        assert answer.status_code == 404, act


async def test_two_versions_stand_side_by_side(
    admin: httpx.AsyncClient, site: Any, make: Make
) -> None:
    within = f"/api/release/projects/{site.project}"
    for name, image, config in (
        ("v2", "shop:2", {"a": 1, "b": {"c": 1}}),
        ("v3", "shop:3", {"a": 1, "b": {"d": 2}}),
    ):
        body = {"name": name, "artifacts": {"user-service": {"image": image}}, "config": config}
        await make(admin, f"{within}/versions", body)

    answer = await admin.get(f"{within}/versions/compare", params={"a": "v2", "b": "v3"})

    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert {it["name"]: it["change"] for it in found["config"]} == {
        "a": "same",
        "b.c": "removed",
        "b.d": "added",
    }
    images = {it["application"]: it["images"] for it in found["applications"]}
    assert images["user-service"] == [
        {"name": "image", "change": "changed", "a": "shop:2", "b": "shop:3"}
    ]


async def test_variables_are_compared_as_each_version_ran_with_them(
    admin: httpx.AsyncClient, site: Any, make: Make, deploy: Any
) -> None:
    within = f"/api/release/projects/{site.project}"
    newer = (await make(admin, f"{within}/versions", {"name": "v2"}))["id"]
    for version, value in ((site.version, "1"), (newer, "2")):
        await admin.put(f"{within}/variables", json=[{"name": "X", "value": value}])
        await deploy(versionId=version, autoStart=False)

    found = (
        await admin.get(f"{within}/versions/compare", params={"a": "v1.2.5", "b": "v2"})
    ).json()

    assert found["applications"][0]["variables"] == [
        {"name": "X", "change": "changed", "a": "1", "b": "2"}
    ]


async def test_the_plan_says_which_inputs_will_be_others(
    admin: httpx.AsyncClient, site: Any, deploy: Any, succeed: Any
) -> None:
    within = f"/api/release/projects/{site.project}"
    await admin.put(f"{within}/variables", json=[{"name": "X", "value": "1"}])
    await succeed((await deploy(applicationIds=["user-service"]))["id"])
    await admin.put(f"{within}/variables", json=[{"name": "X", "value": "2"}])

    plan = await admin.post(
        "/api/v1/deployments",
        json=wish(site.version, site.environment, applicationIds=["user-service"], dryRun=True),
    )

    assert plan.json()["inputs"] == [
        {
            "application": "user-service",
            "kind": "variable",
            "name": "X",
            "change": "changed",
            "before": "1",
            "after": "2",
            "origin": "project shop",
        }
    ]


async def test_an_order_of_promotion_names_only_the_projects_own_environments(
    admin: httpx.AsyncClient, site: Any
) -> None:
    path = f"/api/release/projects/{site.project}"

    unknown = await admin.patch(path, json={"promotion_order": ["nowhere"]})
    twice = await admin.patch(path, json={"promotion_order": ["production", site.environment]})

    assert unknown.json()["errors"][0]["field"] == "promotion_order[0]"
    assert twice.json()["errors"][0]["field"] == "promotion_order[1]"


async def test_a_version_blocked_meanwhile_is_not_started_any_more(
    admin: httpx.AsyncClient, site: Any, deploy: Any
) -> None:
    made = await deploy(autoStart=False)
    await admin.post(f"/api/release/versions/{site.version}/block", json={"reason": "bad"})

    answer = await admin.post(f"/api/v1/deployments/{made['id']}/start")

    assert answer.status_code == 409
    assert "blocked by ada: bad" in answer.json()["detail"]


async def test_going_back_from_a_blocked_version_is_never_refused(
    admin: httpx.AsyncClient, site: Any, make: Make, deploy: Any, succeed: Any
) -> None:
    await succeed((await deploy(applicationIds=["user-service"]))["id"])
    within = f"/api/release/projects/{site.project}"
    newer = (await make(admin, f"{within}/versions", {"name": "v2"}))["id"]
    second = (await deploy(versionId=newer, applicationIds=["user-service"]))["id"]
    await succeed(second)
    await admin.post(f"/api/release/versions/{newer}/block", json={"reason": "bad"})
    await admin.post(f"/api/release/versions/{site.version}/block", json={"reason": "old"})

    answer = await admin.post(f"/api/v1/deployments/{second}/rollback")

    assert "blocked" not in answer.text
