"""A whole web application over a fresh SQLite database, and clients that call it in-process."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from boreas.domain.fleet import Agent
from boreas.domain.ids import AgentId
from boreas.domain.orders import GitRef
from boreas.kit.clock import SystemClock
from boreas.kit.ids import new_id
from boreas.logs.store import LogStore
from boreas.server.app import create_app
from boreas.server.auth.hashing import PasswordHasher
from boreas.server.auth.setup_token import SetupToken
from boreas.server.log_keeper import LogKeeper
from boreas.server.registry import StoreRegistry
from boreas.server.services import ServiceBundle
from boreas.server.settings import Address, parse
from boreas.server.web import listening_socket, serve_web
from boreas.store import SqlStore
from boreas.testing.secrets import a_key_ring

PASSWORD = "correct horse battery"
COMMIT = "a" * 40


@dataclass
class RecordedWakes:
    """Remembers what the routes told the rest of the server."""

    dues: int = 0
    shut_out: list[AgentId] = field(default_factory=list)

    def due(self) -> None:
        self.dues += 1

    def revoked(self, agent_id: AgentId) -> None:
        self.shut_out.append(agent_id)


class FixedGit:
    """Every ref is at the same commit."""

    async def resolve(self, git: GitRef, credential: object = None) -> GitRef:
        return replace(git, commit=git.commit or COMMIT)


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    """What the server logged; an unforeseen error fails the test that met it."""
    with capture_logs() as entries:
        yield entries
    unforeseen = [entry for entry in entries if entry.get("action") == "request_failed"]
    assert not unforeseen, [entry["exc_info"] for entry in unforeseen]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once; each test gets a copy."""
    directory = tmp_path_factory.mktemp("empty")

    async def migrate() -> None:
        async with SqlStore.open(None, directory):
            pass

    asyncio.run(migrate())
    return directory / "boreas.db"


@pytest.fixture
async def store(tmp_path: Path, empty_database: Path) -> AsyncIterator[SqlStore]:
    shutil.copy(empty_database, tmp_path / "boreas.db")
    async with SqlStore.open(None, tmp_path) as opened:
        yield opened


@pytest.fixture
async def services(store: SqlStore, tmp_path: Path) -> AsyncIterator[ServiceBundle]:
    settings = parse(["--data-dir", str(tmp_path)], {})
    logs = LogStore(settings.log_dir, SystemClock())
    keeper = LogKeeper(
        logs=logs,
        store=store,
        finished_among=StoreRegistry(store).finished_among,
        clock=SystemClock(),
    )
    bundle = ServiceBundle(
        settings=settings,
        store=store,
        logs=logs,
        wakes=RecordedWakes(),
        git=FixedGit(),
        clock=SystemClock(),
        ids=new_id,
        mint_enrol_token=lambda secret: f"boreas1.localhost:1.{'0' * 64}.{secret}",
        setup_token=SetupToken(settings.setup_token_file),
        has_all_logs_of=keeper.has_all_of,
        patience_seconds=0,
        # Real hashes at a price that hundreds of tests can pay.
        hasher=PasswordHasher(passes=1, kibibytes=64),
    )
    bundle.setup_token.offer(users_exist=False)
    yield bundle
    bundle.hasher.close()
    await logs.aclose()


@pytest.fixture
async def with_key(services: ServiceBundle) -> None:
    """The server has a key to keep secrets with."""
    services.vault._ring = a_key_ring()
    async with services.store.transaction() as tx:
        await services.vault.unlock(tx)


@pytest.fixture
def app(services: ServiceBundle) -> FastAPI:
    return create_app(services)


Connect = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def connect(app: FastAPI) -> AsyncIterator[Connect]:
    """Makes clients; each has its own cookies and address."""
    clients: list[httpx.AsyncClient] = []

    def make(
        *, address: str = "192.0.2.1", base: str = "http://boreas.test", **headers: str
    ) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app, client=(address, 4000), raise_app_exceptions=False)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        client = httpx.AsyncClient(transport=transport, base_url=base, headers=named)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def anybody(connect: Connect) -> httpx.AsyncClient:
    """Nobody the server knows."""
    return connect()


