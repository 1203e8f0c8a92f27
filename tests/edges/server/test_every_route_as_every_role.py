"""Every route, tried as every role: in the caller's own project, in another one, and by tokens.

The routes are taken from the application itself, so a new one is tried without anybody thinking of
it; one that declares nothing fails here, and so does one whose path has an id of a kind that
nobody has said how to make.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from starlette.responses import Response

from boreas.domain.access import ApiToken
from boreas.domain.errors import Conflict
from boreas.domain.permissions import DEPLOY, MATRIX, READ, Permission, Role, Scope
from boreas.kit.clock import SystemClock
from boreas.kit.ids import new_id
from boreas.server.app import declared_callers, declared_permissions
from boreas.server.auth.callers import Who
from boreas.server.auth.secrets import fingerprint, new_api_token
from boreas.server.event_streams import EventStream
from boreas.server.services import ServiceBundle
from boreas.store import SqlStore
from boreas.store.places import PLACES

FREE, GUARDED = Permission.DEPLOY_FREE, Permission.DEPLOY_GUARDED
Ids = dict[str, str]

NO_PERMISSION = {
    ("POST", "/api/release/logout"): Who.USER,
    ("GET", "/api/release/me"): Who.USER,
    ("POST", "/api/release/me/password"): Who.SELF,
    ("POST", "/api/release/tokens"): Who.SELF,
    ("GET", "/api/release/tokens"): Who.SELF,
    ("DELETE", "/api/release/tokens/{token_id}"): Who.SELF,
    ("GET", "/api/release/users"): Who.SELF,
    ("GET", "/api/release/users/{user_id}"): Who.SELF,
    ("POST", "/api/release/projects"): Who.SELF,
    ("GET", "/api/release/projects"): Who.USER,
    ("GET", "/api/v1/deployments"): Who.USER,
    ("GET", "/api/release/agents"): Who.USER,
    ("GET", "/api/release/agents/{agent_id}"): Who.USER,
    ("WEBSOCKET", "/api/v1/ws"): Who.USER,
}
"""Routes of no project: the caller's own account, and lists that show what the caller may see."""


def asked_in_body(path: str, ids: Ids) -> tuple[Any, dict[str, str]]:
    """Body and query of routes whose project is not in the path."""
    match path:
        case "/api/v1/deployments":
            body = {"versionId": ids["version_id"], "environmentId": ids["environment_id"]}
            return {**body, "dryRun": True}, {}
        case "/api/release/audit" | "/api/release/audit/export":
            return None, {"project": ids["project_id"]}
        case "/api/release/credentials":
            body = {
                "name": new_id("cred"),
                "type": "access_token",
                "scope": "project",
                "project_id": ids["project_id"],
                "data": {"token": "t0ken"},
            }
            return body, {"project_id": ids["project_id"]}
        case _ if path.endswith("/promote"):
            return {"environment_id": ids["environment_id"]}, {}
    return None, {}


@dataclass
class Ground:
    """Two projects with one of everything, once in dev and once in prod; and who is who."""

    own: dict[str, Ids]
    foreign: dict[str, Ids]
    callers: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    tokens: dict[str, httpx.AsyncClient] = field(default_factory=dict)


async def everything_of(admin: httpx.AsyncClient, name: str, make: Any, agent: str) -> Any:
    """By the kind of environment: an id for each path parameter."""
    project = (await make(admin, "/api/release/projects", {"name": name}))["id"]
    within = f"/api/release/projects/{project}"
    spec = {"scripts": {"deploy": "true"}}
    app = {"name": "web", "driver": "script", "spec": spec}
    shared = {"project_id": project, "task_id": "web-deploy", "name": "a.txt"}
    shared["application_id"] = (await make(admin, f"{within}/applications", app))["id"]
    shared["version_id"] = (await make(admin, f"{within}/versions", {"name": "1"}))["id"]
    template = {"name": "usual", "text": "tasks: [{id: a, command: 'true'}]"}
    shared["workflow_id"] = (await make(admin, f"{within}/workflows", template))["id"]
    shared["number"] = "1"
    shared["build_id"] = await a_build(admin, project, shared["application_id"], make)
    found = {}
    for kind in ("dev", "prod"):
        ids = dict(shared)
        environment = {"name": kind, "kind": kind}
        ids["environment_id"] = (await make(admin, f"{within}/environments", environment))["id"]
        where = f"/api/release/environments/{ids['environment_id']}/targets"
        ids["target_id"] = (await make(admin, where, {"name": "t", "agent": agent}))["id"]
        asked = {"versionId": ids["version_id"], "environmentId": ids["environment_id"]}
        deployment = await make(admin, "/api/v1/deployments", {**asked, "autoStart": False})
        ids["deployment_id"] = deployment["id"]
        ids["task_id"] = deployment["tasks"][0]["id"]
        ids["credential_id"] = await a_credential(admin, project, make)
        found[kind] = ids
    return found


