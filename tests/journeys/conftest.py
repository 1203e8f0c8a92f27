"""Journeys use whole processes: a server and agents as a user starts them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.boreas_cli import NODES, Cli
from tests.support.installation import PASSWORD, AgentProcess, Installation
from tests.support.live import Live
from tests.support.postgres import PrivatePostgres, running_postgres
from tests.support.waiting import until


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A server on SQLite with an admin; add agents and things."""
    whole = Installation(tmp_path)
    try:
        whole.add_server()
        yield whole
    finally:
        whole.stop()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A server and six agents, shared by a file's tests; each makes a project of its own."""
    whole = Installation(tmp_path_factory.mktemp("fleet"))
    try:
        whole.add_server()
        whole.add_agents(6)
        yield whole
    finally:
        whole.stop()


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Where this test's script applications leave what is live."""
    directory = tmp_path / "live"
    directory.mkdir()
    return Live(directory)


@pytest.fixture(scope="session")
def private_postgres() -> Iterator[PrivatePostgres]:
    yield from running_postgres()


@pytest.fixture
def on_postgres(
    tmp_path: Path, private_postgres: PrivatePostgres
) -> Iterator[Callable[[], Installation]]:
    """Makes an installation without servers on a database of its own."""
    made: list[Installation] = []

    def make() -> Installation:
        made.append(Installation(tmp_path, database_url=private_postgres.new_database()))
        return made[-1]

    yield make
    for whole in made:
        whole.stop()


@pytest.fixture
def for_cli(tmp_path: Path) -> Iterator[Installation]:
    """A server that nobody has signed in to yet."""
    whole = Installation(tmp_path)
    whole.token = "the command line makes its own"
    try:
        whole.add_server()
        yield whole
    finally:
        whole.stop()


@pytest.fixture
def cli(for_cli: Installation, tmp_path: Path) -> Cli:
    """Signed in by `boreas setup`, with six agents that `boreas agents token` let in."""
    home = tmp_path / "home"
    home.mkdir()
    cli = Cli(home, for_cli.servers[0].url)
    setup = for_cli.servers[0].data_dir / "setup-token"
    words = ("--username", "ada", "--password-stdin", "--setup-token-file", setup)
    cli.good("setup", *words, stdin=PASSWORD + "\n")
    token = cli.good("agents", "token", "--uses", len(NODES)).strip()
    for name in NODES:
        for_cli.agents.append(AgentProcess(name, tmp_path / name, token).start())
    until(lambda: cli.online() == set(NODES), at_most=60)
    return cli
