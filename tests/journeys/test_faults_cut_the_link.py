"""The way between agents and the server is cut, stopped, or moved.

The long runs are `make torture`; these are a few rounds of the same.
"""

from functools import partial
from pathlib import Path

from tests.journeys.faults import must_come_to_nothing
from torture import cuts


def test_a_cut_wire_loses_and_doubles_nothing(tmp_path: Path) -> None:
    must_come_to_nothing(partial(cuts.cut_link, usual=6), tmp_path, rounds=2)


def test_an_agent_that_moves_to_another_address_loses_and_doubles_nothing(tmp_path: Path) -> None:
    must_come_to_nothing(cuts.move_addresses, tmp_path, rounds=3)


def test_a_server_that_stands_still_for_a_while_goes_on_as_if_nothing_was(tmp_path: Path) -> None:
    must_come_to_nothing(partial(cuts.stop_server, usual=6), tmp_path, rounds=1)


def test_an_agent_that_stands_still_for_a_while_goes_on_as_if_nothing_was(tmp_path: Path) -> None:
    must_come_to_nothing(partial(cuts.stop_agent, usual=6), tmp_path, rounds=1)