async def a_build(admin: httpx.AsyncClient, project: str, application: str, make: Any) -> str:
    within = f"/api/release/projects/{project}"
    path = f"/api/release/applications/{application}"
    build = {"target_image": "shop/web:{{version}}", "push": False}
    assert (await admin.patch(path, json={"build": build})).status_code == 200
    git = {"repository": "https://git.example.org/shop.git", "commit": "c" * 40}
    version = (await make(admin, f"{within}/versions", {"name": "built", "git": git}))["id"]
    found = await make(admin, f"{within}/build", {"version_id": version})
    assert (await admin.patch(path, json={"build": None})).status_code == 200
    return str(found["id"])


async def a_credential(admin: httpx.AsyncClient, project: str, make: Any) -> str:
    body, _ = asked_in_body("/api/release/credentials", {"project_id": project})
    return str((await make(admin, "/api/release/credentials", body))["id"])


async def a_token(store: SqlStore, user_id: str, scope: Scope) -> str:
    secret, now = new_api_token(), SystemClock().now()
    token = ApiToken(
        id=new_id("tok"),
        user_id=user_id,
        name="t",
        secret_sha256=fingerprint(secret),
        created_at=now,
        # Its first use would be written down, and `nothing_changes`.
        last_used_at=now,
        scope=scope,
    )
    async with store.transaction() as tx:
        await tx.api_tokens.add(token)
    return secret


@pytest.fixture
async def ground(
    admin: httpx.AsyncClient,
    connect: Any,
    make: Any,
    enrol: Any,
    store: SqlStore,
    with_key: None,
) -> Ground:
    agent = str(await enrol("node"))
    async with store.transaction() as tx:
        node = await tx.agents.get(agent)
        await tx.agents.change(replace(node, labels={"builder": "yes"}))
    ground = Ground(
        own=await everything_of(admin, "own", make, agent),
        foreign=await everything_of(admin, "foreign", make, agent),
    )
    project, other = ground.own["dev"]["project_id"], ground.foreign["dev"]["project_id"]
    for role in Role:
        user = await make(admin, "/api/release/users", {"username": role, "password": "p" * 12})
        where = f"/api/release/projects/{project}/members"
        member = await make(admin, where, {"user": role.value, "role": role.value})
        for ids in ground.own.values():
            ids["member_id"] = member["id"]
        secret = await a_token(store, user["id"], Scope())
        ground.callers[role] = connect(authorization=f"Bearer {secret}")
        if role is Role.OWNER:
            scopes = {
                "read": Scope(permissions=READ),
                "deploy": Scope(permissions=DEPLOY),
                "elsewhere": Scope(project_ids=frozenset({other})),
            }
            for name, scope in scopes.items():
                narrow = await a_token(store, user["id"], scope)
                ground.tokens[name] = connect(authorization=f"Bearer {narrow}")
    owner = (await admin.get("/api/release/me")).json()
    members = (await admin.get(f"/api/release/projects/{other}/members")).json()["items"]
    assert members[0]["user_id"] == owner["id"], "who makes a project owns it"
    for ids in ground.foreign.values():
        ids["member_id"] = members[0]["id"]
    return ground


