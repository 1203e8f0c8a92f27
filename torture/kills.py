"""kill -9 of servers and agents at random moments of running deployments."""

import time
from pathlib import Path

from tests.support.installation import Installation

from torture.api import Api
from torture.counting import CountingWork
from torture.site import (
    BUSY_BACK_WITHIN_SECONDS,
    IDLE_BACK_WITHIN_SECONDS,
    READY_WITHIN_SECONDS,
    Returns,
    installation,
    restart,
)
from torture.tally import Dose, Tally

AGENTS = 4
IDLE_LOOK_EVERY = 25
"""Idle agents take up to half a minute: only some kills wait for them."""

WORK_LOOK_EVERY = 5


def kill_server(directory: Path, dose: Dose) -> Tally:
    """The one server dies and is started again."""
    tally, dice = Tally(fault="kill_server"), dose.dice()
    with installation(directory, agents=AGENTS) as whole:
        targets = {agent.name for agent in whole.agents}
        idle = _add_idle_agents(whole)
        work = CountingWork(whole, tally)
        returns = Returns(Api([whole.url], whole.token), tally)
        with work.running():
            for turn in dose.turns():
                time.sleep(dice.uniform(0.05, 1.5))
                busy = work.busy()
                away = dice.choice((0.0, 0.0, 0.0, dice.uniform(0, 3)))
                killed, ready = restart(whole.servers[0], tally, away=away)
                tally.add(tried=1)
                returns.await_all(busy, since=killed, ready=ready, kind="busy")
                if turn % WORK_LOOK_EVERY == 0:
                    # Those between two commands are as slow as idle ones: let work go on, too.
                    returns.all_online(targets, at_most=60)
                if turn % IDLE_LOOK_EVERY == 5:
                    returns.await_all(idle, since=killed, ready=ready, kind="idle")
        work.settle()
    _hold_to_times(tally)
    return tally


def kill_agent(directory: Path, dose: Dose) -> Tally:
    """One agent, then another, dies and is started again; its commands live on."""
    tally, dice = Tally(fault="kill_agent"), dose.dice()
    with installation(directory, agents=AGENTS) as whole:
        work = CountingWork(whole, tally)
        returns = Returns(Api([whole.url], whole.token), tally)
        with work.running():
            for _ in dose.turns():
                time.sleep(dice.uniform(0.05, 1.0))
                agent = dice.choice(whole.agents)
                killed = time.time()  # noqa: TID251 - compared with what the server says
                agent.kill()
                time.sleep(dice.choice((0.0, 0.0, 0.0, dice.uniform(0, 3))))
                started = time.time()  # noqa: TID251
                agent.start()
                tally.add(tried=1)
                returns.await_all({agent.name}, since=killed, ready=started, kind="killed")
        work.settle()
    return tally


def _add_idle_agents(whole: Installation) -> set[str]:
    """Agents that are nobody's targets."""
    known = {agent.name for agent in whole.agents}
    whole.add_agents(2)
    return {agent.name for agent in whole.agents} - known


def _hold_to_times(tally: Tally) -> None:
    limits = {
        "slowest_ready_seconds": READY_WITHIN_SECONDS,
        "slowest_busy_agent_seconds": BUSY_BACK_WITHIN_SECONDS,
        "slowest_idle_agent_seconds": IDLE_BACK_WITHIN_SECONDS,
    }
    for name, limit in limits.items():
        took = float(tally.facts.get(name, 0.0))
        tally.must(took <= limit, f"{name} is {took}, more than {limit}")
