"""`Idempotency-Key`: a request that is sent again makes nothing twice."""

import asyncio
from typing import Any

import httpx

PROJECTS = "/api/release/projects"


async def test_the_same_key_gets_the_same_answer(admin: httpx.AsyncClient, make: Any) -> None:
    key = {"idempotency-key": "one"}

    first = await admin.post(PROJECTS, json={"name": "shop"}, headers=key)
    again = await admin.post(PROJECTS, json={"name": "shop"}, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await admin.get(PROJECTS)).json()["items"]) == 1


async def test_the_same_key_for_another_request_is_refused(admin: httpx.AsyncClient) -> None:
    key = {"idempotency-key": "one"}
    await admin.post(PROJECTS, json={"name": "shop"}, headers=key)

    answer = await admin.post(PROJECTS, json={"name": "other"}, headers=key)

    assert answer.status_code == 409


async def test_a_request_that_failed_may_be_mended_under_a_new_key(
    admin: httpx.AsyncClient,
) -> None:
    key = {"idempotency-key": "one"}

    failed = await admin.post(PROJECTS, json={"name": ""}, headers=key)
    again = await admin.post(PROJECTS, json={"name": "shop"}, headers=key)

    assert (failed.status_code, again.status_code) == (422, 201)


async def test_many_at_once_make_one(admin: httpx.AsyncClient, site: Any) -> None:
    body = {"versionId": site.version, "environmentId": site.environment}
    key = {"idempotency-key": "deploy-1"}

    answers = await asyncio.gather(
        *(admin.post("/api/v1/deployments", json=body, headers=key) for _ in range(8))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_secret_is_not_kept_to_be_shown_again(
    admin: httpx.AsyncClient, services: Any, tmp_path: Any
) -> None:
    key = {"idempotency-key": "token-1"}

    first = await admin.post("/api/release/tokens", json={"name": "ci"}, headers=key)
    again = await admin.post("/api/release/tokens", json={"name": "ci"}, headers=key)

    assert (first.status_code, again.status_code) == (201, 409)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("boreas.db*"))
    assert first.json()["token"].encode() not in stored


async def test_every_route_that_creates_takes_the_key(app: Any) -> None:
    described = app.openapi()
    creating = [
        (path, operation)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if method == "post" and "201" in operation["responses"]
    ]

    without = [
        path
        for path, operation in creating
        if not any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
    ]

    assert without == ["/api/release/setup"]
    assert len(creating) >= 10
