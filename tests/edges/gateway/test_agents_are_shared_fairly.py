"""Pure: how many agents a server hands on."""

import pytest

from boreas.domain.ids import ServerId
from boreas.server.gateway.balance import MOST_AT_ONCE, surplus

ME = ServerId("me")


@pytest.mark.parametrize(
    ("mine", "others", "handed_on"),
    [
        (100, [], 0),
        (4, [0], 2),
        (2, [0], 0),
        (9, [0, 0], 6),
        (11, [10, 9], 0),
        (0, [50], 0),
        (1000, [0], MOST_AT_ONCE),
        (500, [480, 470], 0),
    ],
)
def test_what_is_above_the_even_share_goes_to_the_others(
    mine: int, others: list[int], handed_on: int
) -> None:
    agents = {ME: mine} | {ServerId(f"s{it}"): count for it, count in enumerate(others)}

    assert surplus(ME, agents) == handed_on


def test_a_server_that_lost_its_lease_hands_nobody_on() -> None:
    assert surplus(ME, {ServerId("a"): 0, ServerId("b"): 1}) == 0
