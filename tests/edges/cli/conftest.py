"""A small server that speaks the contract, in a thread of its own, and the command line in ours."""

import asyncio
import copy
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from boreas.cli.main import main

TOKEN = "bor_good"
Json = dict[str, Any]
PLAN: Json = {
    "dryRun": True,
    "text": "web-deploy (deploy)\n  1. deploy: one\n",
    "changes": [
        {"application": "web", "target": "one", "fromVersion": "v0", "toVersion": "v1"},
    ],
    "approvals": ["after the canary of web"],
    "offline": ["node-1 is offline"],
    "warnings": [{"code": "downtime", "text": "this will cause downtime"}],
}


@dataclass
class FakeServer:
    """Keeps what it is told. `scripts[id]` are the looks at a deployment, one per GET."""

    objects: dict[str, list[Json]] = field(default_factory=dict)
    deployments: dict[str, Json] = field(default_factory=dict)
    scripts: dict[str, list[Any]] = field(default_factory=dict)
    logs: dict[str, list[Json]] = field(default_factory=dict)
    asked: list[tuple[str, str, Json]] = field(default_factory=list)
    refusals: dict[tuple[str, str], tuple[int, Json]] = field(default_factory=dict)
    chain: Json = field(default_factory=lambda: {"holds": True, "entries": 3, "head": "ab"})
    keys: Json = field(default_factory=lambda: {"state": "open", "problem": "", "keys": []})
    websocket: bool = True
    page_size: int = 500
    url: str = ""

    def bodies(self, method: str, path: str) -> list[Json]:
        """What was sent to a path."""
        return [body for how, where, body in self.asked if (how, where) == (method, path)]

    def changes(self) -> list[tuple[str, str]]:
        """Every request that changes something."""
        return [(how, where) for how, where, _ in self.asked if how != "GET"]

    def add(self, kind: str, /, **fields: Any) -> Json:
        """Put an object into a list such as `projects` or `projects/prj_1/versions`."""
        items = self.objects.setdefault(kind, [])
        made = {
            "id": f"{kind.split('/')[-1][:3]}_{len(items) + 1}{len(self.objects)}",
            **fields,
        }
        items.append(made)
        return made

    def add_deployment(self, **fields: Any) -> Json:
        """Put a deployment there."""
        number = len(self.deployments) + 1
        made = {"id": f"dep_{number}", "number": number, "status": "running", "tasks": [], **fields}
        self.deployments[made["id"]] = made
        return made

    # --- answering -------------------------------------------------------------------------

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else {}
        self.asked.append((request.method, request.path, body))
        if refusal := self.refusals.get((request.method, request.path)):
            return problem(*refusal)
        if request.path in ("/healthz", "/readyz"):
            return web.json_response({"status": "ok"})
        if request.path.startswith("/api/release/"):
            return self.release(request, body)
        return self.v1(request, body)

    def release(self, request: web.Request, body: Json) -> web.Response:
        place = request.path.removeprefix("/api/release/")
        if place in ("setup", "login"):
            if body.get("password") != "open sesame":
                return problem(401, {"detail": "the name or the password is wrong"})
            answer = web.json_response({"username": body["username"]})
            answer.set_cookie("boreas", "session")
            return answer
        signed_in = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        if not signed_in and request.cookies.get("boreas") != "session":
            return problem(401, {"detail": "nobody is signed in", "code": "unauthenticated"})
        if place == "tokens":
            return web.json_response({"id": "tok_1", "token": TOKEN}, status=201)
        if place == "me":
            return web.json_response({"username": "ada"})
        if place == "audit/verify":
            return web.json_response(self.chain)
        if place == "secret-keys":
            return web.json_response(self.keys)
        if place == "agents/enroll-tokens":
            return web.json_response({"id": "enr_1", "token": "boreas1.x", **body}, status=201)
        return self.objects_at(request, place, body)

    def objects_at(self, request: web.Request, place: str, body: Json) -> web.Response:
        kind, _, last = place.rpartition("/")
        found = self.with_id(last)
        if request.method == "GET":
            if found is not None:
                return web.json_response(found)
            return web.json_response(self.page(request, self.objects.get(place, [])))
        if request.method == "POST" and last == "revoke":
            return web.json_response(self.with_id(kind.split("/")[-1]))
        if request.method == "POST":
            return web.json_response(self.add(place, **body), status=201)
        if request.method == "PUT" and last in ("variables", "order"):
            return self.list_at(kind, last, body)
        if found is None:
            return problem(404, {"detail": "there is nothing here"})
        if request.method == "DELETE":
            for items in self.objects.values():
                if found in items:
                    items.remove(found)
            return web.Response(status=204)
        found.update(body)
        return web.json_response(found)

    def list_at(self, kind: str, last: str, body: Json) -> web.Response:
        if last == "variables":
            items = [as_variable(each) for each in body["items"]]
            self.objects[f"{kind}/{last}"] = items
        else:
            items = self.objects[kind]
            items.sort(key=lambda each: body["target_ids"].index(each["id"]))
        return web.json_response({"items": items})

    def with_id(self, wanted: str) -> Json | None:
        everything = (each for items in self.objects.values() for each in items)
        return next((each for each in everything if each.get("id") == wanted), None)

    def page(self, request: web.Request, items: list[Json]) -> Json:
        start = int(request.query.get("cursor", 0))
        limit = min(int(request.query.get("limit", 50)), self.page_size)
        following = str(start + limit) if start + limit < len(items) else None
        return {"items": items[start : start + limit], "next_cursor": following}

    def v1(self, request: web.Request, body: Json) -> web.Response:
        parts = request.path.removeprefix("/api/v1/deployments").strip("/").split("/")
        if parts == [""] and request.method == "GET":
            newest = sorted(self.deployments.values(), key=lambda each: -each["number"])
            return web.json_response(self.page(request, newest))
        if parts == [""]:
            if body.get("dryRun"):
                return web.json_response(PLAN)
            return web.json_response(self.add_deployment(status="pending"), status=201)
        if parts[0] not in self.deployments:
            return problem(404, {"detail": "no deployment with this id", "code": "not_found"})
        if parts[-1] == "logs":
            return web.json_response(self.log_page(request, parts[2]))
        if self.scripts.get(parts[0]) and self.scripts[parts[0]][0] == "away":
            self.scripts[parts[0]].pop(0)
            return problem(503, {"detail": "not now", "code": "unavailable"})
        return web.json_response(self.look(parts[0]))

    def look(self, deployment_id: str) -> Json:
        script = self.scripts.get(deployment_id)
        if script:
            self.deployments[deployment_id] = {**self.deployments[deployment_id], **script.pop(0)}
        return self.deployments[deployment_id]

    def log_page(self, request: web.Request, task: str) -> Json:
        lines = self.logs.get(task, [])
        level, text = request.query.get("level"), request.query.get("q")
        lines = [each for each in lines if level in (None, each["level"])]
        lines = [each for each in lines if text is None or text in each["message"]]
        if "after" in request.query:
            lines = [each for each in lines if each["seq"] > int(request.query["after"])]
            limit = int(request.query.get("limit", 500))
            return {"logs": lines[:limit], "hasNewer": len(lines) > limit, "complete": True}
        return {"logs": lines[-int(request.query.get("tail", 500)) :], "complete": True}

    async def live(self, request: web.Request) -> web.StreamResponse:
        if not self.websocket:
            return problem(404, {"detail": "no WebSocket here"})
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                topic = json.loads(message.data)["topic"]
                await socket.send_json({"type": "snapshot", "topic": topic, "v": 1})
        return socket


