"""`python -m boreas.testing.simulate --seeds N [--seed K] [--steps M] [--shrink] [-v]`

Prints one line of JSON; exit code 1 if a law was broken.
"""

import argparse
import sys

from boreas.kit.clock import SystemClock
from boreas.testing.simulate.campaign import Tally, campaign, shrunk, simulation_of
from boreas.testing.simulate.mutants import print_table
from boreas.testing.simulate.weather import TROUBLES, Limits


def main(argv: list[str] | None = None) -> int:
    """Play, print, and say by the exit code whether all was well."""
    wanted: argparse.Namespace = _parser().parse_args(argv)
    limits = Limits(steps=wanted.steps, without=tuple(wanted.without))
    if wanted.mutants:
        return print_table(wanted.mutants, limits, most_seeds=wanted.seeds)
    clock = SystemClock()
    began = clock.monotonic()
    tally = _play(wanted, limits)
    sys.stdout.write(tally.line(limits, seconds=clock.monotonic() - began) + "\n")
    return 1 if tally.breaches else 0


def _play(wanted: argparse.Namespace, limits: Limits) -> Tally:
    if wanted.seed is None:
        return campaign(range(wanted.first, wanted.first + wanted.seeds), limits)
    if wanted.shrink:
        limits, played = shrunk(wanted.seed, limits)
        sys.stderr.write(
            f"steps {limits.steps}, without {', '.join(limits.without) or 'nothing'}\n"
        )
    else:
        simulation = simulation_of(wanted.seed, limits)
        simulation.trace = [] if wanted.verbose else None
        played = simulation.play()
        for line in simulation.trace or ():
            sys.stderr.write(line + "\n")
    tally = Tally()
    tally.add(played)
    return tally


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="play only this one")
    parser.add_argument("--steps", type=int, default=Limits().steps, help="steps before the end")
    parser.add_argument("--without", action="append", default=[], choices=TROUBLES)
    parser.add_argument("--shrink", action="store_true", help="look for a simpler run of --seed")
    parser.add_argument("--mutants", metavar="FILE", help="table of planted bugs in this file")
    parser.add_argument("-v", "--verbose", action="store_true", help="every step, on stderr")
    return parser


if __name__ == "__main__":
    sys.exit(main())
