"""Windows, the manual lock and approvers of an environment; times of a deployment."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from boreas.engine.decide import decide

OFFICE = {
    "name": "office hours",
    "kind": "allow",
    "time_zone": "Europe/Berlin",
    "days": ["mon", "tue", "wed", "thu", "fri"],
    "begin": "09:00",
    "end": "17:00",
}


def a_freeze(services: Any, **changes: Any) -> dict[str, Any]:
    now = services.clock.now()
    return {
        "name": "fair",
        "kind": "freeze",
        "starts_at": (now - timedelta(hours=1)).isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    } | changes


@pytest.fixture
def member(
    admin: httpx.AsyncClient, connect: Any, site: Any
) -> Callable[[str, str], Awaitable[httpx.AsyncClient]]:
    """Makes a user with a role in the site's project, and signs them in."""

    async def join(name: str, role: str) -> httpx.AsyncClient:
        who = {"username": name, "password": "correct horse battery"}
        made = await admin.post("/api/release/users", json=who)
        assert made.status_code == 201, made.text
        path = f"/api/release/projects/{site.project}/members"
        joined = await admin.post(path, json={"user": name, "role": role})
        assert joined.status_code == 201, joined.text
        client: httpx.AsyncClient = connect(origin="http://boreas.test")
        answer = await client.post("/api/release/login", json=who)
        assert answer.status_code == 200, answer.text
        return client

    return join


async def look(services: Any, deployment_id: str) -> None:
    """What the runtime's loop would do now."""
    now = services.clock.now()
    async with services.store.transaction() as tx:
        await tx.work.claim([deployment_id])
        snapshot = (await tx.work.load([deployment_id], now))[deployment_id].snapshot
        decision = decide(snapshot, now)
        await tx.work.save(snapshot.deployment, decision.next, wake_at=None, now=now)


def path_of(site: Any) -> str:
    return f"/api/release/environments/{site.environment}"


async def ask(admin: httpx.AsyncClient, site: Any, **more: Any) -> httpx.Response:
    body = {"versionId": site.version, "environmentId": site.environment, **more}
    return await admin.post("/api/v1/deployments", json=body)


async def test_windows_are_kept_as_they_were_written(admin: httpx.AsyncClient, site: Any) -> None:
    answer = await admin.patch(path_of(site), json={"windows": [OFFICE]})

    assert answer.status_code == 200, answer.text
    [window] = (await admin.get(path_of(site))).json()["windows"]
    assert window == OFFICE | {
        "starts_at": None,
        "ends_at": None,
        "overrun": True,
        "skippable": True,
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_zone": "Mars/Olympus"}, "is no known time zone"),
        ({"time_zone": "../../etc/passwd"}, "is no known time zone"),
        ({"begin": "9 o'clock"}, "is no time of day"),
        ({"begin": "25:00"}, "is no time of day"),
        ({"days": []}, "needs all of days, begin and end"),
        ({"starts_at": "2030-01-01T00:00:00Z"}, "needs either days"),
        ({"days": ["someday"]}, "mon"),
    ],
)
async def test_a_window_that_makes_no_sense_is_refused_by_name(
    admin: httpx.AsyncClient, site: Any, changes: Any, words: str
) -> None:
    answer = await admin.patch(path_of(site), json={"windows": [OFFICE | changes]})

    assert answer.status_code == 422
    assert words in answer.text
    assert (await admin.get(path_of(site))).json()["windows"] == []


async def test_two_windows_of_one_name_are_refused(admin: httpx.AsyncClient, site: Any) -> None:
    answer = await admin.patch(path_of(site), json={"windows": [OFFICE, OFFICE]})

    assert answer.status_code == 422
    assert "two windows named office hours" in answer.text


async def test_a_time_without_an_offset_is_refused(admin: httpx.AsyncClient, site: Any) -> None:
    once = {"name": "x", "kind": "freeze", "starts_at": "2030-01-01T00:00:00"}
    answer = await admin.patch(
        path_of(site), json={"windows": [once | {"ends_at": "2030-01-02T00:00:00Z"}]}
    )

    assert answer.status_code == 422
    assert "timezone" in answer.text


