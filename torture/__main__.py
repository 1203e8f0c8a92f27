"""`make torture`: every fault in turn, one JSON line each; ends by itself.

Each fault has a share of the minutes and a number of rounds, whichever is over first.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import structlog

from torture import clocks, crowds, cuts, databases, disks, kills, large, many, races, stores
from torture.site import temporary_directory
from torture.tally import Dose, Tally

MINUTES = 19.0
"""For everything, with what it takes to make and to settle the installations."""

OVERHEAD_SECONDS = 15.0
"""Of each fault beside its dose, about; what one takes longer the later ones have less."""


class Fault(NamedTuple):
    """One thing that goes wrong."""

    do: Callable[[Path, Dose], Tally]
    rounds: int
    share: int
    """Seconds of its own among all; in proportion when there are more or fewer."""


FAULTS = {
    "kill_server": Fault(kills.kill_server, rounds=100, share=240),
    "kill_agent": Fault(kills.kill_agent, rounds=50, share=80),
    "kill_under_large_work": Fault(large.kill_under_large_work, rounds=1, share=60),
    "cut_link": Fault(cuts.cut_link, rounds=16, share=70),
    "move_addresses": Fault(cuts.move_addresses, rounds=20, share=15),
    "stop_server": Fault(cuts.stop_server, rounds=8, share=25),
    "stop_agent": Fault(cuts.stop_agent, rounds=8, share=25),
    "kill_one_of_many": Fault(many.kill_one_of_many, rounds=300, share=60),
    "stop_postgres": Fault(databases.stop_postgres, rounds=3, share=40),
    "lock_sqlite": Fault(databases.lock_sqlite, rounds=3, share=30),
    "fill_server_disk": Fault(disks.fill_server_disk, rounds=5, share=25),
    "fill_agent_disk": Fault(disks.fill_agent_disk, rounds=5, share=25),
    "fail_at_random": Fault(stores.fail_at_random, rounds=1000, share=40),
    "fail_nth_write": Fault(stores.fail_nth_write, rounds=200, share=40),
    "crowd_returns": Fault(crowds.crowd_returns, rounds=4, share=40),
    "hostile_agents": Fault(crowds.hostile_agents, rounds=5, share=15),
    "silent_readers": Fault(crowds.silent_readers, rounds=2, share=20),
    "wrong_clock": Fault(clocks.wrong_clock, rounds=1, share=10),
    "jump_server_clock": Fault(clocks.jump_server_clock, rounds=3, share=20),
    "races_on_sqlite": Fault(races.races_on_sqlite, rounds=1000, share=40),
    "races_on_postgres": Fault(races.races_on_postgres, rounds=1000, share=40),
}


def main() -> None:
    """Do them, say what came of each; exit code 1 when anything was not clean."""
    parser = argparse.ArgumentParser(prog="torture")
    parser.add_argument("--only", choices=sorted(FAULTS), action="append")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all of them")
    parser.add_argument("--rounds", type=int, help="of each fault, whatever its own number is")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="leave the directories for a look")
    options = parser.parse_args()
    # What the parts of this process say of their faults is not the result.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    clean = True
    names = options.only or list(FAULTS)
    end = time.monotonic() + 60 * options.minutes
    for place, name in enumerate(names):
        dose = Dose(
            rounds=options.rounds or FAULTS[name].rounds,
            at_most_seconds=_share(names[place:], end - time.monotonic()),
            seed=options.seed,
        )
        clean &= _do(name, FAULTS[name], dose, keep=options.keep).is_clean
    sys.exit(0 if clean else 1)


def _share(names: Sequence[str], left: float) -> float:
    """What the first of those that are still to be done may take."""
    shares = [FAULTS[name].share for name in names]
    return max(1.0, (left - len(names) * OVERHEAD_SECONDS) * shares[0] / sum(shares))


def _do(name: str, fault: Fault, dose: Dose, *, keep: bool) -> Tally:
    began = time.monotonic()
    with temporary_directory(keep=keep) as directory:
        try:
            tally = fault.do(directory, dose)
        except (AssertionError, OSError, httpx.HTTPError) as broken:
            tally = Tally(fault=name, stuck=1, problems=[f"given up: {broken!r}"])
    tally.facts["seconds"] = round(time.monotonic() - began, 1)
    print(tally.as_json(), flush=True)
    return tally


if __name__ == "__main__":
    main()
