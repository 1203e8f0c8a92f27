"""Journeys use whole processes: a server and agents as a user starts them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation
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
