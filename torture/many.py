"""Several servers on one PostgreSQL that are killed and added at random.

Meanwhile approvals run out in an environment of their own: each such timer must ring once,
whichever servers live at that moment. In the end the agents must be shared out fairly again.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.installation import FINAL, Installation, Server

from torture.api import Api, OutOfPatience
from torture.counting import CountingWork
from torture.site import Returns, holds_within, installation, postgres
from torture.tally import Dose, Tally

SERVERS, AGENTS = 3, 9
FAIR_WITHIN_SECONDS = 90.0
"""Some looks at the balance, each of about 15 s."""
TIMER_SECONDS = 4.0
RINGS_WITHIN_SECONDS = 60.0


def kill_one_of_many(
    directory: Path, dose: Dose, *, agents: int = AGENTS, share_out: bool = True
) -> Tally:
    """Three servers on one PostgreSQL; they are killed and added at random, one always stays."""
    tally, dice = Tally(fault="kill_one_of_many"), dose.dice()
    with (
        postgres() as cluster,
        installation(
            directory, agents=agents, servers=SERVERS, database_url=cluster.new_database()
        ) as whole,
    ):
        work = CountingWork(whole, tally, lanes=4, check_lines=False)
        timers = _Timers(whole, tally)
        with work.running(), timers.running(), _asked_whether_alive(whole, tally):
            for _ in dose.turns():
                time.sleep(dice.uniform(0.5, 4))
                _kill_or_add(whole.servers, dice, tally)
            for server in whole.servers:
                _start_if_dead(server)
            _must_be_back(whole, tally)
        if share_out:
            _must_be_shared_out(whole, tally)
        work.settle()
        timers.settle()
    return tally


def _kill_or_add(servers: list[Server], dice: random.Random, tally: Tally) -> None:
    alive = [server for server in servers if _is_alive(server)]
    dead = [server for server in servers if not _is_alive(server)]
    if dead and (len(alive) == 1 or dice.random() < 0.5):
        began = time.monotonic()
        dice.choice(dead).start()
        tally.slowest("ready", time.monotonic() - began)
    else:
        dice.choice(alive).kill()
        tally.add(tried=1)


def _start_if_dead(server: Server) -> None:
    if not _is_alive(server):
        server.start()


def _is_alive(server: Server) -> bool:
    return server.process is not None and server.process.poll() is None


def _must_be_back(whole: Installation, tally: Tally) -> None:
    api = Api([server.url for server in whole.servers], whole.token)
    began = time.monotonic()
    if not Returns(api, tally).all_online({agent.name for agent in whole.agents}, at_most=60):
        tally.add(stuck=1, problem="agents were not all back")
    tally.slowest("online", time.monotonic() - began)


def _must_be_shared_out(whole: Installation, tally: Tally) -> None:
    """No server has many more agents than another."""
    api = Api([server.url for server in whole.servers], whole.token)
    began = time.monotonic()
    counts: Counter[str] = Counter()

    def is_fair() -> bool:
        time.sleep(0.3)
        agents = api.get("/api/release/agents?limit=500")["items"]
        counts.clear()
        counts.update(agent["server_id"] for agent in agents if agent["online"])
        return len(counts) == SERVERS and max(counts.values()) - min(counts.values()) <= SERVERS

    tally.must(holds_within(FAIR_WITHIN_SECONDS, is_fair), f"not shared fairly: {counts}")
    tally.facts["shared_out_seconds"] = round(time.monotonic() - began, 1)
    shares = sorted(counts.values(), reverse=True)
    tally.facts["agents_of_servers"] = "/".join(str(count) for count in shares)


class _Timers:
    """Deployments that wait for an approval which nobody gives."""

    def __init__(self, whole: Installation, tally: Tally) -> None:
        self._tally = tally
        self._api = Api([server.url for server in whole.servers], whole.token)
        place = f"/api/release/projects/{whole.project}/environments"
        policy = {"expires_after": TIMER_SECONDS, "on_expiry": "fail"}
        wish = {"name": "timers", "kind": "prod", "approval_policy": policy}
        environment = self._api.create(place, wish)["id"]
        target = {"name": "n1", "agent": "n1"}
        self._api.create(f"/api/release/environments/{environment}/targets", target)
        self._wish = {
            "versionId": whole.make_version("timers"),
            "environmentId": environment,
            "applicationIds": [whole.make_script("timers", "true")],
            "manualApproval": True,
        }
        self._made: list[str] = []
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """One deployment a second; they wait behind each other as any do."""
        thread = threading.Thread(target=self._keep_making)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _keep_making(self) -> None:
        try:
            while not self._over.wait(1.0):
                self._made.append(self._api.create("/api/v1/deployments", self._wish)["id"])
                self._until_rung(self._made[-1])
        except AssertionError as error:
            self._tally.add(stuck=1, problem=f"timers: {error}")

    def _until_rung(self, made: str) -> None:
        end = time.monotonic() + RINGS_WITHIN_SECONDS
        while self._api.get(f"/api/v1/deployments/{made}")["status"] not in FINAL:
            if time.monotonic() > end:
                raise OutOfPatience(f"the approval of {made} never ran out")
            time.sleep(0.3)

    def settle(self) -> None:
        """Each timer rang, once, and not before its time."""
        for made in self._made:
            events = self._api.get(f"/api/v1/deployments/{made}/events?limit=500")["items"]
            rang = [it for it in events if it["code"] == "approval_expired"]
            self._tally.add(timers=1)
            if len(rang) != 1:
                words = f"the timer of {made} rang {len(rang)} times"
                self._tally.add(doubled=len(rang) > 1, lost=not rang, problem=words)


@contextmanager
def _asked_whether_alive(whole: Installation, tally: Tally) -> Iterator[None]:
    """Meanwhile notes for how long no deployment moved on: a takeover that takes too long shows."""
    ended = threading.Event()

    def look() -> None:
        api = Api([server.url for server in whole.servers], whole.token)
        last, since = "", time.monotonic()
        while not ended.wait(0.3):
            page = api.get("/api/v1/deployments?limit=50")["items"]
            picture = str([(it["id"], it["status"], it["progress"]) for it in page])
            if picture != last:
                tally.slowest("standstill", time.monotonic() - since)
                last, since = picture, time.monotonic()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
