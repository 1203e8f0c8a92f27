"""`make torture`: every fault in turn, one JSON line each; ends by itself.

Each fault has a share of the minutes and a number of rounds, whichever is over first.
"""

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import structlog

from torture import clocks, crowds, cuts, databases, disks, kills, large, races, stores
from torture.site import temporary_directory
from torture.tally import Dose, Tally

MINUTES = 14.5
"""Of torture proper; making and settling the installations takes four more."""


class Fault(NamedTuple):
    """One thing that goes wrong."""

    do: Callable[[Path, Dose], Tally]
    rounds: int
    share: float
    """Of the minutes, beside the others that are done."""


FAULTS = {
    "kill_server": Fault(kills.kill_server, rounds=100, share=0.35),
    "kill_agent": Fault(kills.kill_agent, rounds=50, share=0.1),
    "kill_under_large_work": Fault(large.kill_under_large_work, rounds=1, share=0.15),
    "cut_link": Fault(cuts.cut_link, rounds=16, share=0.1),
    "move_addresses": Fault(cuts.move_addresses, rounds=20, share=0.02),
    "stop_server": Fault(cuts.stop_server, rounds=8, share=0.05),
    "stop_agent": Fault(cuts.stop_agent, rounds=8, share=0.05),
    "kill_one_of_many": Fault(databases.kill_one_of_many, rounds=60, share=0.12),
    "stop_postgres": Fault(databases.stop_postgres, rounds=3, share=0.06),
    "fill_server_disk": Fault(disks.fill_server_disk, rounds=5, share=0.04),
    "fill_agent_disk": Fault(disks.fill_agent_disk, rounds=5, share=0.04),
    "fail_at_random": Fault(stores.fail_at_random, rounds=1000, share=0.04),
    "fail_nth_write": Fault(stores.fail_nth_write, rounds=200, share=0.04),
    "crowd_returns": Fault(crowds.crowd_returns, rounds=4, share=0.06),
    "hostile_agents": Fault(crowds.hostile_agents, rounds=5, share=0.02),
    "silent_readers": Fault(crowds.silent_readers, rounds=2, share=0.03),
    "wrong_clock": Fault(clocks.wrong_clock, rounds=1, share=0.02),
    "races_on_sqlite": Fault(races.races_on_sqlite, rounds=1000, share=0.05),
    "races_on_postgres": Fault(races.races_on_postgres, rounds=1000, share=0.05),
    "lock_sqlite": Fault(databases.lock_sqlite, rounds=3, share=0.05),
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
    for name in options.only or FAULTS:
        fault = FAULTS[name]
        chosen = [FAULTS[it] for it in options.only or FAULTS]
        share = fault.share / sum(it.share for it in chosen)
        dose = Dose(
            rounds=options.rounds or fault.rounds,
            at_most_seconds=60 * options.minutes * share,
            seed=options.seed,
        )
        clean &= _do(name, fault, dose, keep=options.keep).is_clean
    sys.exit(0 if clean else 1)


def _do(name: str, fault: Fault, dose: Dose, *, keep: bool) -> Tally:
    with temporary_directory(keep=keep) as directory:
        try:
            tally = fault.do(directory, dose)
        except (AssertionError, OSError, httpx.HTTPError) as broken:
            tally = Tally(fault=name, stuck=1, problems=[f"given up: {broken!r}"])
    print(tally.as_json(), flush=True)
    return tally


if __name__ == "__main__":
    main()
