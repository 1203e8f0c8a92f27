"""Too many agents at once, agents that lie, a wrong clock, readers that never read.

The long runs are `make torture`; these are a few rounds of the same.
"""

from functools import partial
from pathlib import Path

from tests.journeys.faults import must_come_to_nothing
from torture import clocks, crowds


def test_agents_that_lie_harm_nobody_else(tmp_path: Path) -> None:
    must_come_to_nothing(partial(crowds.hostile_agents, streams=2_000), tmp_path, rounds=1)


def test_readers_that_never_read_cost_a_bounded_memory(tmp_path: Path) -> None:
    must_come_to_nothing(partial(crowds.silent_readers, lines=5_000), tmp_path, rounds=1)


def test_the_servers_time_rules_over_an_agent_s_wrong_clock(tmp_path: Path) -> None:
    must_come_to_nothing(clocks.wrong_clock, tmp_path, rounds=1)


def test_a_server_whose_clock_jumps_by_an_hour_goes_on_as_if_nothing_was(tmp_path: Path) -> None:
    must_come_to_nothing(clocks.jump_server_clock, tmp_path, rounds=1)


def test_two_hundred_agents_leave_and_come_back_at_once(tmp_path: Path) -> None:
    crowd = partial(crowds.crowd_returns, size=200)
    must_come_to_nothing(crowd, tmp_path, rounds=2)
