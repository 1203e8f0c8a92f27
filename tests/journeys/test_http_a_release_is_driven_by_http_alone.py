"""A whole server with its own agent, driven as a program would: by HTTP and nothing else."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from boreas.kit.clock import SystemClock
from boreas.server.settings import parse
from boreas.server.wiring import RunningServer, running_server

OVER = ("success", "failed", "rolled_back", "cancelled")
CANARY = [
    {"BatchSize": 1, "CanaryRatio": 0.3, "AutoRollback": True, "ManualApprovalStatus": None},
    {"BatchSize": 2, "AutoRollback": True},
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    where = ["--http", "127.0.0.1:0", "--quic", "127.0.0.1:0", "--data-dir", str(tmp_path / "data")]
    async with running_server(parse([*where, "--with-agent"], {})) as running:
        yield running


@pytest.fixture
async def api(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """From the printed token to a bearer token, as curl would."""
    async with httpx.AsyncClient(base_url=f"http://{server.http}", timeout=30) as client:
        who = {"username": "ada", "password": "correct horse"}
        body = {"token": server.setup_token, **who}
        assert (await client.post("/api/release/setup", json=body)).status_code == 201
        assert (await client.post("/api/release/login", json=who)).status_code == 200
        made = await client.post("/api/release/tokens", json={"name": "journey"})
        client.cookies.clear()
        client.headers["authorization"] = f"Bearer {made.json()['token']}"
        yield client


class Shop:
    """Two applications that depend on each other, on three targets of one agent."""

    def __init__(self, api: httpx.AsyncClient, directory: Path) -> None:
        self.api = api
        self.directory = directory
        self.project = self.environment = ""

    async def make(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def build(self) -> None:
        self.project = (await self.make("/api/release/projects", {"name": "shop"}))["id"]
        within = f"/api/release/projects/{self.project}"
        for name in ("backend", "frontend"):
            live = f"{self.directory}/{name}-$BOREAS_TARGET"
            check = {"type": "command", "command": f'test "$(cat {live})" != broken'}
            deploy = f'echo "{name} becomes $BOREAS_VERSION"; echo "$BOREAS_VERSION" > {live}'
            spec = {"scripts": {"deploy": deploy}}
            body = {"name": name, "driver": "script", "spec": spec, "health_check": check}
            await self.make(f"{within}/applications", body)
        kind = {"name": "production", "kind": "prod"}
        self.environment = (await self.make(f"{within}/environments", kind))["id"]
        await self.agent_is_online()
        for name in ("a", "b", "c"):
            where = f"/api/release/environments/{self.environment}/targets"
            await self.make(where, {"name": name, "agent": "local"})

    async def agent_is_online(self) -> None:
        async def online() -> bool:
            agents = (await self.api.get("/api/release/agents")).json()["items"]
            return any(agent["online"] for agent in agents)

        async with asyncio.timeout(30):
            while not await online():
                await SystemClock().sleep(0.1)

    async def deploy(self, version: str, **more: Any) -> Any:
        path = f"/api/release/projects/{self.project}/versions"
        made = await self.make(path, {"name": version})
        return await self.make(
            "/api/v1/deployments",
            {
                "versionId": made["id"],
                "environmentId": self.environment,
                "mustInOrder": ["backend", "frontend"],
                **more,
            },
        )

    async def until(self, deployment: Any, *states: str) -> Any:
        async with asyncio.timeout(60):
            while True:
                found = (await self.api.get(f"/api/v1/deployments/{deployment['id']}")).json()
                if found["status"] in states:
                    return found
                await SystemClock().sleep(0.05)

    def live(self) -> dict[str, str]:
        return {file.name: file.read_text().strip() for file in self.directory.iterdir()}


@pytest.fixture
async def shop(api: httpx.AsyncClient, tmp_path: Path) -> Shop:
    directory = tmp_path / "live"
    directory.mkdir()
    built = Shop(api, directory)
    await built.build()
    return built


async def test_from_the_first_release_over_a_canary_to_one_that_comes_back(
    shop: Shop, api: httpx.AsyncClient
) -> None:
    first = await shop.until(await shop.deploy("v1"), *OVER)
    assert first["status"] == "success", first["errorMessage"]
    assert set(shop.live().values()) == {"v1"}

    second = await shop.deploy("v2", strategy=CANARY)
    for application in ("backend", "frontend"):
        waiting = await shop.until(second, "waiting_confirm", *OVER)
        assert waiting["status"] == "waiting_confirm", waiting["errorMessage"]
        assert application in waiting["waitingFor"][0]
        answer = await api.post(f"/api/v1/deployments/{second['id']}/confirm")
        assert answer.json()["status"] != "waiting_confirm", "the answer shows what follows"
    assert (await shop.until(second, *OVER))["status"] == "success"
    assert set(shop.live().values()) == {"v2"}

    third = await shop.until(await shop.deploy("broken", strategy=CANARY), *OVER)
    assert third["status"] == "rolled_back"
    assert third["phase"] == "rollback"
    assert "backend" in third["errorMessage"]
    assert set(shop.live().values()) == {"v2"}


async def test_the_log_is_followed_to_its_end(shop: Shop, api: httpx.AsyncClient) -> None:
    found = await shop.deploy("v1")
    task = next(task for task in found["tasks"] if task["type"] == "deploy")
    path = f"/api/v1/deployments/{found['id']}/tasks/{task['id']}/logs"

    text = ""
    async with asyncio.timeout(60), api.stream("GET", f"{path}/stream") as stream:
        async for block in stream.aiter_text():
            text += block

    assert text.count("backend becomes v1") == 3
    assert "event: end" in text
    page = (await api.get(path)).json()
    assert page["complete"] is True
    assert [line["seq"] for line in page["logs"]] == list(range(1, page["lastSeq"] + 1))


async def test_a_tab_sees_every_state_up_to_the_last(
    shop: Shop, server: RunningServer, api: httpx.AsyncClient
) -> None:
    found = await shop.deploy("v1", autoStart=False)
    states: list[str] = []
    seen: list[int] = []
    auth = {"authorization": api.headers["authorization"]}
    async with connect(f"ws://{server.http}/api/v1/ws", additional_headers=auth) as socket:
        topic = f"deployment:{found['id']}"
        await socket.send(json.dumps({"type": "subscribe", "topic": topic}))
        started = False
        async with asyncio.timeout(60):
            while not states or states[-1] not in OVER:
                message = json.loads(await socket.recv())
                if message["type"] not in ("snapshot", "change"):
                    continue
                told = message["data"].get("deployment", message["data"])
                states.append(told["status"])
                seen.append(message["v"])
                if not started:
                    started = True
                    await api.post(f"/api/v1/deployments/{found['id']}/start")

    final = (await api.get(f"/api/v1/deployments/{found['id']}")).json()
    assert list(dict.fromkeys(states)) == ["pending", "running", "success"]
    assert seen == sorted(set(seen))
    assert seen[-1] <= final["revision"]


async def test_a_revoked_agent_is_gone_within_five_seconds(
    shop: Shop, api: httpx.AsyncClient
) -> None:
    (agent,) = (await api.get("/api/release/agents")).json()["items"]

    await api.post(f"/api/release/agents/{agent['id']}/revoke")

    async with asyncio.timeout(5):
        while (await api.get(f"/api/release/agents/{agent['id']}")).json()["online"]:
            await SystemClock().sleep(0.1)


async def test_the_setup_token_is_spent(server: RunningServer, api: httpx.AsyncClient) -> None:
    body = {"token": server.setup_token, "username": "eve", "password": "another one"}
    with contextlib.suppress(KeyError):
        del api.headers["authorization"]

    assert (await api.post("/api/release/setup", json=body)).status_code == 409
    assert (await api.get("/api/v1/deployments")).status_code == 401
