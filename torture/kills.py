"""kill -9 of servers and agents at random moments of running deployments."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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

SIDES = 2
AGENTS = 4
IDLE_LOOK_EVERY = 25
"""Idle agents take up to half a minute: only some kills wait for them."""

WORK_LOOK_EVERY = 5


def kill_server(directory: Path, dose: Dose, *, sides: int = SIDES) -> Tally:
    """The one server of each installation dies and is started again."""
    tally = Tally(fault="kill_server")
    _side_by_side(_kill_server, directory, dose, tally, sides)
    _hold_to_times(tally)
    return tally


def kill_agent(directory: Path, dose: Dose, *, sides: int = SIDES) -> Tally:
    """One agent, then another, dies and is started again; its commands live on."""
    tally = Tally(fault="kill_agent")
    _side_by_side(_kill_agent, directory, dose, tally, sides)
    return tally


_Kill = Callable[[Installation, Iterator[int], random.Random, Tally], None]


def _side_by_side(kill: _Kill, directory: Path, dose: Dose, tally: Tally, sides: int) -> None:
    """Most of a kill is waiting: two installations share the rounds."""
    turns = dose.shared_turns()

    def run(place: int) -> None:
        home = directory / f"side{place}"
        home.mkdir()
        with installation(home, agents=AGENTS) as whole:
            kill(whole, turns, random.Random(2 * dose.seed + place), tally)

    with ThreadPoolExecutor(sides) as pool:
        for done in [pool.submit(run, place) for place in range(sides)]:
            done.result()


def _kill_server(
    whole: Installation, turns: Iterator[int], dice: random.Random, tally: Tally
) -> None:
    targets = {agent.name for agent in whole.agents}
    idle = _add_idle_agents(whole)
    work = CountingWork(whole, tally)
    returns = Returns(Api([whole.url], whole.token), tally)
    with work.running():
        for turn in turns:
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


def _kill_agent(
    whole: Installation, turns: Iterator[int], dice: random.Random, tally: Tally
) -> None:
    work = CountingWork(whole, tally)
    returns = Returns(Api([whole.url], whole.token), tally)
    with work.running():
        for _ in turns:
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
