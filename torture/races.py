"""Two people want contradicting things at the same moment: exactly one of them gets it.

No agent is at home, so that deployments stand where they are and nothing but the race moves them.
On PostgreSQL the two ask two different servers.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.installation import Installation

from torture.api import EachThread
from torture.site import holds_within, installation, postgres
from torture.tally import Dose, Tally

Ask = tuple[str, str, Any]
"""Method, path below /api/v1/deployments, body."""


def races_on_sqlite(directory: Path, dose: Dose) -> Tally:
    """Both ask the one server."""
    with installation(directory, agents=1) as whole:
        return _race_all(whole, dose, Tally(fault="races_on_sqlite"))


def races_on_postgres(directory: Path, dose: Dose) -> Tally:
    """Each asks a server of its own."""
    with (
        postgres() as cluster,
        installation(directory, agents=1, servers=2, database_url=cluster.new_database()) as whole,
    ):
        return _race_all(whole, dose, Tally(fault="races_on_postgres"))


def _race_all(whole: Installation, dose: Dose, tally: Tally) -> Tally:
    with _Course(whole, tally) as course:
        for _ in dose.turns():
            for race in (
                course.confirm_twice,
                course.confirm_or_reject,
                course.confirm_or_cancel,
                course.start_twice,
                course.edit_twice,
                course.two_on_one_environment,
            ):
                race()
                tally.add(tried=1)
    return tally


class _Course:
    """Two callers who start at the same moment."""

    def __init__(self, whole: Installation, tally: Tally) -> None:
        self._whole = whole
        self._tally = tally
        self._urls = [server.url for server in whole.servers]
        self._clients = EachThread(self._urls, whole.token)
        self._both = ThreadPoolExecutor(max_workers=2)
        self._line = threading.Barrier(2)
        # It says goodbye, so nothing is ever ordered from it.
        whole.agents[0].stop()
        offline = holds_within(60, lambda: not whole.online())
        assert offline, "the agent said goodbye and still counts as online"
        self._application = whole.make_script("race", "true")
        self._version = whole.make_version("v1")

    def __enter__(self) -> "_Course":
        return self

    def __exit__(self, *_: object) -> None:
        self._both.shutdown()

    # --- the races --------------------------------------------------------------------------

    def confirm_twice(self) -> None:
        """The same approval by the same person from two windows."""
        made = self._waiting()
        self._one_wins("confirm twice", self._ask(made, ["confirm", "confirm"]))
        self._cancel(made)

    def confirm_or_reject(self) -> None:
        """Exactly one answer counts, and the end follows from it."""
        made = self._waiting()
        confirmed, rejected = self._ask(made, ["confirm", "reject"])
        self._one_wins("confirm or reject", [confirmed, rejected])
        if rejected < 300:
            self._ends(made, "cancelled")
        else:
            self._cancel(made)

    def confirm_or_cancel(self) -> None:
        """Who cancels after a confirmation gets it, too; a granted cancel always stands."""
        made = self._waiting()
        confirmed, cancelled = self._ask(made, ["confirm", "cancel"])
        good = cancelled < 300 and (confirmed < 300 or confirmed == 409)
        self._tally.must(good, f"confirm or cancel: {confirmed}, {cancelled}")
        self._ends(made, "cancelled")

    def start_twice(self) -> None:
        """It is started once."""
        made = self._make(autoStart=False)
        self._one_wins("start twice", self._ask(made, ["start", "start"]))
        self._cancel(made)

    def edit_twice(self) -> None:
        """Of two edits of one revision the second is told to look again."""
        made = self._make(autoStart=False)
        path = f"/api/v1/deployments/{made}"
        shown = self._clients.api.get(path)
        edits = [self._edit(shown, name) for name in ("left", "right")]
        answers = self._at_once([("PUT", f"{path}/workflow", edit) for edit in edits])
        self._one_wins("edit twice", answers)
        winner = "left" if answers[0] < 300 else "right"
        names = {task["name"] for task in self._clients.api.get(path)["tasks"]}
        self._tally.must(winner in names, f"the edit that won is not there: {names}")
        self._tally.must(len(names & {"left", "right"}) == 1, f"both edits are there: {names}")
        self._cancel(made)

    def two_on_one_environment(self) -> None:
        """Both are taken, one holds the place, the other waits for it."""
        wish = self._wish()
        asks = [("POST", "/api/v1/deployments", wish)] * 2
        statuses = self._at_once(asks)
        self._tally.must(statuses == [201, 201], f"two on one environment: {statuses}")

        def active() -> list[Any]:
            page = self._clients.api.get("/api/v1/deployments?active=true&limit=10")["items"]
            return [it for it in page if it["status"] != "pending"]

        one = holds_within(20, lambda: len(active()) == 1)
        self._tally.must(one, "not exactly one of two holds the environment")
        for shown in self._clients.api.get("/api/v1/deployments?active=true&limit=10")["items"]:
            self._cancel(shown["id"])

    # --- how they are run -------------------------------------------------------------------

    def _ask(self, made: str, acts: Sequence[str]) -> list[int]:
        return self._at_once([("POST", f"/api/v1/deployments/{made}/{act}", {}) for act in acts])

    def _at_once(self, asks: Sequence[Ask]) -> list[int]:
        """The statuses of two requests that leave together."""

        def run(place: int) -> int:
            method, path, body = asks[place]
            url = self._urls[place % len(self._urls)]
            api = self._clients.api
            self._line.wait()
            return int(api.once(method, path, body, url=url).status_code)

        return list(self._both.map(run, range(2)))

    def _one_wins(self, name: str, statuses: Sequence[int]) -> None:
        won = sum(1 for status in statuses if status < 300)
        self._tally.must(
            won == 1 and sorted(statuses)[1] == 409, f"{name}: {', '.join(map(str, statuses))}"
        )

    def _ends(self, made: str, wanted: str) -> None:
        ended = holds_within(
            20, lambda: self._clients.api.get(f"/api/v1/deployments/{made}")["status"] == wanted
        )
        if not ended:
            status = self._clients.api.get(f"/api/v1/deployments/{made}")["status"]
            self._tally.add(wrong_ends=1, problem=f"{made} is {status}, not {wanted}")

    def _waiting(self) -> str:
        made = self._make(manualApproval=True)
        path = f"/api/v1/deployments/{made}"
        open_ = holds_within(20, lambda: self._clients.api.get(path)["status"] == "waiting_confirm")
        self._tally.must(open_, f"{made} never asked for its approval")
        return made

    def _make(self, **wishes: Any) -> str:
        made: str = self._clients.api.create("/api/v1/deployments", self._wish() | wishes)["id"]
        return made

    def _wish(self) -> dict[str, Any]:
        return {"versionId": self._version, "environmentId": self._whole.environment}

    def _edit(self, shown: Any, name: str) -> Any:
        kept = [
            {key: task[key] for key in ("id", "appId", "name", "type", "blockBy")}
            for task in shown["tasks"]
        ]
        more = {"id": name, "name": name, "type": "custom", "payload": {"command": "true"}}
        return {"tasks": [*kept, more], "revision": shown["workflowRevision"]}

    def _cancel(self, made: str) -> None:
        self._clients.api.once("POST", f"/api/v1/deployments/{made}/cancel", {})
        self._ends(made, "cancelled")
