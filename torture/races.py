"""Two people want contradicting things at the same moment: exactly one of them gets it.

No agent is at home, so that deployments stand where they are and nothing but the race moves them.
Many pairs race at once, each for an application and an environment of its own. On PostgreSQL the
two of a pair ask two different servers.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.support.installation import Installation

from boreas.kit.clock import SystemClock
from torture.site import holds_within, installation, postgres
from torture.tally import Dose, Tally

Ask = tuple[str, str, Any]
"""Method, path below the server's address, body."""
Answer = tuple[int, Any]

PAIRS = 8
_PATIENCE_SECONDS = 30.0
_LOOK_EVERY_SECONDS = 0.02
_DEPLOYMENTS = "/api/v1/deployments"


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
    places = [_place(whole, number) for number in range(min(PAIRS, dose.rounds))]
    # It says goodbye, so nothing is ever ordered from it.
    whole.agents[0].stop()
    offline = holds_within(60, lambda: not whole.online())
    assert offline, "the agent said goodbye and still counts as online"
    asyncio.run(_race(whole, places, dose, tally))
    return tally


def _place(whole: Installation, number: int) -> Any:
    """What a deployment is asked with that waits for no other pair's."""
    path = f"/api/release/projects/{whole.project}/environments"
    made = whole.post(path, {"name": f"race{number}", "kind": "prod"})["id"]
    target = {"name": f"n{number}", "agent": whole.agents[0].name}
    whole.post(f"/api/release/environments/{made}/targets", target)
    return {
        "versionId": whole.make_version(f"v{number}"),
        "environmentId": made,
        "applicationIds": [whole.make_script(f"race{number}", "true")],
    }


async def _race(whole: Installation, places: Sequence[Any], dose: Dose, tally: Tally) -> None:
    turns = dose.turns()

    async def keep_racing(pair: _Pair) -> None:
        for _ in turns:
            await pair.race()

    async with _callers(whole) as callers:
        pairs = [_Pair(callers, place, tally) for place in places]
        await asyncio.gather(*(keep_racing(pair) for pair in pairs))


class _Caller:
    """Speaks to one server over connections that stay open."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Status and document."""
        async with self._session.request(method, self._url + path, json=body) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text else None


