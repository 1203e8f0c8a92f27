"""A full disk: a clear error, nothing corrupt, and on it goes when there is room.

The long runs are `make torture`; these are a few rounds of the same.
"""

from pathlib import Path

import pytest
from tests.journeys.faults import must_come_to_nothing
from torture import disks

pytestmark = pytest.mark.skipif(
    not disks.may_mount(), reason="a small disk must be mounted, and only root may"
)


def test_a_server_without_room_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    must_come_to_nothing(disks.fill_server_disk, tmp_path, rounds=1)


def test_an_agent_without_room_says_so_and_goes_on_when_there_is_some(tmp_path: Path) -> None:
    must_come_to_nothing(disks.fill_agent_disk, tmp_path, rounds=1)
