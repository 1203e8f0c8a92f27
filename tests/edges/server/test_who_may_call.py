"""Every route says who may call it, and none answers to somebody else."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from boreas.server.app import create_app, declared_callers, require_callers
from boreas.server.auth.callers import Who

PUBLIC = {
    ("POST", "/api/release/setup"),
    ("POST", "/api/release/login"),
    ("GET", "/api/release/schemas/workflow.json"),
    ("GET", "/api/release/schemas/project.json"),
    ("GET", "/api/release/oidc"),
    ("GET", "/api/release/oidc/login"),
    ("GET", "/api/release/oidc/callback"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/{path:path}"),
}


class _AnyId(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "x"


IDS = _AnyId()


def closed_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Method and a concrete path of each route that is not for everybody."""
    return [
        (method, path.format_map(IDS))
        for method, path, who in declared_callers(app)
        if Who.PUBLIC not in who and method != "WEBSOCKET"
    ]


async def test_only_setup_login_health_and_static_files_are_public(app: FastAPI) -> None:
    public = {(m, p) for m, p, who in declared_callers(app) if who == {Who.PUBLIC}}

    assert public == PUBLIC


async def test_every_route_declares_exactly_one_kind_of_caller_or_narrows_it(app: FastAPI) -> None:
    declared = list(declared_callers(app))

    assert len(declared) > 60
    assert all(who for _, _, who in declared)
    assert not [path for _, path, who in declared if Who.PUBLIC in who and len(who) > 1]


async def test_a_route_without_a_declared_caller_stops_the_app_from_starting(
    app: FastAPI,
) -> None:
    careless = APIRouter()
    careless.add_api_route("/api/release/forgotten", lambda: None)
    app.include_router(careless)

    with pytest.raises(RuntimeError, match="/api/release/forgotten does not declare"):
        require_callers(app)


async def test_no_route_answers_without_a_caller(app: FastAPI, anybody: httpx.AsyncClient) -> None:
    for method, path in closed_routes(app):
        answer = await anybody.request(method, path)

        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_no_route_answers_to_a_token_of_another_kind(
    app: FastAPI, admin: httpx.AsyncClient, browser: httpx.AsyncClient, connect: Any
) -> None:
    enrol = (await admin.post("/api/release/agents/enroll-tokens", json={})).json()["token"]
    session = browser.cookies["boreas_session"]
    bearer = admin.headers["authorization"].removeprefix("Bearer ")
    strangers = [
        connect(authorization=f"Bearer {enrol}"),
        connect(authorization=f"Bearer {session}"),
        connect(authorization=f"Basic {bearer}"),
        connect(cookie=f"boreas_session={bearer}"),
        connect(cookie=f"boreas_session={enrol}"),
    ]

    for stranger in strangers:
        for method, path in closed_routes(app):
            assert (await stranger.request(method, path)).status_code == 401


async def test_every_route_lets_the_admin_in(app: FastAPI, admin: httpx.AsyncClient) -> None:
    for method, path in closed_routes(app):
        answer = await admin.request(method, path)

        assert answer.status_code not in (401, 403, 500), f"{method} {path}: {answer.text}"


async def test_a_disabled_user_is_nobody(services: Any, admin: httpx.AsyncClient) -> None:
    async with services.store.transaction() as tx:
        user = await tx.users.named("ada")
        await tx.users.change(replace(user, disabled_at=services.clock.now()))

    assert (await admin.get("/api/release/me")).status_code == 401


async def test_somebody_who_is_not_an_admin_may_not_touch_agents(
    services: Any, admin: httpx.AsyncClient
) -> None:
    async with services.store.transaction() as tx:
        await tx.users.change(replace(await tx.users.named("ada"), is_admin=False))

    answer = await admin.post("/api/release/agents/enroll-tokens", json={})

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await admin.get("/api/release/agents")).status_code == 200


async def test_the_description_of_the_api_is_complete(
    app: FastAPI, anybody: httpx.AsyncClient
) -> None:
    described = (await anybody.get("/openapi.json")).json()

    for method, path, _ in declared_callers(create_app(app.state.services)):
        if method == "WEBSOCKET" or path in ("/openapi.json", "/{path:path}"):
            continue
        operation = described["paths"][path][method.lower()]
        answers = [code for code in operation["responses"] if code.startswith(("2", "302"))]
        assert answers, f"{method} {path} describes no answer"
        assert operation["summary"]
    names = [op["operationId"] for path in described["paths"].values() for op in path.values()]
    assert len(names) == len(set(names)), "web clients name their calls by these"
