"""A deployment of 5,000 tasks and one of 2,000 targets, while the server dies again and again."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.installation import FINAL, Installation

from torture.api import Api
from torture.site import installation, restart
from torture.tally import Dose, Tally

AGENTS = 4
TASKS, TARGETS = 5000, 2000
WIDTH = 20
_TASKS_PER_SECOND, _TARGETS_PER_SECOND = 24, 10
"""Of the dose; enough for a machine of two cores."""
STUCK_AFTER_SECONDS = 180.0
"""Without one more command."""
_GOOD = {"success"}


def kill_under_large_work(
    directory: Path, dose: Dose, *, tasks: int = TASKS, targets: int = TARGETS
) -> Tally:
    """Every command notes that it ran; each must have run once, and all must end well.

    With little time for it the work is smaller.
    """
    tally = Tally(fault="kill_under_large_work")
    tasks = min(tasks, int(dose.at_most_seconds * _TASKS_PER_SECOND))
    targets = min(targets, int(dose.at_most_seconds * _TARGETS_PER_SECOND))
    with installation(directory, agents=AGENTS) as whole:
        large = _Large(whole, dose, tally)
        large.carry("tasks", large.of_tasks(tasks))
        large.carry("targets", large.of_targets(targets))
    return tally


class _Large:
    """Makes large deployments and kills the server until they have ended."""

    def __init__(self, whole: Installation, dose: Dose, tally: Tally) -> None:
        self._whole = whole
        self._tally = tally
        self._dice = dose.dice()
        self._api = Api([whole.url], whole.token)

    def of_tasks(self, count: int) -> Any:
        """Rows of 20, each task waiting for two of the row before it."""
        names = [agent.name for agent in self._whole.agents]
        note = self._note("tasks")
        self._whole.make_script("app", "true")

        def task(number: int) -> Any:
            row = number // WIDTH
            before = {(row - 1) * WIDTH + (number + shift) % WIDTH for shift in (0, 1)}
            return {
                "id": f"t{number}",
                "type": "custom",
                "payload": {"command": note, "target": names[number % len(names)]},
                "blockBy": sorted(f"t{it}" for it in before) if row else [],
            }

        return {
            "versionId": self._whole.make_version("v1"),
            "environmentId": self._whole.environment,
            "applicationIds": ["app"],
            "tasks": [task(number) for number in range(count)],
        }

    def of_targets(self, count: int) -> Any:
        """One application on all of them, in batches of a tenth."""
        names = [agent.name for agent in self._whole.agents]
        place = f"/api/release/projects/{self._whole.project}/environments"
        made = self._api.create(place, {"name": "wide", "kind": "prod"})["id"]
        for number in range(count):
            target = {"name": f"w{number}", "agent": names[number % len(names)]}
            self._api.create(f"/api/release/environments/{made}/targets", target)
        return {
            "versionId": self._whole.make_version("v2"),
            "environmentId": made,
            "applicationIds": [self._whole.make_script("wide", self._note("targets"))],
            "strategy": [{"batchSize": max(1, count // 10)}],
        }

    def carry(self, name: str, wish: Any) -> None:
        """To its end, with a kill every few seconds; then the books."""
        began = time.monotonic()
        made = self._api.create("/api/v1/deployments", wish)["id"]
        ran, moved = 0, began
        while not self._is_over(made):
            if (now_ran := self._count(name)) != ran:
                ran, moved = now_ran, time.monotonic()
            if time.monotonic() - moved > STUCK_AFTER_SECONDS:
                self._tally.add(stuck=1, problem=f"{name}: {made} is stuck")
                break
            time.sleep(self._dice.uniform(1, 5))
            restart(self._whole.servers[0], self._tally)
            self._tally.add(tried=1)
        self._tally.facts[f"{name}_seconds"] = round(time.monotonic() - began, 1)
        self._settle(name, self._api.get(f"/api/v1/deployments/{made}"))

    def _count(self, name: str) -> int:
        notes = self._notes(name)
        return notes.stat().st_size if notes.exists() else 0

    def _is_over(self, made: str) -> bool:
        listed = self._api.get("/api/v1/deployments?limit=5")["items"]
        return any(it["id"] == made and it["status"] in FINAL for it in listed)

    def _settle(self, name: str, shown: Any) -> None:
        ran = Counter(self._notes(name).read_text().split())
        if shown["status"] not in _GOOD:
            words = f"{name}: {shown['status']}: {shown['errorMessage']}"
            self._tally.add(wrong_ends=1, problem=words)
        for execution in (it for task in shown["tasks"] for it in task["executions"]):
            times = ran[execution["id"]]
            words = f"{execution['id']} {execution['state']} ran {times} times"
            self._tally.add(executions=1)
            if times > 1:
                self._tally.add(doubled=1, problem=words)
            elif times == 0 or execution["state"] != "success":
                self._tally.add(lost=1, problem=words)

    def _note(self, name: str) -> str:
        return f'echo "$BOREAS_EXECUTION_ID" >> "{self._notes(name)}"'

    def _notes(self, name: str) -> Path:
        return self._whole.directory / f"{name}.notes"
