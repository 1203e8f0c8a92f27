"""The way between agents and the server: cut without a word, or one end stopped for a while."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.installation import Installation, free_port

from torture.api import Api
from torture.counting import CountingWork, Printing
from torture.relay import Relay
from torture.site import Returns
from torture.tally import Dose, Tally

AGENTS = 4
LONGEST_CUT_SECONDS = 40.0
USUAL_CUT_SECONDS = 12.0


@contextmanager
def behind_a_relay(
    directory: Path, *, agents: int = AGENTS
) -> Iterator[tuple[Installation, Relay]]:
    """An installation whose agents know the server only by the relay."""
    whole = Installation(directory)
    quic = free_port()
    relay = Relay(quic)
    with relay.running():
        try:
            whole.add_server(quic=quic, options=("--advertise", f"127.0.0.1:{relay.port}"))
            whole.add_agents(agents)
            whole.make_project()
            yield whole, relay
        finally:
            whole.stop()


def cut_link(directory: Path, dose: Dose, *, usual: float = USUAL_CUT_SECONDS) -> Tally:
    """Nothing passes for one to forty seconds: mostly for a few, now and then for all forty."""
    tally, dice = Tally(fault="cut_link"), dose.dice()
    with behind_a_relay(directory) as (whole, relay):
        returns = Returns(Api([whole.url], whole.token), tally)
        work = CountingWork(whole, tally)
        names = {agent.name for agent in whole.agents}
        with work.running():
            for turn in dose.turns():
                time.sleep(dice.uniform(0.5, 3))
                seconds = LONGEST_CUT_SECONDS if turn % 8 == 0 else dice.uniform(1, usual)
                relay.is_cut = True
                time.sleep(seconds)
                relay.is_cut = False
                _await_online(returns, names, tally)
        work.settle()
    return tally


def move_addresses(directory: Path, dose: Dose) -> Tally:
    """Agents appear from another address in the middle of everything: a new NAT binding."""
    tally, dice = Tally(fault="move_addresses"), dose.dice()
    with behind_a_relay(directory) as (whole, relay):
        returns = Returns(Api([whole.url], whole.token), tally)
        work = CountingWork(whole, tally, printing=Printing(lines=60, pause=0.02))
        names = {agent.name for agent in whole.agents}
        with work.running():
            for _ in dose.turns():
                time.sleep(dice.uniform(0.3, 1.5))
                relay.move()
                _await_online(returns, names, tally)
        work.settle()
    return tally


def stop_server(directory: Path, dose: Dose, *, usual: float = USUAL_CUT_SECONDS) -> Tally:
    """SIGSTOP for a while, as a machine that swaps or is moved; then SIGCONT."""

    def victims(whole: Installation) -> list[subprocess.Popen[bytes]]:
        return [server.process for server in whole.servers if server.process]

    return _stop_and_go(directory, dose, "stop_server", victims, usual)


def stop_agent(directory: Path, dose: Dose, *, usual: float = USUAL_CUT_SECONDS) -> Tally:
    """One agent is stopped and goes on; its commands do not notice."""

    def victims(whole: Installation) -> list[subprocess.Popen[bytes]]:
        return [agent.process for agent in whole.agents if agent.process]

    return _stop_and_go(directory, dose, "stop_agent", victims, usual)


def _stop_and_go(
    directory: Path,
    dose: Dose,
    name: str,
    victims: Callable[[Installation], list[subprocess.Popen[bytes]]],
    usual: float,
) -> Tally:
    tally, dice = Tally(fault=name), dose.dice()
    whole = Installation(directory)
    try:
        whole.add_server()
        whole.add_agents(AGENTS)
        whole.make_project()
        returns = Returns(Api([whole.url], whole.token), tally)
        work = CountingWork(whole, tally)
        with work.running():
            for turn in dose.turns():
                time.sleep(dice.uniform(0.5, 3))
                victim = dice.choice(victims(whole))
                victim.send_signal(signal.SIGSTOP)
                time.sleep(LONGEST_CUT_SECONDS if turn % 8 == 0 else dice.uniform(1, usual))
                victim.send_signal(signal.SIGCONT)
                _await_online(returns, {agent.name for agent in whole.agents}, tally)
        work.settle()
    finally:
        whole.stop()
    return tally


def _await_online(returns: Returns, names: set[str], tally: Tally) -> None:
    """All agents count as online, and work goes on."""
    tally.add(tried=1)
    began = time.monotonic()
    if not returns.all_online(names, at_most=60):
        tally.add(stuck=1, problem="not all agents were back within 60 s")
    tally.slowest("online", time.monotonic() - began)
