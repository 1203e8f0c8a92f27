"""kill -9 of servers and agents at random moments of running deployments.

The long runs are `make torture`; these are a few rounds of the same.
"""

from functools import partial
from pathlib import Path

import pytest
from tests.journeys.faults import must_come_to_nothing
from tests.support.postgres import postgres_binaries
from torture import kills, large, many

needs_postgres = pytest.mark.skipif(
    postgres_binaries() is None, reason="no PostgreSQL binaries in /usr/lib/postgresql"
)


def test_a_server_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    must_come_to_nothing(partial(kills.kill_server, sides=1), tmp_path, rounds=2)


def test_agents_that_are_killed_again_and_again_lose_and_double_nothing(tmp_path: Path) -> None:
    must_come_to_nothing(partial(kills.kill_agent, sides=1), tmp_path, rounds=3)


@needs_postgres
def test_three_servers_on_one_postgresql_may_die_one_after_the_other(tmp_path: Path) -> None:
    kill = partial(many.kill_one_of_many, agents=4, share_out=False)
    must_come_to_nothing(kill, tmp_path, rounds=3)


def test_a_large_deployment_survives_the_deaths_of_its_server(tmp_path: Path) -> None:
    kill = partial(large.kill_under_large_work, tasks=100, targets=50)
    must_come_to_nothing(kill, tmp_path, rounds=1)