@pytest.fixture
def nothing_changes(
    services: ServiceBundle, ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From now on every write is refused at its end, and streams end at once."""
    real = services.store.transaction

    @asynccontextmanager
    async def undone() -> AsyncIterator[Any]:
        async with real() as tx:
            yield tx
            raise Conflict("nothing is changed in this test")

    async def ended(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    monkeypatch.setattr(services.store, "transaction", undone)
    monkeypatch.setattr(EventStream, "__call__", ended)


Route = tuple[str, str, frozenset[Permission]]


def member_routes(app: FastAPI) -> list[Route]:
    return list(declared_permissions(app))


def parameters(path: str) -> list[str]:
    return re.findall(r"{(\w+)", path)


async def called(client: httpx.AsyncClient, method: str, path: str, ids: Ids) -> httpx.Response:
    body, query = asked_in_body(path, ids)
    sent = {} if method in ("GET", "DELETE") else {"json": {} if body is None else body}
    return await client.request(method, path.format_map(ids), params=query, **sent)


def needed(permissions: frozenset[Permission], kind: str) -> Permission:
    if permissions == {FREE, GUARDED}:
        return FREE if kind == "dev" else GUARDED
    assert len(permissions) == 1, f"what is needed of {set(permissions)}?"
    return next(iter(permissions))


def unknown(ids: Ids) -> Ids:
    """Ids of the same look that nothing has."""
    kept = ("task_id", "name")
    return {name: id_ if name in kept else f"{id_[:-4]}none" for name, id_ in ids.items()}


def told(answer: httpx.Response, ids: Ids) -> Mapping[str, Any]:
    """The answer, with the ids and what is new in each request taken out."""
    text = answer.text
    for name in sorted(ids, key=lambda name: -len(ids[name])):
        text = text.replace(ids[name], f"<{name}>")
    shown = json.loads(text)
    shown.pop("request_id", None)
    return {"status": answer.status_code, **shown}


def test_every_route_declares_a_permission_or_is_of_no_project(app: FastAPI) -> None:
    permissions = {(method, path) for method, path, _ in declared_permissions(app)}
    for method, path, who in declared_callers(app):
        if who & {Who.PUBLIC, Who.ADMIN}:
            continue
        declared = (method, path) in permissions or (method, path) in NO_PERMISSION
        assert declared, f"{method} {path} declares no permission"
        if (method, path) in NO_PERMISSION:
            assert who == {NO_PERMISSION[method, path]}
            assert not set(parameters(path)) & set(PLACES), f"{path} is of a project"


async def test_each_role_may_what_the_matrix_says_and_nothing_else(
    app: FastAPI, ground: Ground, nothing_changes: None
) -> None:
    for method, path, permissions in member_routes(app):
        for kind, ids in ground.own.items():
            missing = [name for name in parameters(path) if name not in ids]
            assert not missing, f"{path}: say in everything_of how to make a {missing}"
            permission = needed(permissions, kind)
            for role in Role:
                answer = await called(ground.callers[role], method, path, ids)

                said = f"{role} {method} {path} in {kind}: {answer.status_code} {answer.text}"
                if role in MATRIX[permission]:
                    assert answer.status_code not in (401, 403, 500), said
                else:
                    assert answer.status_code == 403, said
                    assert answer.json()["params"]["permission"] == permission, said
                    assert answer.json()["params"]["role"] == role, said


async def test_another_projects_ids_look_like_ids_that_nothing_has(
    app: FastAPI, ground: Ground, nothing_changes: None
) -> None:
    """Hazard 70."""
    for method, path, _ in member_routes(app):
        for ids in ground.foreign.values():
            nothing = unknown(ids)
            for role in Role:
                foreign = await called(ground.callers[role], method, path, ids)
                missing = await called(ground.callers[role], method, path, nothing)

                said = f"{role} {method} {path}: {foreign.status_code} {foreign.text}"
                assert foreign.status_code in (404, 422), said
                assert told(foreign, ids) == told(missing, nothing), said


async def test_an_id_of_another_project_below_ones_own_is_not_there(
    app: FastAPI, ground: Ground, nothing_changes: None
) -> None:
    """Hazard 70: `/projects/A/members/{id of B}`."""
    own, foreign = ground.own["dev"], ground.foreign["dev"]
    tried = 0
    for method, path, _ in member_routes(app):
        nested = [name for name in parameters(path) if name in PLACES]
        if nested[:1] != ["project_id"] or len(nested) < 2:
            continue
        tried += 1
        mixed = {**foreign, "project_id": own["project_id"]}
        answer = await called(ground.callers[Role.OWNER], method, path, mixed)
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
    assert tried


async def test_a_token_may_only_what_it_was_made_for(
    app: FastAPI, ground: Ground, nothing_changes: None
) -> None:
    covered = {"read": READ, "deploy": DEPLOY}
    for method, path, permissions in member_routes(app):
        permission = needed(permissions, "prod")
        for name, allowed in covered.items():
            answer = await called(ground.tokens[name], method, path, ground.own["prod"])

            said = f"{name} {method} {path}: {answer.status_code} {answer.text}"
            assert (answer.status_code == 403) == (permission not in allowed), said
        answer = await called(ground.tokens["elsewhere"], method, path, ground.own["prod"])
        assert answer.status_code in (404, 422), f"{method} {path}: {answer.text}"


async def test_a_narrow_token_touches_no_account_and_nothing_of_the_installation(
    app: FastAPI, ground: Ground, nothing_changes: None
) -> None:
    ids = dict.fromkeys(("token_id", "user_id", "agent_id"), "x")
    for method, path, who in declared_callers(app):
        if who & {Who.SELF, Who.ADMIN}:
            for client in (*ground.tokens.values(), ground.callers[Role.OWNER]):
                narrow = client is not ground.callers[Role.OWNER]
                if narrow or Who.ADMIN in who:
                    answer = await client.request(method, path.format_map(ids))
                    assert answer.status_code == 403, f"{method} {path}: {answer.text}"


async def test_an_admin_may_everything_in_projects_of_others(
    app: FastAPI, admin: httpx.AsyncClient, ground: Ground, nothing_changes: None
) -> None:
    for method, path, _ in member_routes(app):
        answer = await called(admin, method, path, ground.own["prod"])
        assert answer.status_code not in (401, 403), f"{method} {path}: {answer.text}"


CHANGES: Mapping[str, Any] = {
    "PUT /api/release/projects/{project_id}": {"name": "renamed"},
    "PATCH /api/release/projects/{project_id}": {"name": "renamed"},
    "POST /api/release/projects/{project_id}/members": {"user": "linus", "role": "viewer"},
    "PUT /api/release/projects/{project_id}/members/{member_id}": {"role": "developer"},
    "POST /api/release/projects/{project_id}/applications": {
        "name": "api",
        "driver": "script",
        "spec": {"scripts": {"deploy": "true"}},
    },
    "PATCH /api/release/applications/{application_id}": {"name": "renamed"},
    "POST /api/release/projects/{project_id}/environments": {"name": "qa", "kind": "test"},
    "PATCH /api/release/environments/{environment_id}": {"name": "renamed"},
    "POST /api/release/environments/{environment_id}/lock": {"reason": "holidays"},
    "POST /api/release/environments/{environment_id}/targets": {"name": "u", "agent": "node"},
    "PATCH /api/release/targets/{target_id}": {"name": "renamed"},
    "POST /api/release/projects/{project_id}/versions": {"name": "2"},
    "POST /api/release/versions/{version_id}/block": {"reason": "broken"},
    "POST /api/release/projects/{project_id}/versions/{version_id}/block": {"reason": "broken"},
    "PUT /api/release/credentials/{credential_id}": {"description": "changed"},
    "POST /api/v1/deployments/{deployment_id}/tasks": {
        "id": "x",
        "type": "custom",
        "payload": {"command": "true"},
    },
}
"""Bodies with which a route really changes something."""


async def test_every_change_is_written_down_in_its_own_transaction(
    app: FastAPI,
    admin: httpx.AsyncClient,
    services: ServiceBundle,
    ground: Ground,
    make: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever writes without an entry in the audit trail is found here, also in new routes."""
    await make(admin, "/api/release/users", {"username": "linus"})
    real, silent, reached = services.store.transaction, list[str](), set[str]()
    route = ""

    async def changes(tx: Any) -> int:
        await tx._unit.pending.flush()
        counted = await tx._unit.connection.scalar(text("SELECT total_changes()"))
        return int(counted)

    @asynccontextmanager
    async def watched() -> AsyncIterator[Any]:
        async with real() as tx:
            before = await changes(tx)
            yield tx
            if await changes(tx) != before:
                reached.add(route)
                if not tx._unit.notes:
                    silent.append(route)
            raise Conflict("nothing is changed in this test")

    monkeypatch.setattr(services.store, "transaction", watched)
    for method, path, _ in member_routes(app):
        if method == "GET":
            continue
        route = f"{method} {path}"
        body = CHANGES.get(route, asked_in_body(path, ground.own["dev"])[0])
        sent = {} if method == "DELETE" else {"json": {} if body is None else body}
        await admin.request(method, path.format_map(ground.own["dev"]), **sent)

    assert not silent
    assert set(CHANGES) <= reached
    assert len(reached) > 30
