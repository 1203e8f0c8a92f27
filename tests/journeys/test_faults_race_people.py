"""Two people want contradicting things at the same moment: exactly one gets it.

The long runs are `make torture`; these are a few rounds of the same.
"""

from pathlib import Path

import pytest
from tests.journeys.faults import must_come_to_nothing
from tests.support.postgres import postgres_binaries
from torture import races

needs_postgres = pytest.mark.skipif(
    postgres_binaries() is None, reason="no PostgreSQL binaries in /usr/lib/postgresql"
)


def test_exactly_one_of_two_wins_at_one_server(tmp_path: Path) -> None:
    must_come_to_nothing(races.races_on_sqlite, tmp_path, rounds=8)


@needs_postgres
def test_exactly_one_of_two_wins_at_two_servers(tmp_path: Path) -> None:
    must_come_to_nothing(races.races_on_postgres, tmp_path, rounds=8)