@asynccontextmanager
async def _callers(whole: Installation) -> AsyncIterator[list[_Caller]]:
    headers = {"Authorization": f"Bearer {whole.token}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield [_Caller(session, server.url) for server in whole.servers]


class _Pair:
    """Two who want something of the same deployments."""

    def __init__(self, callers: Sequence[_Caller], place: Any, tally: Tally) -> None:
        self._callers = callers
        self._place = place
        self._tally = tally
        self._clock = SystemClock()

    async def race(self) -> None:
        """Each kind of race once."""
        for run in (
            self._confirm_twice,
            self._confirm_or_reject,
            self._confirm_or_cancel,
            self._start_twice,
            self._edit_twice,
            self._two_on_one_environment,
        ):
            await run()
            self._tally.add(tried=1, **{run.__name__.strip("_"): 1})

    # --- the races --------------------------------------------------------------------------

    async def _confirm_twice(self) -> None:
        """The same approval by the same person from two windows."""
        made = await self._waiting()
        self._one_wins("confirm twice", await self._both(made, "confirm", "confirm"))
        await self._cancel(made)

    async def _confirm_or_reject(self) -> None:
        """Exactly one answer counts, and the end follows from it."""
        made = await self._waiting()
        confirmed, rejected = await self._both(made, "confirm", "reject")
        self._one_wins("confirm or reject", [confirmed, rejected])
        if rejected < 300:
            await self._ends(made, "cancelled")
        else:
            await self._cancel(made)

    async def _confirm_or_cancel(self) -> None:
        """Who cancels after a confirmation gets it, too; a granted cancel always stands."""
        made = await self._waiting()
        confirmed, cancelled = await self._both(made, "confirm", "cancel")
        good = cancelled < 300 and (confirmed < 300 or confirmed == 409)
        self._tally.must(good, f"confirm or cancel: {confirmed}, {cancelled}")
        await self._ends(made, "cancelled")

    async def _start_twice(self) -> None:
        """It is started once."""
        made = (await self._make(autoStart=False))["id"]
        self._one_wins("start twice", await self._both(made, "start", "start"))
        await self._cancel(made)

    async def _edit_twice(self) -> None:
        """Of two edits of one revision the second is told to look again."""
        shown = await self._make(autoStart=False)
        path = f"{_DEPLOYMENTS}/{shown['id']}"
        edits = [_edit(shown, name) for name in ("left", "right")]
        answers = await self._at_once([("PUT", f"{path}/workflow", edit) for edit in edits])
        self._one_wins("edit twice", answers)
        winner = "left" if answers[0] < 300 else "right"
        names = {task["name"] for task in (await self._get(path))["tasks"]}
        self._tally.must(winner in names, f"the edit that won is not there: {names}")
        self._tally.must(len(names & {"left", "right"}) == 1, f"both edits are there: {names}")
        await self._cancel(shown["id"])

    async def _two_on_one_environment(self) -> None:
        """Both are taken, one holds the place, the other waits for it."""
        asks = [caller.ask("POST", _DEPLOYMENTS, self._place) for caller in self._two()]
        answers = await asyncio.gather(*asks)
        statuses = [status for status, _ in answers]
        self._tally.must(statuses == [201, 201], f"two on one environment: {statuses}")
        ids = [shown["id"] for status, shown in answers if status == 201]

        async def active() -> list[str]:
            shown = [await self._get(f"{_DEPLOYMENTS}/{id_}") for id_ in ids]
            return [it["status"] for it in shown if it["status"] != "pending"]

        await self._until(lambda: _is_one(active), "not exactly one holds the environment")
        # The one that waits is the later one: ended first, it never gets its turn.
        for id_ in reversed(ids):
            await self._cancel(id_)

    # --- how they are run -------------------------------------------------------------------

    def _two(self) -> list[_Caller]:
        return [self._callers[0], self._callers[-1]]

    async def _both(self, made: str, first: str, second: str) -> list[int]:
        path = f"{_DEPLOYMENTS}/{made}"
        return await self._at_once([("POST", f"{path}/{act}", {}) for act in (first, second)])

    async def _at_once(self, asks: Sequence[Ask]) -> list[int]:
        """The statuses of two requests that leave together."""
        pairs = zip(self._two(), asks, strict=True)
        answers = await asyncio.gather(*(caller.ask(*wish) for caller, wish in pairs))
        return [status for status, _ in answers]

    def _one_wins(self, name: str, statuses: Sequence[int]) -> None:
        won = sum(1 for status in statuses if status < 300)
        good = won == 1 and max(statuses) == 409
        self._tally.must(good, f"{name}: {', '.join(map(str, statuses))}")

    async def _get(self, path: str) -> Any:
        status, shown = await self._callers[0].ask("GET", path)
        assert status == 200, f"{path}: {status} {shown}"
        return shown

    async def _make(self, **wishes: Any) -> Any:
        status, shown = await self._callers[0].ask("POST", _DEPLOYMENTS, self._place | wishes)
        assert status == 201, f"{status} {shown}"
        return shown

    async def _waiting(self) -> str:
        made: str = (await self._make(manualApproval=True))["id"]
        problem = f"{made} never asked for its approval"
        await self._until(lambda: self._is(made, "waiting_confirm"), problem)
        return made

    async def _cancel(self, made: str) -> None:
        await self._callers[0].ask("POST", f"{_DEPLOYMENTS}/{made}/cancel", {})
        await self._ends(made, "cancelled")

    async def _ends(self, made: str, wanted: str) -> None:
        await self._until(lambda: self._is(made, wanted), f"{made} is not {wanted}")

    async def _is(self, made: str, wanted: str) -> bool:
        status: str = (await self._get(f"{_DEPLOYMENTS}/{made}"))["status"]
        return status == wanted

    async def _until(self, look: Callable[[], Awaitable[bool]], problem: str) -> None:
        end = self._clock.monotonic() + _PATIENCE_SECONDS
        while not await look():
            if self._clock.monotonic() > end:
                self._tally.add(wrong_ends=1, problem=problem)
                return
            await self._clock.sleep(_LOOK_EVERY_SECONDS)


async def _is_one(look: Callable[[], Awaitable[list[str]]]) -> bool:
    return len(await look()) == 1


def _edit(shown: Any, name: str) -> Any:
    kept = [
        {key: task[key] for key in ("id", "appId", "name", "type", "blockBy")}
        for task in shown["tasks"]
    ]
    more = {"id": name, "name": name, "type": "custom", "payload": {"command": "true"}}
    return {"tasks": [*kept, more], "revision": shown["workflowRevision"]}
