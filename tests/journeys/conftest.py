"""Journeys use whole processes: a server and agents as a user starts them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.installation import Installation
from tests.support.live import Live
from tests.support.postgres import PrivatePostgres, postgres_binaries


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
    binaries = postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries in /usr/lib/postgresql")
    cluster = PrivatePostgres(binaries)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


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