def as_variable(item: Json) -> Json:
    """A variable as a server shows it: a secret one without its value."""
    secret = bool(item.get("secret"))
    return {"name": item["name"], "value": None if secret else item["value"], "secret": secret}


def problem(status: int, fields: Json) -> web.Response:
    """A problem document."""
    return web.json_response(
        {"type": "about:blank", "status": status, "title": "refused", **fields},
        status=status,
        content_type="application/problem+json",
    )


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """The fake server, listening."""
    fake = FakeServer()
    loop = asyncio.new_event_loop()
    runner: list[web.AppRunner] = []

    async def start() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/ws", fake.live)
        app.router.add_route("*", "/{rest:.*}", fake.answer)
        runner.append(web.AppRunner(app, shutdown_timeout=0.1))
        await runner[0].setup()
        site = web.TCPSite(runner[0], "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        fake.url = f"http://127.0.0.1:{port}"

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield fake
    asyncio.run_coroutine_threadsafe(runner[0].cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Boreas = Callable[..., Ran]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the developer's own configuration."""
    home = tmp_path / "home"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in ("BOREAS_URL", "BOREAS_API_TOKEN", "BOREAS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home / "boreas"


@pytest.fixture
def stranger(capfd: pytest.CaptureFixture[str]) -> Boreas:
    """The command line of somebody who is not signed in anywhere."""

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(each) for each in arguments])
        said = capfd.readouterr()
        return Ran(code=code, out=said.out, err=said.err)

    return run


@pytest.fixture
def boreas(server: FakeServer, stranger: Boreas, monkeypatch: pytest.MonkeyPatch) -> Boreas:
    """The command line of somebody who is signed in at the fake server."""
    monkeypatch.setenv("BOREAS_URL", server.url)
    monkeypatch.setenv("BOREAS_API_TOKEN", TOKEN)
    return stranger


@pytest.fixture
def shop(server: FakeServer) -> FakeServer:
    """A server that holds a project with two applications, an environment and a version."""
    project = server.add("projects", name="shop", description="")
    place = f"projects/{project['id']}"
    server.add(f"{place}/applications", name="web", driver="script", spec={}, health_check=None)
    server.add(f"{place}/applications", name="api", driver="script", spec={}, health_check=None)
    environment = server.add(f"{place}/environments", name="prod", kind="prod")
    agent = server.add("agents", name="node-1", online=True, labels={})
    server.add(
        f"environments/{environment['id']}/targets",
        name="one",
        agent_id=agent["id"],
        agent="node-1",
    )
    server.add(f"{place}/versions", name="v1", git=None, artifacts={}, config={})
    return server


def a_task(name: str = "web-deploy", status: str = "running", **fields: Any) -> Json:
    """A task as the server tells it."""
    return copy.deepcopy(
        {"id": name, "name": name, "type": "deploy", "status": status, "executions": [], **fields}
    )
