"""`make bench`: every figure of docs/performance.md in turn, one JSON line each; ends by itself."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from bench import (
    builds,
    fleet,
    graphs,
    latency,
    masking,
    output,
    permissions,
    planning,
    restarts,
    runtime,
    secrets,
)
from bench.line import line, say
from bench.world import compiled

Line = dict[str, Any]

# The seconds after which a measurement is given up: together under 20 minutes.
ROWS: dict[str, tuple[Callable[[], Iterator[Line]], int]] = {
    "tasks_per_second": (runtime.on_sqlite, 60),
    "tasks_per_second_postgresql": (runtime.on_postgresql, 60),
    "post_to_first_process": (latency.post_to_first_process, 60),
    "one_task_deployments": (latency.one_task_deployments, 60),
    "graph_5000": (graphs.graph_5000, 180),
    "log_lines": (output.log_lines, 80),
    "log_latency": (output.log_latency, 40),
    "masking": (masking.masking, 30),
    "permission_check": (permissions.permission_check, 30),
    "idle": (fleet.idle, 100),
    "idle_agents_2000": (fleet.idle_agents_2000, 140),
    "true_on_100_agents": (fleet.true_on_100_agents, 110),
    "true_on_1000_connections": (fleet.true_on_1000_connections, 100),
    "rolling_50_targets": (fleet.rolling_50_targets, 80),
    "plan_500_targets": (planning.plan_500_targets, 120),
    "restart_with_history": (restarts.restart_with_history, 80),
    "credentials_reencrypted": (secrets.credentials_reencrypted, 170),
    "no_change_build": (builds.no_change_build, 120),
    "sigterm_with_50_tasks": (restarts.sigterm_with_50_tasks, 50),
}


class GivenUp(Exception):
    """This measurement took too long."""


def main() -> None:
    """Measure, print; exit code 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--only", choices=ROWS, action="append")
    options = parser.parse_args()
    signal.signal(signal.SIGALRM, _give_up)
    compiled()
    broken = [name for name in options.only or ROWS if not _measured(name)]
    sys.exit(1 if broken else 0)


def _measured(name: str) -> bool:
    measure, seconds = ROWS[name]
    signal.alarm(seconds)
    try:
        for figures in measure():
            say(figures)
    except (GivenUp, AssertionError, OSError, httpx.HTTPError) as error:
        say(line(name, "", reached=None, error=f"{type(error).__name__}: {error}"[:400]))
        return False
    finally:
        signal.alarm(0)
    return True


def _give_up(*_: object) -> None:
    raise GivenUp


if __name__ == "__main__":
    main()