async def test_it_is_said_whether_one_could_begin_now(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    await admin.patch(path_of(site), json={"windows": [a_freeze(services)]})

    now = (await admin.get(f"{path_of(site)}/standing")).json()
    later = services.clock.now() + timedelta(hours=2)
    then = await admin.get(f"{path_of(site)}/standing", params={"at": later.isoformat()})

    assert now["open"] is False
    assert now["text"].startswith("frozen by fair until")
    assert then.json()["open"] is True


async def test_a_lock_says_who_and_why_and_is_set_once(admin: httpx.AsyncClient, site: Any) -> None:
    first = await admin.post(f"{path_of(site)}/lock", json={"reason": "audit of the books"})
    second = await admin.post(f"{path_of(site)}/lock", json={"reason": "me too"})

    assert first.status_code == 200, first.text
    assert second.status_code == 409
    assert "locked already, by" in second.json()["detail"]
    lock = (await admin.get(path_of(site))).json()["lock"]
    assert lock["reason"] == "audit of the books"

    assert (await admin.post(f"{path_of(site)}/unlock")).status_code == 204
    assert (await admin.get(path_of(site))).json()["lock"] is None
    assert (await admin.post(f"{path_of(site)}/unlock")).status_code == 409


async def test_a_lock_without_a_reason_is_refused(admin: httpx.AsyncClient, site: Any) -> None:
    answer = await admin.post(f"{path_of(site)}/lock", json={"reason": ""})

    assert answer.status_code == 422


async def test_what_waits_looks_again_when_the_rules_change(
    admin: httpx.AsyncClient, deploy: Any, site: Any, services: Any
) -> None:
    found = await deploy()
    async with services.store.transaction() as tx:
        await tx.work.claim_due(services.clock.now(), limit=10)

    await admin.patch(path_of(site), json={"windows": [a_freeze(services)]})

    async with services.store.transaction() as tx:
        assert found["id"] in await tx.work.claim_due(services.clock.now(), limit=10)


async def test_the_plan_says_what_would_keep_it_from_beginning(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    policy = {"required": 2, "roles": ["owner"], "users": ["carl"]}
    windows = [a_freeze(services)]
    await admin.patch(path_of(site), json={"windows": windows, "approval_policy": policy})
    await admin.post(f"{path_of(site)}/lock", json={"reason": "audit"})

    plan = (await ask(admin, site, dryRun=True, manualApproval=True)).json()

    assert [it.partition(" since ")[0].partition(" until ")[0] for it in plan["holds"]] == [
        "the environment is locked by ada",
        "frozen by fair",
    ]
    assert plan["approvals"] == ["before the first task by role owner, or carl (2 people)"]


async def test_a_deployment_says_when_it_is_to_begin(deploy: Any, services: Any) -> None:
    at = (services.clock.now() + timedelta(hours=1)).replace(microsecond=0)
    found = await deploy(deployAt=at.isoformat(), expireAt=(at + timedelta(hours=1)).isoformat())

    assert found["deployAt"] == at.isoformat().replace("+00:00", "Z")
    assert found["expireAt"] > found["deployAt"]


async def test_what_expires_before_it_begins_is_refused(
    admin: httpx.AsyncClient, site: Any, services: Any
) -> None:
    at = services.clock.now().isoformat()
    answer = await ask(admin, site, deployAt=at, expireAt=at)

    assert answer.status_code == 422
    assert "expireAt is not after deployAt" in answer.text


async def test_a_window_is_passed_by_who_may_override_and_only_with_a_reason(
    admin: httpx.AsyncClient, deploy: Any, site: Any, services: Any
) -> None:
    await admin.patch(path_of(site), json={"windows": [a_freeze(services)]})
    found = await deploy()
    path = f"/api/v1/deployments/{found['id']}/skip-window"

    without = await admin.post(path, json={})
    first = await admin.post(path, json={"reason": "the shop is down"})
    second = await admin.post(path, json={"reason": "again"})

    assert without.status_code == 422
    assert first.status_code == 200, first.text
    assert first.json()["windowSkip"]["reason"] == "the shop is down"
    assert second.status_code == 409


async def test_only_the_named_approvers_agree(
    admin: httpx.AsyncClient, member: Any, deploy: Any, site: Any, services: Any
) -> None:
    policy = {"users": ["carl"]}
    await admin.patch(path_of(site), json={"approval_policy": policy})
    found = await deploy(manualApproval=True)
    await look(services, found["id"])
    path = f"/api/v1/deployments/{found['id']}/confirm"
    mary, carl = await member("mary", "maintainer"), await member("carl", "maintainer")

    refused, agreed = await mary.post(path), await carl.post(path)

    assert refused.status_code == 403
    assert "Only carl may approve here; mary is not among them" in refused.text
    assert agreed.status_code == 200, agreed.text


@pytest.mark.parametrize("moment", ["0", "-0.0", 0, "1e9", "tomorrow", "0001-01-01T00:00:00+14:00"])
async def test_what_is_no_moment_is_refused_by_name(
    admin: httpx.AsyncClient, site: Any, moment: Any
) -> None:
    answer = await ask(admin, site, deployAt=moment)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "deployAt"
