"""Rights are looked at again while a stream is open: who leaves a project hears no more of it."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

WITHIN_SECONDS = 5


@pytest.fixture
async def viewer(
    admin: httpx.AsyncClient, site: Any, make: Any, connect: Any
) -> tuple[str, httpx.AsyncClient]:
    """A member of the site's project: where to remove them, and their program."""
    await make(admin, "/api/release/users", {"username": "grace", "password": "correct horse"})
    body = {"user": "grace", "role": "viewer"}
    member = await make(admin, f"/api/release/projects/{site.project}/members", body)
    client = connect(origin="http://boreas.test")
    signed_in = {"username": "grace", "password": "correct horse"}
    assert (await client.post("/api/release/login", json=signed_in)).status_code == 200
    token = (await make(client, "/api/release/tokens", {"name": "t"}))["token"]
    program = connect(authorization=f"Bearer {token}")
    return f"/api/release/projects/{site.project}/members/{member['id']}", program


async def next_of(socket: ClientConnection, *kinds: str) -> dict[str, Any]:
    async with asyncio.timeout(WITHIN_SECONDS * 2):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] in kinds:
                return message


async def test_a_log_stream_ends_for_who_is_no_member_any_more(
    served: str, viewer: Any, admin: httpx.AsyncClient, deploy: Any
) -> None:
    """Hazard 64."""
    where, program = viewer
    found = await deploy(autoStart=False)
    url = f"http://{served}/api/v1/deployments/{found['id']}/logs/stream"
    headers = {"authorization": program.headers["authorization"]}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        blocks = answer.aiter_bytes()
        await anext(blocks)
        assert (await admin.delete(where)).status_code == 204

        async with asyncio.timeout(WITHIN_SECONDS):
            async for _ in blocks:
                pass


async def test_a_subscription_ends_for_who_is_no_member_any_more(
    served: str, viewer: Any, admin: httpx.AsyncClient, deploy: Any
) -> None:
    where, program = viewer
    found = await deploy(autoStart=False)
    topic = f"deployment:{found['id']}"
    headers = {"authorization": program.headers["authorization"]}
    async with connect(f"ws://{served}/api/v1/ws", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "subscribe", "topic": topic}))
        assert (await next_of(socket, "snapshot"))["topic"] == topic
        await admin.delete(where)
        async with asyncio.timeout(WITHIN_SECONDS):
            refused = await next_of(socket, "error")

        await admin.post(f"/api/v1/deployments/{found['id']}/start")
        await socket.send(json.dumps({"type": "ping"}))
        after = await next_of(socket, "change", "pong")
    assert (refused["topic"], refused["code"], refused["gone"]) == (topic, "not_found", True)
    assert after["type"] == "pong", "no change was told any more"


async def test_lists_tell_of_no_foreign_deployment(
    served: str, viewer: Any, admin: httpx.AsyncClient, deploy: Any
) -> None:
    where, program = viewer
    found = await deploy(autoStart=False)
    headers = {"authorization": program.headers["authorization"]}
    async with connect(f"ws://{served}/api/v1/ws", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "subscribe", "topic": "deployments"}))
        mine = await next_of(socket, "snapshot")
        await admin.delete(where)
        await admin.post(f"/api/v1/deployments/{found['id']}/start")
        await socket.send(json.dumps({"type": "subscribe", "topic": "agents"}))
        agents = await next_of(socket, "snapshot", "change")
    assert [it["id"] for it in mine["data"]["deployments"]] == [found["id"]]
    assert agents["topic"] == "agents", "the start was not told"
    assert all(it["facts"] == {} for it in agents["data"]["agents"])


async def test_a_foreign_topic_is_refused_like_one_that_nothing_has(
    served: str, viewer: Any, admin: httpx.AsyncClient, deploy: Any
) -> None:
    """Hazard 70."""
    where, program = viewer
    found = await deploy(autoStart=False)
    await admin.delete(where)
    headers = {"authorization": program.headers["authorization"]}
    told = []
    async with connect(f"ws://{served}/api/v1/ws", additional_headers=headers) as socket:
        for id_ in (found["id"], "dep_none"):
            await socket.send(json.dumps({"type": "subscribe", "topic": f"deployment:{id_}"}))
            message = json.dumps(await next_of(socket, "error", "snapshot"))
            told.append(message.replace(id_, "ID"))

    assert told[0] == told[1]