@pytest.fixture
async def browser(
    connect: Connect, anybody: httpx.AsyncClient, services: ServiceBundle
) -> httpx.AsyncClient:
    """The first admin, signed in with a cookie, on our own page."""
    token = services.setup_token.path.read_text().strip()
    made = await anybody.post(
        "/api/release/setup", json={"token": token, "username": "ada", "password": PASSWORD}
    )
    assert made.status_code == 201, made.text
    client = connect(origin="http://boreas.test")
    await signed_in(client)
    return client


async def signed_in(client: httpx.AsyncClient, password: str = PASSWORD) -> None:
    answer = await client.post("/api/release/login", json={"username": "ada", "password": password})
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def admin(connect: Connect, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """The first admin's program, with a bearer token."""
    answer = await browser.post("/api/release/tokens", json={"name": "tests"})
    assert answer.status_code == 201, answer.text
    return connect(authorization=f"Bearer {answer.json()['token']}")


Made = dict[str, Any]


async def made(client: httpx.AsyncClient, path: str, body: Made, **headers: str) -> Made:
    """POST that must create."""
    answer = await client.post(path, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    found: Made = answer.json()
    assert found["id"]
    return found


async def enrolled(store: SqlStore, name: str) -> AgentId:
    """An agent as the gateway would have let in."""
    agent_id = AgentId(new_id("agt"))
    agent = Agent(id=agent_id, name=name, key_sha256=new_id("key"), enrolled_at=SystemClock().now())
    async with store.transaction() as tx:
        await tx.agents.add(agent)
    return agent_id


@pytest.fixture
def make() -> Callable[..., Awaitable[Made]]:
    """POST that must create."""
    return made


@pytest.fixture
def enrol(store: SqlStore) -> Callable[[str], Awaitable[AgentId]]:
    """Lets an agent in."""
    return lambda name: enrolled(store, name)


@pytest.fixture
def sign_in() -> Callable[..., Awaitable[None]]:
    """Signs a client in."""
    return signed_in


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The app behind a real socket, for streams; its address."""
    listening = listening_socket(Address(host="127.0.0.1", port=0))
    async with serve_web(app, listening):
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@dataclass
class Site:
    """A project that can be deployed: two applications, three targets, a version."""

    project: str
    environment: str
    version: str
    applications: dict[str, str]
    targets: list[str]
    agents: list[str]


@pytest.fixture
async def site(admin: httpx.AsyncClient, store: SqlStore) -> Site:
    project = (await made(admin, "/api/release/projects", {"name": "shop"}))["id"]
    within = f"/api/release/projects/{project}"
    applications = {}
    for name in ("user-service", "order-service"):
        body = {
            "name": name,
            "driver": "script",
            "spec": {"scripts": {"deploy": "true"}},
            "health_check": {"type": "command", "command": "true"},
        }
        applications[name] = (await made(admin, f"{within}/applications", body))["id"]
    kind = {"name": "production", "kind": "prod"}
    environment = (await made(admin, f"{within}/environments", kind))["id"]
    agents = [await enrolled(store, f"node-{number}") for number in range(3)]
    targets = []
    for number, agent in enumerate(agents):
        where = f"/api/release/environments/{environment}/targets"
        target = await made(admin, where, {"name": f"target-{number}", "agent": agent})
        targets.append(target["id"])
    version = (await made(admin, f"{within}/versions", {"name": "v1.2.5"}))["id"]
    return Site(
        project=project,
        environment=environment,
        version=version,
        applications=applications,
        targets=targets,
        agents=[str(agent) for agent in agents],
    )


Deploy = Callable[..., Awaitable[Made]]


@pytest.fixture
def deploy(admin: httpx.AsyncClient, site: Site) -> Deploy:
    """Asks for a deployment of the site's version."""

    async def ask(**more: Any) -> Made:
        body = {"versionId": site.version, "environmentId": site.environment, **more}
        return await made(admin, "/api/v1/deployments", body)

    return ask
