"""Bring the demo's server and agents up and fill the server: admin, tokens, project."""

import os
from collections.abc import Callable

import yaml

from boreas.cli import names
from boreas.cli.account import make_token
from boreas.cli.client import Client, wait_until_ready
from boreas.cli.demo.files import project_document
from boreas.cli.demo.processes import Processes
from boreas.cli.demo.world import ADMIN, AGENTS, World
from boreas.cli.failures import Unreachable
from boreas.cli.manifests.applying import Applier
from boreas.cli.manifests.documents import read_projects
from boreas.kit.clock import Clock

START_SECONDS = 40.0


def start_server(world: World, processes: Processes) -> None:
    """A server on SQLite, on this machine only."""
    processes.start(
        "server",
        "server",
        "--data-dir",
        str(world.server_dir),
        "--http",
        f"127.0.0.1:{world.http_port}",
        "--quic",
        world.quic,
        "--database-url",
        f"sqlite+aiosqlite:///{world.server_dir / 'boreas.db'}",
    )


async def sign_in(world: World, processes: Processes, clock: Clock, *, password: str) -> str:
    """Wait for the server, make the first admin, and an API token of theirs."""
    async with Client(world.url) as client:
        await _until_ready(client, processes, clock)
        token = (world.server_dir / "setup-token").read_text().strip()
        body = {"token": token, "username": ADMIN, "password": password}
        await client.post(f"{names.RELEASE}/setup", body)
        api_token = await make_token(client, ADMIN, password, name="boreas demo")
    write_private(
        world.env_file, f"export BOREAS_URL={world.url}\nexport BOREAS_API_TOKEN={api_token}\n"
    )
    return api_token


async def _until_ready(client: Client, processes: Processes, clock: Clock) -> None:
    """As long as the server lives, give it time: a machine may be busy."""
    deadline = clock.monotonic() + START_SECONDS
    while True:
        processes.check()
        try:
            await wait_until_ready(client, seconds=0.5)
        except Unreachable:
            if clock.monotonic() > deadline:
                raise
        else:
            return


async def start_agents(world: World, processes: Processes, client: Client) -> None:
    """Six agents, each a process of its own, let in by one token that travels in a file."""
    body = {"ttl_seconds": 600, "uses": AGENTS, "labels": {"made-by": "demo"}}
    answer = await client.post(f"{names.RELEASE}/agents/enroll-tokens", body)
    token_file = world.directory / "enrol-token"
    write_private(token_file, str(answer["token"]))
    for place in range(1, AGENTS + 1):
        name = f"node-{place}"
        processes.start(
            name,
            "agent",
            "--server",
            world.quic,
            "--token-file",
            str(token_file),
            "--name",
            name,
            "--data-dir",
            str(world.directory / "agents" / name),
        )


async def wait_for_agents(
    client: Client, processes: Processes, clock: Clock, say: Callable[[str], None]
) -> None:
    """Return when all six are online."""
    deadline = clock.monotonic() + START_SECONDS
    seen = -1
    while True:
        processes.check()
        online = sum(1 for each in await names.agents(client) if each.get("online"))
        if online != seen:
            say(f"{online} of {AGENTS} agents are online")
            seen = online
        if online == AGENTS:
            return
        if clock.monotonic() > deadline:
            raise Unreachable(f"only {online} of {AGENTS} agents came online")
        await clock.sleep(0.2)


async def make_project(world: World, client: Client, *, image: str | None) -> None:
    """Write the project's file and apply it, exactly as `boreas apply -f` does."""
    file = world.directory / "shop.yaml"
    document = project_document(world, image=image)
    file.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    for wanted in read_projects(file):
        applier = Applier(client, wanted, prune=False)
        await applier.apply(await applier.changes())


def write_private(path: os.PathLike[str], text: str) -> None:
    """A file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
