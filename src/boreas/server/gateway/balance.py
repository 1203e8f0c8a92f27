"""How many agents a server should hand on to the others. Pure; gateway.py asks now and then.

After servers came and went the agents hang where they were taken in first, perhaps all on one.
"""

from collections.abc import Mapping
from math import ceil

from boreas.domain.ids import ServerId

# Less than this above the even share is not worth anybody's reconnect.
SLACK_SHARE, SLACK_AGENTS = 0.1, 1
# So many at most in one look: those who take them in have time to.
MOST_AT_ONCE = 50


def surplus(me: ServerId, agents: Mapping[ServerId, int]) -> int:
    """How many of my agents are too many, given how many each living server has."""
    if len(agents) < 2 or me not in agents:
        return 0
    even = ceil(sum(agents.values()) / len(agents))
    if agents[me] - even <= max(SLACK_AGENTS, even * SLACK_SHARE):
        return 0
    return min(agents[me] - even, MOST_AT_ONCE)
