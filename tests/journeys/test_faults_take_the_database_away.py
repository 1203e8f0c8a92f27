"""The database is away or locked: 503 with a reason, then everything goes on.

The long runs are `make torture`; these are a few rounds of the same.
"""

from functools import partial
from pathlib import Path

import pytest
from tests.journeys.faults import must_come_to_nothing
from tests.support.postgres import postgres_binaries
from torture import databases

# A little longer than the server waits for its database.
OUTAGE = (6.0, 8.0)

needs_postgres = pytest.mark.skipif(
    postgres_binaries() is None, reason="no PostgreSQL binaries in /usr/lib/postgresql"
)


@needs_postgres
def test_a_postgresql_that_is_away_is_waited_for(tmp_path: Path) -> None:
    must_come_to_nothing(partial(databases.stop_postgres, seconds=OUTAGE), tmp_path, rounds=1)


def test_a_sqlite_file_that_another_program_locks_is_waited_for(tmp_path: Path) -> None:
    must_come_to_nothing(partial(databases.lock_sqlite, seconds=OUTAGE), tmp_path, rounds=1)
