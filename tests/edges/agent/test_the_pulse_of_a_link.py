"""Pure: how soon a server that was killed is found out by agents that nobody told."""

import pytest

from boreas.agent.pulse import JITTER, Pulse

HEARTBEAT, BUSY = 15.0, 2.0


def found_out_after(*, busy: bool) -> float:
    """The server dies right after it answered a beat; the time until the link counts as dead."""
    pulse = Pulse(idle_seconds=HEARTBEAT, busy_seconds=BUSY)
    pulse.beaten(0.0)
    pulse.heard()
    # The longest rest there is.
    now = BUSY if busy else HEARTBEAT * (1 + JITTER)
    pulse.beaten(now)
    while not pulse.is_silent(now, busy=busy):
        now += pulse.answer_time(now, busy=busy)
        pulse.beaten(now)
    return now


@pytest.mark.parametrize(("busy", "at_most"), [(True, 7.0), (False, 28.0)])
def test_a_killed_server_is_found_out_in_time(busy: bool, at_most: float) -> None:
    assert found_out_after(busy=busy) <= at_most


def test_an_idle_agent_asks_again_soon_when_a_beat_stays_unanswered() -> None:
    pulse = Pulse(idle_seconds=HEARTBEAT, busy_seconds=BUSY)
    pulse.beaten(100.0)

    assert pulse.answer_time(100.0, busy=False) <= 3.0


def test_whatever_the_server_says_counts_as_an_answer() -> None:
    pulse = Pulse(idle_seconds=HEARTBEAT, busy_seconds=BUSY)
    pulse.beaten(0.0)
    pulse.heard()

    assert pulse.is_answered
    assert not pulse.is_silent(1000.0, busy=True)


def test_an_idle_agent_rests_between_answered_beats() -> None:
    pulse = Pulse(idle_seconds=HEARTBEAT, busy_seconds=BUSY)

    assert 9 <= pulse.rest() <= 15
