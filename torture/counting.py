"""Deployments that count themselves: every command notes that it ran and prints numbered lines.

A *lane* is one application whose deployments follow each other; several lanes keep a fleet busy
while faults are done to it. Afterwards each deployment is held against what its commands noted.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.installation import FINAL, Installation

from torture.api import EachThread
from torture.tally import Tally

STUCK_AFTER_SECONDS = 150.0
LOG_COMPLETE_WITHIN_SECONDS = 60.0
"""For all logs together, once the work is over."""
BAD_EVERY = 4
"""Each so-manieth version of a lane fails on one target and must be taken back everywhere."""

_STRATEGIES: Sequence[Any] = (
    [{"batchSize": 0, "autoRollback": True}],
    [{"batchSize": 2, "autoRollback": True}],
    [{"canaryRatio": 0.25, "autoRollback": True}, {"batchSize": 0, "autoRollback": True}],
)


class Printing(NamedTuple):
    """What each command prints."""

    lines: int = 30
    pause: float = 0.05


_SLOWLY = Printing()


@dataclass
class Lane:
    """One application, its notes, and the deployments made of it."""

    name: str
    application: str
    notes: Path
    made: list[tuple[str, str]] = field(default_factory=list)
    """Deployments with the end they must come to."""
    numbers: int = 0

    def runs(self) -> Counter[str]:
        """How often each execution ran."""
        lines = self._lines()
        return Counter(line.split()[1] for line in lines if line.startswith("begin "))

    def under_way(self) -> set[str]:
        """Targets on which a command runs now."""
        open_: set[str] = set()
        for line in self._lines():
            word, _, target = line.split()
            (open_.add if word == "begin" else open_.discard)(target)
        return open_

    def _lines(self) -> list[str]:
        if not self.notes.exists():
            return []
        return self.notes.read_text().splitlines()


class CountingWork:
    """Lanes over an installation; `running()` keeps them going, `settle()` does the books."""

    def __init__(
        self,
        whole: Installation,
        tally: Tally,
        *,
        lanes: int = 3,
        printing: Printing = _SLOWLY,
        check_lines: bool = True,
    ) -> None:
        self.whole = whole
        self.tally = tally
        self.lines = printing.lines
        self.check_lines = check_lines
        self._client = EachThread([server.url for server in whole.servers], whole.token)
        self._stop = threading.Event()
        self._patience_ends = 0.0
        self.lanes = [self._lane(number, printing.pause) for number in range(lanes)]

    @property
    def api(self) -> Any:
        """The patient client of this thread."""
        return self._client.api

    def _lane(self, number: int, pause: float) -> Lane:
        name = f"lane{number}"
        notes = self.whole.directory / f"{name}.notes"
        script = (
            'me="$BOREAS_EXECUTION_ID"\n'
            f'echo "begin $me $BOREAS_TARGET" >> "{notes}"\n'
            f'for i in $(seq 1 {self.lines}); do echo "$me line $i"; sleep {pause}; done\n'
            f'echo "end $me $BOREAS_TARGET" >> "{notes}"\n'
            'case "$BOREAS_VERSION/$BOREAS_TARGET" in *bad/n2) exit 7;; esac\n'
        )
        return Lane(name, self.whole.make_script(name, script), notes)

    @contextmanager
    def running(self) -> Iterator["CountingWork"]:
        """Every lane deploys one version after another while the block lasts, then to the end."""
        threads = [threading.Thread(target=self._keep_going, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def busy(self) -> set[str]:
        """Targets on which a command runs now."""
        return set().union(*(lane.under_way() for lane in self.lanes))

    # --- going on ---------------------------------------------------------------------------

    def _keep_going(self, lane: Lane) -> None:
        try:
            while not self._stop.is_set():
                # The first has nothing to go back to: it must be good.
                self.begin(lane, fails=(len(lane.made) + 1) % BAD_EVERY == 0)
                self.until_final(lane.made[-1][0])
        except AssertionError as error:
            self.tally.add(stuck=1, problem=f"{lane.name}: {error}")

    def begin(self, lane: Lane, *, fails: bool) -> None:
        """Start the lane's next deployment."""
        lane.numbers += 1
        number = lane.numbers
        place = f"/api/release/projects/{self.whole.project}/versions"
        name = f"{lane.name}-{number}{'-bad' if fails else ''}"
        version = self.api.create(place, {"name": name})["id"]
        wish = {
            "versionId": version,
            "environmentId": self.whole.environment,
            "applicationIds": [lane.application],
            "strategy": _STRATEGIES[number % len(_STRATEGIES)],
        }
        deployment = self.api.create("/api/v1/deployments", wish)["id"]
        lane.made.append((deployment, "rolled_back" if fails else "success"))

    def until_final(self, deployment: str) -> None:
        """Wait for its end; `AssertionError` when it is stuck."""
        end = time.monotonic() + STUCK_AFTER_SECONDS
        while time.monotonic() < end:
            shown = self.api.get(f"/api/v1/deployments/{deployment}")
            if shown["status"] in FINAL:
                return
            time.sleep(0.2)
        raise AssertionError(f"{deployment} is stuck: {shown['waitingFor']}")

    # --- the books --------------------------------------------------------------------------

    def settle(self) -> None:
        """Hold every deployment against the notes and its log."""
        self._patience_ends = time.monotonic() + LOG_COMPLETE_WITHIN_SECONDS
        for lane in self.lanes:
            runs = lane.runs()
            for deployment, wanted in lane.made:
                shown = self.api.get(f"/api/v1/deployments/{deployment}")
                self.tally.add(deployments=1)
                if shown["status"] != wanted:
                    words = f"{deployment} ended {shown['status']}, not {wanted}"
                    self.tally.add(wrong_ends=1, problem=f"{words}: {shown['errorMessage']}")
                self._settle_runs(shown, runs)
                if self.check_lines:
                    self._settle_lines(shown)

    def _settle_runs(self, shown: Any, runs: Counter[str]) -> None:
        for execution in _executions(shown):
            ran, state = runs.pop(execution["id"], 0), execution["state"]
            self.tally.add(executions=1)
            expected = 1 if state in ("success", "failed") else 0
            words = f"{execution['id']} {state}, attempt {execution['attempt']}, ran {ran} times"
            if state in ("lost", "unknown"):
                self.tally.add(lost=1, problem=f"{words}: {execution['reason']}")
            elif ran < expected:
                self.tally.add(lost=1, problem=words)
            elif ran > expected:
                self.tally.add(doubled=1, problem=words)

    def _settle_lines(self, shown: Any) -> None:
        ended = [it for it in _executions(shown) if it["state"] in ("success", "failed")]
        while True:
            printed = self._printed(shown)
            there = all(len(printed.get(it["id"], ())) >= self.lines for it in ended)
            if there or time.monotonic() > self._patience_ends:
                break
            time.sleep(0.3)
        for execution in ended:
            self._settle_log(execution["id"], printed.get(execution["id"], []))

    def _settle_log(self, me: str, got: list[str]) -> None:
        expected = [f"{me} line {number}" for number in range(1, self.lines + 1)]
        counts = Counter(got)
        missing = sum(1 for line in expected if not counts[line])
        doubled = len(got) - len(counts)
        self.tally.add(lines=len(got), lines_missing=missing, lines_doubled=doubled)
        if got != expected:
            self.tally.add(problem=f"log of {me}: {missing} missing, {doubled} doubled")

    def _printed(self, shown: Any) -> dict[str, list[str]]:
        printed: dict[str, list[str]] = {}
        for task in shown["tasks"]:
            for line in self._log(shown["id"], task["id"]):
                if line["stream"] == "stdout":
                    printed.setdefault(line["executionId"], []).append(line["message"])
        return printed

    def _log(self, deployment: str, task: str) -> list[Any]:
        path = f"/api/v1/deployments/{deployment}/tasks/{task}/logs?tail=10000"
        logs: list[Any] = self.api.get(path)["logs"]
        return logs


def _executions(shown: Any) -> list[Any]:
    return [execution for task in shown["tasks"] for execution in task["executions"]]
