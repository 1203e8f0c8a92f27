"""Rows about small deployments: how soon one begins, and how many pass in a second."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.line import line, percentile
from bench.world import World, boreas, command, moment, wall_clock

Line = dict[str, Any]
ENVIRONMENTS = 10
CONNECTIONS = 20


def post_to_first_process() -> Iterator[Line]:
    """From before the POST to the first act of the command, by the same machine's clock."""
    with boreas(agents=1) as whole:
        mark = whole.directory / "mark"
        passed = [_until_mark(whole, mark) for _ in range(120)][20:]
    middle, late = percentile(passed, 50) * 1000, percentile(passed, 95) * 1000
    yield line(
        "post_to_first_process",
        "p50 <= 25 ms, p95 <= 80 ms",
        reached=middle <= 25 and late <= 80,
        p50_ms=middle,
        p95_ms=late,
        deployments=len(passed),
    )


def _until_mark(whole: World, mark: Path) -> float:
    wish = whole.wish([command("mark", f"echo $EPOCHREALTIME > {mark}")])
    asked = wall_clock()
    deployment = whole.start(wish)
    whole.until_done(deployment)
    return float(mark.read_text()) - asked


def one_task_deployments() -> Iterator[Line]:
    """200 posted at once to ten real agents, each for a place of its own."""
    with boreas(agents=10) as whole:
        wishes = _wishes(whole)
        asked = wall_clock()
        ids = _post_all(whole, wishes)
        for id_ in ids:
            whole.until_status(id_, "success", at_most=120)
        ends = [moment(whole.deployment(id_)["completedAt"]) for id_ in ids]
    seconds = max(ends) - asked
    yield line(
        "one_task_deployments",
        ">= 100 deployments/s",
        reached=len(ids) / seconds >= 100,
        deployments=len(ids),
        seconds=seconds,
        deployments_per_second=len(ids) / seconds,
    )


def _wishes(whole: World) -> list[Any]:
    """20 applications in each of ten environments of one agent: nobody waits for a lock."""
    project = f"/api/release/projects/{whole.project}"
    applications = [whole.make_script(f"a{number}", "true") for number in range(20)]
    wishes = []
    for number in range(ENVIRONMENTS):
        made = whole.post(f"{project}/environments", {"name": f"e{number}", "kind": "dev"})
        place = f"/api/release/environments/{made['id']}/targets"
        whole.post(place, {"name": f"n{number + 1}", "agent": f"n{number + 1}"})
        version = whole.make_version(f"w{number}")
        wishes += [
            {
                "versionId": version,
                "environmentId": made["id"],
                "applicationIds": [application],
                "tasks": [command("only", "true")],
            }
            for application in applications
        ]
    return wishes


def _post_all(whole: World, wishes: Sequence[Any]) -> list[str]:
    """Over 20 connections of the plainest client there is: it runs on the same two cores."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        parts = [wishes[start::CONNECTIONS] for start in range(CONNECTIONS)]
        return [id_ for ids in pool.map(partial(_post_each, whole), parts) for id_ in ids]


def _post_each(whole: World, wishes: Sequence[Any]) -> list[str]:
    headers = {"Authorization": f"Bearer {whole.token}", "Content-Type": "application/json"}
    connection = HTTPConnection(whole.url.removeprefix("http://"))
    ids = []
    for wish in wishes:
        connection.request("POST", "/api/v1/deployments", json.dumps(wish), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == HTTPStatus.CREATED, text
        ids.append(json.loads(text)["id"])
    return ids
