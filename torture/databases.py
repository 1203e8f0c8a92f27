"""The database goes away for a while."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.support.installation import Installation

from torture.api import Api
from torture.counting import CountingWork
from torture.site import Returns, installation, postgres
from torture.tally import Dose, Tally

AGENTS = 4
ANSWER_WITHIN_SECONDS = 8.0
"""Five seconds of patience with the database, and some for a busy machine."""
GOES_ON_WITHIN_SECONDS = 30.0


Seconds = tuple[float, float]
"""Of an outage: at least and at most."""


def stop_postgres(directory: Path, dose: Dose, *, seconds: Seconds = (10, 30)) -> Tally:
    """PostgreSQL crashes and is away for 10 to 30 seconds."""
    tally, dice = Tally(fault="stop_postgres"), dose.dice()
    with (
        postgres() as cluster,
        installation(directory, agents=AGENTS, database_url=cluster.new_database()) as whole,
    ):

        @contextmanager
        def outage() -> Iterator[None]:
            cluster.stop_for_now()
            yield
            cluster.start_again()

        _outages(whole, dose, tally, outage, lambda: dice.uniform(*seconds))
    return tally


def lock_sqlite(directory: Path, dose: Dose, *, seconds: Seconds = (8, 20)) -> Tally:
    """Another program holds SQLite's write lock for 8 to 20 seconds."""
    tally, dice = Tally(fault="lock_sqlite"), dose.dice()
    with installation(directory, agents=AGENTS) as whole:
        file = whole.servers[0].data_dir / "boreas.db"

        @contextmanager
        def outage() -> Iterator[None]:
            with contextlib.closing(sqlite3.connect(file, timeout=30)) as other:
                other.execute("BEGIN EXCLUSIVE")
                yield
                other.rollback()

        _outages(whole, dose, tally, outage, lambda: dice.uniform(*seconds))
    return tally


def _outages(
    whole: Installation,
    dose: Dose,
    tally: Tally,
    outage: Callable[[], contextlib.AbstractContextManager[None]],
    length: Callable[[], float],
) -> None:
    api = Api([whole.url], whole.token)
    returns = Returns(api, tally)
    work = CountingWork(whole, tally)
    names = {agent.name for agent in whole.agents}
    with work.running():
        for _ in dose.turns():
            time.sleep(2)
            with outage():
                _ask_during(api, length(), tally)
            ended = time.monotonic()
            _must_write_again(api, tally)
            if not returns.all_online(names, at_most=GOES_ON_WITHIN_SECONDS):
                tally.add(stuck=1, problem="agents were not all back after the outage")
            tally.slowest("online", time.monotonic() - ended)
            tally.add(tried=1)
    tally.must(all(s.process and s.process.poll() is None for s in whole.servers), "a server died")
    work.settle()


def _ask_during(api: Api, seconds: float, tally: Tally) -> None:
    """Every wish is answered soon: granted, or 503 as a problem document that says why."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        asked = time.monotonic()
        try:
            answer = api.once("POST", "/api/release/projects", {"name": f"p{asked:.6f}"})
        except httpx.TransportError as error:
            tally.add(problem=f"no answer during the outage: {error!r}")
            time.sleep(0.5)
            continue
        tally.slowest_answer(time.monotonic() - asked, at_most=ANSWER_WITHIN_SECONDS)
        if answer.status_code == 503:
            document = answer.json()
            tally.add(answers_503=1)
            is_problem = answer.headers["content-type"] == "application/problem+json"
            tally.must(is_problem and document["detail"], f"a 503 without a reason: {document}")
            tally.facts["reason"] = str(document["detail"])
        else:
            tally.must(answer.status_code == 201, f"{answer.status_code}: {answer.text}")
        time.sleep(0.5)


def _must_write_again(api: Api, tally: Tally) -> None:
    began = time.monotonic()
    api.create("/api/release/projects", {"name": f"again{began:.6f}"})
    tally.slowest("writing", time.monotonic() - began)
